"""One version, one list of requirements, and a core that works without its extras."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from firmware_specs.extras import ExtraMissing
from firmware_specs.racks.model import imported

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RECIPE = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text("utf-8")
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Names of conda-forge that are not PyPI's."""
WITHOUT = """
import sys
for name in ("pymeasure", "qcodes", "ziglang", "jsonschema", "starlette", "uvicorn"):
    sys.modules[name] = None
from hil.cli import main
main(["train", "digits", "--device", "emulator:discrete-board", "--run-dir", sys.argv[1], "--set", "run.epochs=1",
      "--set", "data.train_samples=64", "--set", "data.test_samples=32"])
"""


def test_every_place_that_names_the_version_names_the_same():
    version = PROJECT["version"]
    assert re.search(rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert f'version: "{version}"' in RECIPE
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_the_conda_recipe_asks_for_what_the_wheel_asks_for():
    run = re.search(r"  run:\n((?:    - .*\n)+)", RECIPE)[1]
    asked = {line.removeprefix("    - ") for line in run.splitlines()} - {f"python {PROJECT['requires-python']}"}
    parts = (re.fullmatch(r"([\w-]+)(.*)", line).groups() for line in PROJECT["dependencies"])
    assert asked == {f"{CONDA.get(name, name)} {version}" for name, version in parts}


def test_training_needs_no_extra(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHOUT, tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] > 0


def test_a_rack_instrument_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pymeasure"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymeasure", None)
    for module in ("keithley2450", "pymeasure_adapter"):
        monkeypatch.delitem(sys.modules, f"drivers.instruments.{module}", raising=False)
    with pytest.raises(ExtraMissing, match=r"needs pymeasure.*pip install 'crossbar-hil\[rack\]'"):
        imported("drivers.instruments.keithley2450:Keithley2450")


def test_a_missing_module_of_ours_is_no_missing_extra():
    with pytest.raises(ModuleNotFoundError, match="nothing_of_ours") as caught:
        imported("drivers.instruments.nothing_of_ours:Nothing")
    assert not isinstance(caught.value, ExtraMissing)

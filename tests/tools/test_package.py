"""One version, one list of requirements, and a core that works without its extras."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from firmware_specs.extras import ExtraMissing
from firmware_specs.racks.model import imported
from hil import cli

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RECIPE = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text("utf-8")
CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Names of conda-forge that are not PyPI's."""
EXTRAS = ("pymeasure", "lupa", "qcodes", "ziglang", "jsonschema", "starlette", "uvicorn", "mcp", "llvmlite")
MEASURES = ("xarray", "pandas", "h5netcdf", "h5py", "sklearn")
WITHOUT = f"""
import contextlib, io, json, os, sys
for name in {EXTRAS + MEASURES}:
    sys.modules[name] = None
from hil.cli import main
from hil.report import figures
drawn = []
def drawn_once(drawing, really=figures.to_svg):
    drawn.append(drawn[0] if drawn else really(drawing))
    return drawn[-1]
figures.to_svg = drawn_once
told = []
for folder, line in json.loads(sys.argv[1]):
    os.chdir(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(line)
            code = 0
        except SystemExit as ended:
            code = ended.code
    told.append([code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""
TRAINING = [
    ["train", "digits", "--device", "emulator:discrete-board", "--run-dir", "run", "--set", "run.epochs=1",
     "--set", "data.train_samples=64", "--set", "data.test_samples=32"],
    ["report", "run", "--out", "page.html"],
    ["evaluate", "run"],
    ["list"],
]  # fmt: skip
MEASURING = [
    ["characterize", "--device", "emulator:discrete-board", "--size", "8", "--out", "chip"],
    ["calibrate", "--experiment", "digits", "--device", "emulator:discrete-board", "--out", "chip.toml"],
    ["map", "save", "--device", "emulator:discrete-board", "--out", "chip.nc"],
    ["twin", "chip", "--out", "twin.toml"],
    ["import", "table", "readings.csv", "--out", "chip"],
]


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


@pytest.fixture(scope="module")
def without_extras(tmp_path_factory):
    """Folder and what each line told, of training and of measuring: one process for all, which has no extra.

    Of all figures of reports matplotlib draws one.
    """
    trains, measures = tmp_path_factory.mktemp("trains"), tmp_path_factory.mktemp("measures")
    (measures / "chip").mkdir()
    (measures / "readings.csv").write_text("cell,conductance\n0,1e-5\n")
    lines = [*((str(trains), line) for line in TRAINING), *((str(measures), line) for line in MEASURING)]
    line = [sys.executable, "-c", WITHOUT, json.dumps(lines)]
    done = subprocess.run(line, cwd=trains, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return (trains, told[: len(TRAINING)]), (measures, told[len(TRAINING) :])


def test_a_training_its_report_and_what_can_be_chosen_need_no_extra(without_extras):
    folder, told = without_extras[0]
    assert [code for code, _, _ in told] == [0] * len(TRAINING), told
    assert "cannot be loaded" not in told[-1][1]
    assert json.loads((folder / "run" / "summary.json").read_text())["steps"] > 0
    assert (folder / "page.html").stat().st_size > 10_000


def test_what_measures_says_what_to_install_and_begins_nothing(without_extras):
    folder, told = without_extras[1]
    for line, (code, out, err) in zip(MEASURING, told, strict=True):
        assert (code, out) == (2, ""), line
        assert re.fullmatch(
            r"hil: .* needs \w+, which is not installed: .*pip install 'crossbar-hil\[measure\]'.*\n", err
        )
    assert sorted(path.name for path in folder.rglob("*")) == ["chip", "readings.csv"]


@pytest.mark.parametrize("place", sorted(cli.REFUSALS | cli.FAILURES))
def test_an_error_that_the_command_line_knows_is_where_it_says(place):
    module, _, name = place.partition(":")
    kind = getattr(import_module(module), name)
    assert issubclass(kind, Exception) and (kind.__module__, kind.__qualname__) == (module, name)


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

"""A package of somebody else's in an environment of its own: one thing of every kind, by the command line."""

import ast
import importlib.util
import json
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
import pyvisa

from firmware_specs.registry import KINDS, lookup
from hil.cli import main

PACKAGE = Path(__file__).parents[1] / "plugin_example"
EXPERIMENT = """
[data]
name = "club-rings"
[[blocks]]
feedforward = [{kind = "flatten"}, {kind = "club-scale", start = 2.0}]
energy = {kind = "crossbar", couplings = [{kind = "dense", units = 8}]}
[run]
epochs = 1
batch = 48
"""
LEARNING = [
    "loss=club-squares",
    "optimizer.kind=club-descent",
    "schedule.kind=club-halves",
    "estimator.kind=club-careful",
]
LAWS = """
[pulses]
law = "club-soft"
figures = {end = 1.0}
step = 0.02
amplitude_v = 1.0
width_s = 1e-6
[drift]
law = "club-leak"
figures = {tau_s = 1e6}
[read_noise]
law = "club-hiss"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Its Python: a virtual environment that sees this one's packages, with the example installed by pip."""
    if importlib.util.find_spec("setuptools") is None:  # to import it would replace distutils, with a warning
        pytest.skip("no setuptools")
    folder, source = tmp_path_factory.mktemp("club"), tmp_path_factory.mktemp("source") / "bench-club"
    # not `find_spec`: on Python 3.11 setuptools takes a search for pip as the start of pip, and hides its distutils
    borrowed = any(d.name == "pip" for d in metadata.distributions())  # environments that uv makes have none
    venv.create(folder, with_pip=not borrowed)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    seen = [str(Path(__file__).parents[2]), *(p for p in sys.path if "site-packages" in p)]
    (site / "seen.pth").write_text("".join(f"import site; site.addsitedir({p!r})\n" for p in seen), encoding="utf-8")
    source.mkdir()
    (source / "pyproject.toml").write_text((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (source / "bench_club").mkdir()
    for file in (PACKAGE / "bench_club").glob("*.py"):
        (source / "bench_club" / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", python] if borrowed else [python, "-m", "pip"]
    if not borrowed:  # what comes with it before Python 3.12 is older than the one that is seen
        subprocess.run([*pip, "uninstall", "-qy", "setuptools"], check=True, capture_output=True)
    options = ["-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "install", *options, source], check=True, capture_output=True)
    return python, site


@pytest.fixture
def club(environment, monkeypatch, tmp_path):
    """The environment's packages in this process too: commands run at once."""
    monkeypatch.syspath_prepend(str(environment[1]))
    lookup.look_again()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "bench_club"]:
        del sys.modules[name]
    monkeypatch.undo()
    lookup.look_again()


@pytest.fixture
def hil(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        assert ended.value.code in (0, None), said.err + said.out
        return said.out

    return run


def sheet_with_laws(folder):
    from firmware_specs.datasheet.load import text_of

    kept, skip = [], False
    for line in text_of("discrete-board").splitlines():
        if line.startswith("["):
            skip = line.strip("[]") in ("pulses", "drift", "read_noise")
        kept += [] if skip else [line]
    (folder / "club.toml").write_text("\n".join(kept) + LAWS, encoding="utf-8")


def test_the_package_has_one_of_every_kind_and_imports_no_private_name():
    groups = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert groups.keys() == {f"hil.{kind}" for kind in KINDS}
    for file in (PACKAGE / "bench_club").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                parts = [*node.module.split("."), *(alias.name for alias in node.names)]
                assert not [part for part in parts if part.startswith("_")], (file.name, node.module)
    rings = (PACKAGE / "bench_club/data.py").read_text(encoding="utf-8").partition("import numpy")[2]
    assert len(rings.strip().splitlines()) <= 10


def test_it_is_listed_with_where_it_comes_from(club, hil):
    said = hil("list")
    for line in ("club-meter          meter", "club-rings  ", "club-hiss", "club      A board in the club's cupboard"):
        assert line.split()[0] in said
    assert said.count("[bench-club 1.0]") == len(KINDS)
    assert "cannot be loaded" not in said


def test_it_learns_with_all_of_its_own_and_the_report_has_its_section(club, hil):
    (club / "mine.toml").write_text(EXPERIMENT, encoding="utf-8")
    sets = [part for setting in LEARNING for part in ("--set", setting)]
    hil("train", "mine.toml", "--device", "club-ideal:", "--run-dir", "run", *sets)
    assert "trained at the club" in (club / "run/report.html").read_text(encoding="utf-8")
    said = json.loads((club / "run/provenance.json").read_text(encoding="utf-8"))
    assert "club-ideal:" in json.dumps(said)


def test_its_energy_is_gradient_checked(club, hil):
    text = EXPERIMENT.replace(
        '{kind = "crossbar", couplings = [{kind = "dense", units = 8}]}', '{kind = "club-springs", units = 4}'
    )
    (club / "springs.toml").write_text(text, encoding="utf-8")
    said = hil(
        "gradcheck",
        "springs.toml",
        "--samples",
        "4",
        "--set",
        "run.dtype=float64",
        "--min-cosine",
        "0.9999",
    )
    assert "cosine" in said


def test_its_laws_make_a_chip_that_its_own_wire_and_language_reach_and_its_own_item_measures(club, hil):
    sheet_with_laws(club)
    (club / "plan.toml").write_text("rows = 4\ncolumns = 4\n[own.club-glance]\n", encoding="utf-8")
    for address in ("club:club.toml?seed=2&dialect=inverted", "emulator:club.toml?seed=2"):
        out = f"chip-{address[:4]}"
        said = hil("characterize", "--device", address, "--plan", "plan.toml", "--out", out, "--datasheet", "club.toml")
        assert "club_glance.moved" in said
    (club / "mine.toml").write_text(EXPERIMENT, encoding="utf-8")
    small = ["--set", "data.train_samples=48", "--set", "data.test_samples=8"]
    hil(
        "train",
        "mine.toml",
        "--device",
        "emulator:club.toml",
        "--run-dir",
        "pulsed",
        *small,
        "--set",
        "update.kind=club-cautious",
    )
    hil("train", "mine.toml", "--device", "club:mixed-8bit?seed=1", "--run-dir", "wired", *small)
    assert "conforms" in hil("conform", "--device", "club:mixed-8bit?seed=1", "--only", "outputs.link-lost")
    assert hil("export", "club.toml", "--to", "club-card").startswith('{"name": "club"')


def test_a_wrong_address_of_its_own_is_refused_in_a_sentence(club, capsys):
    for address, why in (
        ("club:mixed-8bit?sed=1", "unknown option sed; did you mean seed?"),
        ("club:nothing", "neither a shipped datasheet nor a readable TOML file"),
        ("club:mixed-8bit?dialect=invert", "did you mean inverted?"),
        ("clubb:mixed-8bit", "Did you mean club"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["conform", "--device", address])
        said = " ".join(capsys.readouterr().err.split())
        assert (ended.value.code, why in said) == (2, True), said


def test_its_table_is_read(club, hil):
    lines = [f"{cell} {second} {1e-5 * (1 + 0.01 * (second % 3))}" for cell in range(6) for second in range(12)]
    (club / "notes.txt").write_text("\n".join(lines), encoding="utf-8")
    assert "report:" in hil("import", "club-notes", "notes.txt", "-o", "notes")


def test_its_meter_is_served_in_its_own_environment(club, environment):
    python, _ = environment
    command = [python, "-m", "hil", "emulate", "--instrument", "club-meter", "--dut", "club-lamp:100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=club) as served:
        try:
            address = served.stdout.readline().strip()
            assert address.startswith("TCPIP::127.0.0.1"), served.stderr.read()
            box = pyvisa.ResourceManager("@py").open_resource(address, read_termination="\n", write_termination="\n")
            assert box.query("*IDN?") == "Bench Club,M1,1000001,1"
            assert abs(float(box.query("VALUE?"))) < 1e-3
            box.close()
        finally:
            served.terminate()

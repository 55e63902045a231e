"""Files that commands are to write: one that cannot be written is refused before anything is measured."""

import pytest
from typer.testing import CliRunner

from hil.cli import build_app

EMULATED = ("--device", "emulator:mixed-8bit?seed=1")
CALLS = [
    ("calibrate", *EMULATED, "--experiment", "digits", "-o"),
    ("conform", *EMULATED, "--json"),
    ("conform", *EMULATED, "--html"),
    ("conform", *EMULATED, "--junit"),
    ("emulate", "--rack", "bench-16x16", "--bench-out"),
    ("gradcheck", "digits", "--json"),
    ("netlist", "iris", "-o"),
    ("report", "run", "-o"),
    ("study", "digits", "--sweep", "seed=0", "--json"),
    ("train", "digits", "--json"),
    ("twin", "run", "-o"),
]


@pytest.mark.parametrize("call", CALLS, ids=[" ".join(call) for call in CALLS])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for named, why in (("missing/out.file", "there is no folder missing"), ("folder", "folder is a folder")):
        shown = CliRunner().invoke(build_app(), [*call, named], env={"COLUMNS": "200"})
        assert shown.exit_code == 2 and why in shown.output, shown.output
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("days", ["0", "-3", "nan", "inf"])
def test_a_calibration_that_would_hold_no_number_of_days_is_refused_before_it_is_measured(days, tmp_path):
    call = ["calibrate", *EMULATED, "--experiment", "digits", "--valid-days", days, "-o", str(tmp_path / "c.toml")]
    shown = CliRunner().invoke(build_app(), call, env={"COLUMNS": "200"})
    assert shown.exit_code == 2 and "a number of days above 0" in shown.output, shown.output

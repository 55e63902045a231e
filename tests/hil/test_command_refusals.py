"""What commands refuse before anything is measured, and what they say would be right."""

import pytest
from typer.testing import CliRunner

from hil.cli import build_app, main

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


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (("calibrate", "--device", "emulator:arc-two-32x32-like", "--experiment", "digits", "-o", "c.toml"),
         "multiplies and does not settle"),
        (("calibrate", "--device", "rack:bench-16x16", "--experiment", "iris", "-o", "c.toml"), "is a rack"),
        (("characterize", "--device", "rack:bench-16x16", "--out", "run"), "is a rack"),
        (("emulate", "--rack", "bench-16x16", "--seed", "3"), "dut.seed"),
        (("emulate", "mixed-8bit", "--bench-out", "lab.toml"), "goes with --rack"),
        (("report", "nothing"), "there is no such folder"),
        (("report", "other.toml"), "calibration: missing"),
        (("report", "run", "other.toml"), "one calibration file at a time"),
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(part[:3]),
)  # fmt: skip
def test_what_does_not_fit_a_command_is_refused_with_what_would(call, why, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "other.toml").write_text("[devices]\n")
    with pytest.raises(SystemExit) as stopped:
        main(call)
    assert stopped.value.code == 2
    assert why in capsys.readouterr().err


def test_a_nudge_that_a_device_cannot_hold_is_refused_with_what_it_can(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = ("data.train_samples=8", "data.test_samples=8", "estimator.nudge=reevaluated")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "digits", *EMULATED, *(part for value in few for part in ("--set", value))])
    assert stopped.value.code == 2
    assert "--set estimator.nudge=constant" in capsys.readouterr().err

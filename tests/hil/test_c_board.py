"""The reference firmware in C behind a real wire: it conforms, and trains through the serial driver."""

import json

import pytest
from typer.testing import CliRunner

from hil.cli import build_app
from hil.conformance.suite import SERIAL


@pytest.mark.long
def test_the_firmware_in_c_conforms(c_boards, checked):
    with c_boards.wire(checked / "board-checked") as wire:
        result = SERIAL.run(wire)
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    assert result.count("passed") >= 110


@pytest.mark.long
def test_the_smallest_board_in_c_trains_digits_through_the_serial_driver(c_boards, tmp_path):
    board = c_boards.make("host", "FRAMES=1", "OPTIMIZED=-O2", name="small") / "board"
    summary = tmp_path / "summary.json"
    with c_boards.running(board) as address:
        arguments = ["train", "digits", "--device", address, "--run-dir", str(tmp_path / "run"), "--json", str(summary)]
        little = ["run.epochs=2", "data.train_samples=480", "data.test_samples=120", "run.eval_batch=120"]
        shown = CliRunner().invoke(build_app(), [*arguments, *(word for key in little for word in ("--set", key))])
    assert shown.exit_code == 0, shown.output
    assert json.loads(summary.read_text())["test_accuracy"] > 0.6

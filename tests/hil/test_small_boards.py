"""Boards with little memory and boards that take their time: every command works on them as on any other."""

import json

import pytest
import torch
from typer.testing import CliRunner

from drivers.connect import connect
from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from hil.cli import build_app
from hil.counterparts.device import DeviceBench

CELLS = {"programming_noise = 0.005": "bits = 8\nprogramming_noise = 0.005"}
BOARDS = {
    "one-frame": (CELLS, "[link]\nmax_request = 4056\nmax_reply = 4056\nwindow = 2\n"),
    "one-ms": ({"time_s = 1.0e-5": "time_s = 1.0e-5\nread_time_s = 1.0e-3"}, "[programming]\nwrite_time_s = 1.0e-3\n"),
}
PLAN = """
rows = 24
columns = 24
[transfer]
repeats = 4
[iv]
[programming]
[pulse_response]
groups = 4
pulses = 10
"""


@pytest.fixture(params=["one-frame", "one-ms"])
def sheet(request, tmp_path, monkeypatch):
    """The datasheet file of a board."""
    from importlib import resources

    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    text = (resources.files("firmware_specs.datasheets") / "mixed-8bit.toml").read_text()
    changes, added = BOARDS[request.param]
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / f"{request.param}.toml"
    path.write_text(f"{text}\n{added}")
    return path


def hil(*arguments):
    shown = CliRunner().invoke(build_app(), [str(a) for a in arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.fixture
def on_a_wire():
    """`on_a_wire(sheet, doors)`: the address of a virtual instrument, and its device."""
    import threading

    running = []

    def serve(sheet, doors):
        board = Board(Device(Chip(load(sheet), seed=1)), doors)
        thread = threading.Thread(target=board.run, daemon=True)
        thread.start()
        running.append((board, thread))
        return board.addresses[0], board.device

    yield serve
    for board, thread in running:
        board.stop()
        thread.join(30)


@pytest.mark.parametrize(
    ("sheet", "doors"),
    [("one-frame", Doors(pty=True)), ("one-frame", Doors(scpi=0)), ("one-ms", Doors(pty=True))],
    ids=["one frame", "one frame, scpi", "1 ms a cell"],
    indirect=["sheet"],
)
def test_it_trains_digits_on_all_its_cells(sheet, doors, on_a_wire, tmp_path):
    address, device = on_a_wire(sheet, doors)
    little = ["run.epochs=1", "data.train_samples=64", "data.test_samples=32", "run.eval_batch=32"]
    hil("train", "digits", "--device", address, "--run-dir", tmp_path / "run", "--json", tmp_path / "summary.json",
        *(word for key in little for word in ("--set", key)))  # fmt: skip
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["steps"] == 2
    assert device.chip.arrays[0].topology.cells(device.chip.arrays[0].topology.couplings[0]) == (257, 64)
    assert not device.outputs.on


def test_it_is_calibrated_and_characterized(sheet, tmp_path):
    address = f"emulator:{sheet}"
    (tmp_path / "plan.toml").write_text(PLAN)
    hil("characterize", "--device", address, "--plan", tmp_path / "plan.toml", "--out", tmp_path / "found")
    figures = {f["name"] for f in json.loads((tmp_path / "found" / "figures.json").read_text())["figures"]}
    assert {"transfer.gain", "programming.sigma", "pulse_response.step"} <= figures
    if sheet.stem == "one-frame":
        said = hil("calibrate", "--device", address, "--experiment", "digits", "--out", tmp_path / "calibration.toml")
        assert "holds 7 days" in said


def test_its_weights_are_moved_by_pulses(sheet, on_a_wire, tmp_path):
    address, device = on_a_wire(sheet, Doors(pty=True))
    topology = dense_chain([64, 32])
    draw = torch.Generator().manual_seed(0)
    weights = {"weight_0": torch.randn(32, 64, generator=draw) * 0.1, "bias_0": torch.zeros(32)}
    change = {name: torch.full_like(value, 0.02) for name, value in weights.items()}
    crossbar = connect(address)
    with DeviceBench(crossbar, address, load(sheet)) as bench:
        array = bench.place(topology)
        array.prepare(weights)
        before = [c.clone() for c in device.chip.conductances_s(0)]
        pulsed = array.pulse(change, 31, torch.Generator().manual_seed(1))
        after = device.chip.conductances_s(0)
        assert pulsed.pulses > 65 * 32 and pulsed.capped == 0
        assert int(device.chip.usage(0, 0)[0].sum()) == pulsed.pulses + 2 * 65 * 32
        moved_s = (after[0][0] - after[0][1] - before[0][0] + before[0][1]).mean()
        assert float(moved_s) * bench.datasheet.neurons.transimpedance_ohm == pytest.approx(0.02, rel=0.1)


@pytest.mark.long
@pytest.mark.parametrize("protocol", ["serial", "scpi"])
def test_a_board_of_one_frame_conforms(protocol, tmp_path, monkeypatch):
    path = tmp_path / "one-frame.toml"
    shipped = load("mixed-8bit").model_dump(mode="json", exclude_none=True)
    import tomli_w

    path.write_text(tomli_w.dumps(shipped | {"link": {"max_request": 4056, "max_reply": 4056, "window": 2}}))
    said = hil("conform", "--device", f"emulator:{path}", "--protocol", protocol)
    assert "0 failed" in said

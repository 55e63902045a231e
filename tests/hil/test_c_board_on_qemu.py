"""The firmware in C on a Cortex-M3 that QEMU emulates: sizes, conformance, training steps through the serial driver."""

import json
import os
import re
import tomllib
import tty
from importlib import resources
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_specs.codes import Kind
from firmware_specs.firmware.sizes import sizes
from firmware_specs.frame import DELIMITER, Frame, encode
from hil.cli import build_app
from hil.conformance.suite import SERIAL
from hil.counterparts.opening.wire import open_wire


@pytest.fixture(scope="module")
def images(c_boards):
    return {frames: c_boards.image(frames) for frames in (1, 4)}


def test_flash_and_ram_stay_within_what_small_microcontrollers_have(images):
    for frames, most_ram in ((1, 40 * 1024), (4, 80 * 1024)):
        found = sizes(images[frames])
        assert found.flash <= 32 * 1024 and found.ram <= most_ram, (frames, found)


def test_the_page_s_table_is_what_was_measured(images):
    page = (Path(__file__).parents[2] / "docs" / "tutorials" / "first-board.md").read_text()
    rows = re.findall(r"^\| (\d) frames?, [\d,]+ bytes \| ([\d.]+) KiB \| ([\d.]+) KiB \|$", page, re.MULTILINE)
    assert [int(frames) for frames, *_ in rows] == [1, 4]
    for frames, flash, ram in rows:
        found = sizes(images[int(frames)])
        assert float(flash) * 1024 == pytest.approx(found.flash, rel=0.1), (
            "compilers differ a little, this differs more"
        )
        assert float(ram) * 1024 == pytest.approx(found.ram, rel=0.05)


def test_the_golden_frames_of_a_host_are_understood_and_answered(c_boards):
    golden = tomllib.loads((resources.files("firmware_specs") / "vectors" / "frames.toml").read_text())
    with c_boards.on_qemu(1) as terminal:
        port = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(port)
        answers = {name: answer(port, bytes.fromhex(golden[name]["wire"])) for name in
                   ("sync", "heartbeat", "echo_zeros", "watchdog_2_s")}  # fmt: skip
        os.close(port)
    synced = bytes.fromhex(golden["synced"]["wire"])
    assert answers.pop("sync")[:12] == synced[:12]  # version, kind and nonce; what follows is the device's own
    for sequence, (name, said) in enumerate(answers.items(), 1):
        header, payload = bytes.fromhex(golden[name]["header"]), bytes.fromhex(golden[name]["payload"])
        assert said == encode(Frame(Kind.REPLY, header[2], 0, 0x01020304, sequence, payload=payload)), name


def answer(port, wire):
    os.write(port, wire)
    said = b""
    while not said.endswith(DELIMITER):
        said += os.read(port, 4096)
    return said


def trained(address, folder, experiment, *settings):
    """Accuracy after an epoch of a training through the serial driver."""
    bench = folder / "bench.toml"
    bench.write_text(f'[devices.q]\naddress = "serial:{address}"\nwatchdog_s = 60.0\ntimeout_s = 60.0\n')
    arguments = ["train", str(experiment), "--bench", str(bench), "--device", "q", "--run-dir", str(folder / "run")]
    arguments += ["--json", str(folder / "summary.json"), "--set", "run.epochs=1"]
    shown = CliRunner().invoke(build_app(), [*arguments, *(word for key in settings for word in ("--set", key))])
    assert shown.exit_code == 0, shown.output
    return json.loads((folder / "summary.json").read_text())["test_accuracy"]


@pytest.mark.long
def test_the_board_trains_a_small_net_on_digits(c_boards, tmp_path):
    whole = (resources.files("hil.experiments") / "digits.toml").read_text()
    small = whole.replace("channels = 16", "channels = 2").replace("units = 64", "units = 16")
    (tmp_path / "small.toml").write_text(small)
    few = ("data.train_samples=160", "data.test_samples=32", "run.eval_batch=32", "run.batch=8", "optimizer.lr=3e-2")
    with c_boards.on_qemu(4) as address:
        assert trained(address, tmp_path, tmp_path / "small.toml", *few) > 0.3


@pytest.mark.soak
def test_the_board_trains_digits_for_twenty_steps(c_boards, tmp_path):
    few = ("data.train_samples=640", "data.test_samples=64", "run.eval_batch=64")
    with c_boards.on_qemu(4) as address:
        assert trained(address, tmp_path, "digits", *few) > 0.6


@pytest.mark.long
@pytest.mark.parametrize("frames", [1, pytest.param(4, marks=pytest.mark.soak)])
def test_the_board_conforms(c_boards, frames):
    with c_boards.on_qemu(frames) as address, open_wire(f"serial:{address}") as wire:
        # on a starved machine two long frames took QEMU's UART 12.5 s, and the answer came then
        result = SERIAL.run(wire, patience_s=30.0)
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    assert result.count("passed") >= 105

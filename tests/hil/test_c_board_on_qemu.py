"""The firmware in C on a Cortex-M3 that QEMU emulates: sizes, conformance, training steps through the serial driver."""

import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_specs.firmware.sizes import sizes
from hil.cli import build_app
from hil.conformance.suite import SERIAL
from hil.counterparts.opening.wire import open_wire

if shutil.which("arm-none-eabi-gcc") is None:
    pytest.skip("no compiler for Cortex-M3: apt-get install gcc-arm-none-eabi", allow_module_level=True)


@pytest.fixture(scope="module")
def images(c_boards):
    return {n: c_boards.make("mps2", f"FRAMES={n}", name=f"mps2-{n}") / "board.elf" for n in (1, 4)}


@contextlib.contextmanager
def board(image):
    """The board's address."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("no emulated Cortex-M3: apt-get install qemu-system-arm")
    command = ["qemu-system-arm", "-M", "mps2-an385", "-display", "none", "-monitor", "none", "-serial", "pty"]
    process = subprocess.Popen(
        [*command, "-kernel", image], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        said = process.stdout.readline()
        yield "serial:" + re.search(r"redirected to (\S+)", said)[1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


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


@pytest.mark.soak
def test_the_board_trains_twenty_steps(images, tmp_path):
    with board(images[4]) as address:
        bench = tmp_path / "bench.toml"
        bench.write_text(f'[devices.q]\naddress = "{address}"\nwatchdog_s = 60.0\ntimeout_s = 60.0\n')
        few = ["run.epochs=1", "data.train_samples=640", "data.test_samples=64", "run.eval_batch=64"]
        arguments = ["train", "digits", "--bench", str(bench), "--device", "q", "--run-dir", str(tmp_path / "run")]
        arguments += ["--json", str(tmp_path / "summary.json"), *(word for key in few for word in ("--set", key))]
        shown = CliRunner().invoke(build_app(), arguments)
    assert shown.exit_code == 0, shown.output
    assert json.loads((tmp_path / "summary.json").read_text())["test_accuracy"] > 0.6


@pytest.mark.parametrize("frames", [1, pytest.param(4, marks=pytest.mark.soak)])
def test_the_board_conforms(images, frames):
    with board(images[frames]) as address, open_wire(address) as wire:
        result = SERIAL.run(wire, patience_s=10.0)
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    assert result.count("passed") >= 105

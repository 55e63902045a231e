"""A characterization says the same to the last digit in process and over a wire, and needs no datasheet named."""

import json

import pytest
from typer.testing import CliRunner

from emulator.serve import Doors
from hil.cli import build_app

SIZE = 4


def characterized(address, folder):
    """Figures and verdicts of one device, as `hil characterize` keeps them, with a watchdog that a busy host feeds."""
    bench = folder.with_suffix(".toml")
    bench.write_text(f'[devices.one]\naddress = "{address}"\nwatchdog_s = 30.0\n', encoding="utf-8")
    given = ["--bench", str(bench), "--device", "one", "--size", str(SIZE), "--out", str(folder)]
    shown = CliRunner().invoke(build_app(), ["characterize", *given])
    assert shown.exit_code == 0, shown.output
    found = json.loads((folder / "figures.json").read_text("utf-8"))
    return {one["name"]: one for one in found["figures"]}, found["skipped"]


@pytest.mark.parametrize("sheet", ["reram", pytest.param("resistive-board", marks=pytest.mark.soak)])
def test_figures_are_the_same_in_process_and_over_a_socket(sheet, served, tmp_path):
    near, skipped_near = characterized(f"emulator:{sheet}?seed=3", tmp_path / "near")
    board = served(Doors(tcp=0), sheet, 3)
    far, skipped_far = characterized(board.addresses[0], tmp_path / "far")
    assert far == near
    assert skipped_far.keys() == skipped_near.keys()
    assert len(near) > 15 and sum(one["stated"] is not None for one in near.values()) > 10

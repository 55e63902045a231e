"""Pulse and energy totals belong to the chip: a device that does not count, and a rack, are counted on the host."""

import numpy as np
import pytest

from drivers.chip_ledger import ChipLedger
from drivers.connect import connect
from drivers.crossbar import Crossbar
from drivers.doors import Options
from drivers.errors import BudgetSpent, OutOfRange
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.rack.spent import Spent
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi.endpoint import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from emulator.serve import Board, Doors
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability
from firmware_specs.datasheet import load
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.messages import Region
from firmware_specs.racks import load_rack
from hil.conformance.suite import SCPI, SERIAL

REGION = Region(0, 0, 1, 2, 3, 1, 2)
LIMITS = {"this test": {"max_pulses_per_cell": 20.0}}


def device(serial="a", counts=False):
    sheet = load("mixed-8bit").model_copy(update={"pulses": Pulses(law="constant", step=0.01)})
    found = Device(Chip(sheet, seed=0), serial=serial)
    if not counts:
        found.capabilities &= ~Capability.USAGE
    return found


def opened(device, folder, limits=None):
    dialect = Framed(FramedLink(Loopback(SerialEndpoint(Machine(device), "x").feed, "x"), owner="test"))
    return Crossbar(
        Session(dialect, limits=limits or LIMITS, ledger=lambda chip: ChipLedger(chip, folder), watchdog_s=60.0)
    )


def pulse(crossbar, count, sizes=(6, 4)):
    crossbar.configure(0, dense_chain(list(sizes)))
    crossbar.arm()
    return crossbar.pulse(REGION, up=True, amplitude_v=1.0, width_s=1e-6, count=count)


def spent(crossbar):
    return crossbar.session.guard.spent((0, 0, 1))


def test_totals_survive_a_restart_of_the_host(tmp_path):
    with opened(device(), tmp_path) as crossbar:
        pulse(crossbar, 12)
        first, heat = spent(crossbar)
    assert first[2:5, 1:3].min() == 12 and heat.max() > 0
    with opened(device(), tmp_path) as crossbar:
        with pytest.raises(BudgetSpent, match="would have 21"):
            pulse(crossbar, 9)
        assert (spent(crossbar)[0] == first).all() and (spent(crossbar)[1] == heat).all()
        pulse(crossbar, 8)
    with opened(device(), tmp_path) as crossbar, pytest.raises(BudgetSpent):
        pulse(crossbar, 1)


def test_cells_keep_their_count_under_another_block(tmp_path):
    with opened(device(), tmp_path) as crossbar:
        pulse(crossbar, 12)
    with opened(device(), tmp_path) as crossbar:
        pulse(crossbar, 1, sizes=(20, 10))
        assert spent(crossbar)[0][2:5, 1:3].min() == 13
    with opened(device(), tmp_path) as crossbar, pytest.raises(BudgetSpent):
        pulse(crossbar, 8)


def test_another_chip_at_the_same_port_has_a_count_of_its_own(tmp_path):
    with opened(device("a"), tmp_path) as crossbar:
        pulse(crossbar, 20)
    with opened(device("b"), tmp_path) as crossbar:
        assert pulse(crossbar, 20) == 20


def test_writes_with_rewrites_are_counted_at_their_most(tmp_path):
    with opened(device(), tmp_path) as crossbar:
        crossbar.configure(0, dense_chain([6, 4]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 7, 4), 5e-5)], verify_rounds=3)
        assert (spent(crossbar)[0] == 4).all()
    assert ChipLedger("crossbar-hil mixed-8bit a", tmp_path).had("array 0 coupling 0 plane 0", (7, 4))[0].min() == 4


def test_a_device_that_counts_needs_no_file(tmp_path):
    with opened(device(counts=True), tmp_path) as crossbar:
        pulse(crossbar, 3)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from drivers.connect import connect
from drivers.doors import Options
from firmware_specs.messages import Region
from firmware_specs.chains import dense_chain
crossbar = connect(sys.argv[1], Options(limits={"this test": {"max_pulses_per_cell": 20.0}}))
crossbar.configure(0, dense_chain([6, 4]))
crossbar.arm()
for _ in range(15):
    crossbar.pulse(Region(0, 0, 1, 2, 3, 1, 2), up=True, amplitude_v=1.0, width_s=1e-6, count=1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_host_has_counted_what_went_out(python, tmp_path, monkeypatch):
    import threading

    monkeypatch.setenv("CROSSBAR_HIL_LEDGERS", str(tmp_path / "ledgers"))
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    board = Board(device(), Doors(tcp=0))
    thread = threading.Thread(target=board.run, daemon=True)
    thread.start()
    try:
        killed = python.run(["-c", KILLED, board.addresses[0]], capture_output=True)
        assert killed.returncode == -9, killed.stderr
        assert int(board.device.chip.usage(0, 0)[0].max()) == 15
        with connect(board.addresses[0], Options(limits=LIMITS)) as crossbar, pytest.raises(BudgetSpent):
            pulse(crossbar, 6)
    finally:
        board.stop()
        thread.join(30)


def test_a_ledger_that_cannot_be_written_stops_the_pulses(tmp_path):
    with opened(device(), tmp_path / "no-folder" / "x") as crossbar:
        (tmp_path / "no-folder").write_text("a file where a folder should be")
        with pytest.raises(OutOfRange, match="cannot be written"):
            pulse(crossbar, 1)
    assert not crossbar.session.armed


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 4096, b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_ledger_is_told_and_nothing_is_assumed(tmp_path, content):
    ledger = ChipLedger("chip", tmp_path)
    ledger.keep("crossbar", np.ones((2, 2), np.int64), np.zeros((2, 2)))
    ledger.path.write_bytes(content)
    if content.endswith(b"{}      "):
        assert ChipLedger("chip", tmp_path).had("crossbar", (2, 2))[0].max() == 0  # whole, and empty
        return
    with pytest.raises(OutOfRange, match="damaged"):
        ChipLedger("chip", tmp_path)


@pytest.mark.parametrize("suite", [SERIAL, SCPI], ids=["frames", "scpi"])
def test_what_a_conformance_run_does_belongs_to_the_chip(suite, tmp_path):
    """Writes and pulses of the checks, cell by cell: what the host counts is never less than what the chip had."""
    chip = device()
    machine = Machine(chip)
    end = SerialEndpoint(machine, "x") if suite is SERIAL else ScpiEndpoint(machine, "x")
    run = suite.run(Loopback(end.feed, "x"), suite.select(["cells", "pulses.direction", "errors"]),
                    ledger=lambda name: ChipLedger(name, tmp_path))  # fmt: skip
    assert run.conforms, [(o.check.name, o.seen) for o in run.outcomes if o.verdict == "failed"]
    ledger = ChipLedger("crossbar-hil mixed-8bit a", tmp_path)
    for plane, had in enumerate(chip.chip.usage(0, 0)[0].numpy()):
        counted, joules = ledger.had(f"array 0 coupling 0 plane {plane}", had.shape)
        assert had.max() > 0 and (counted >= had).all() and counted.max() < 200 and np.isfinite(joules).all()


def test_a_count_that_no_chip_can_have_is_damage(tmp_path):
    """Near the end of its numbers one more pulse would make it negative, below every limit."""
    ledger = ChipLedger("chip", tmp_path)
    ledger.keep("crossbar", np.full((2, 2), 2**63 - 5), np.zeros((2, 2)))
    with pytest.raises(OutOfRange, match="damaged"):
        ChipLedger("chip", tmp_path)


def test_totals_never_fall_in_a_file(tmp_path):
    ledger = ChipLedger("chip", tmp_path)
    ledger.keep("crossbar", np.full((3, 3), 7), np.full((3, 3), 1e-9))
    ledger.keep("crossbar", np.zeros((2, 5), np.int64), np.zeros((2, 5)))
    pulses, joules = ChipLedger("chip", tmp_path).had("crossbar", (3, 5))
    assert pulses[:3, :3].min() == 7 and pulses[:, 3:].max() == 0 and joules[2, 2] == 1e-9


def test_the_cells_of_a_rack_keep_their_count(tmp_path):
    rack = load_rack("bench-16x16")
    rack = rack.model_copy(update={"limits": rack.limits.model_copy(update={"pulses_per_cell": 10})})
    first = Spent(rack, ChipLedger("rack x", tmp_path))
    for _ in range(6):
        first.charge(3, 4, 1, 2.0, 1e-3)
    second = Spent(rack, ChipLedger("rack x", tmp_path))
    assert second.pulses[3, 4] == 6 and second.pulses.sum() == 6
    assert (second.joules == first.joules).all() and second.joules[3, 4] > 0
    with pytest.raises(BudgetSpent, match="would have 11"):
        second.charge(3, 4, 5, 2.0, 1e-3)
    assert Spent(rack, ChipLedger("rack of another chip", tmp_path)).pulses.sum() == 0


def test_the_energy_of_a_rack_s_cells_is_counted_over_sessions_and_has_a_budget(tmp_path):
    """A pulse of 1 V, 1 ms at up to 100 uS is at most 0.1 uJ, a quarter of it for who waits at half the voltage."""
    rack = load_rack("bench-16x16")
    limits = {"g_max_s": 1e-4, "current_a": 1e-3, "energy_per_cell_j": 1e-6}
    rack = rack.model_copy(update={"limits": rack.limits.model_copy(update=limits)})
    first = Spent(rack, ChipLedger("rack x", tmp_path))
    first.charge(3, 4, 7, 1.0, 1e-3)
    heat = Spent(rack, ChipLedger("rack x", tmp_path)).joules
    assert heat[3, 4] == pytest.approx(7e-7) and heat[3, 5] == heat[2, 4] == pytest.approx(7e-7 / 4)
    assert np.count_nonzero(heat) == rack.rows + rack.columns - 1
    second = Spent(rack, ChipLedger("rack x", tmp_path))
    with pytest.raises(BudgetSpent, match=r"cell \(3, 4\) would have 1.1e-06 J, the bench allows 1e-06"):
        second.charge(3, 4, 4, -1.0, 1e-3)
    second.charge(3, 5, 8, 1.0, 1e-3)
    with pytest.raises(BudgetSpent, match=r"cell \(3, 4\)"):  # its neighbour's pulses heat it, too
        second.charge(3, 6, 5, 1.0, 1e-3)
    assert second.pulses[3, 6] == 0


def test_the_compliance_bounds_what_a_cell_beyond_its_range_gets(tmp_path):
    rack = load_rack("bench-16x16")
    limits = {"g_max_s": 1e-3, "current_a": 1e-6}
    rack = rack.model_copy(update={"limits": rack.limits.model_copy(update=limits)})
    spent = Spent(rack, None)
    spent.charge(0, 0, 1, 1.0, 1e-3)
    assert spent.joules[0, 0] == pytest.approx(1e-9)

"""Safe practice, seen from the devices' side: the virtual rack's own log, and a hundred seeded misuses."""

import random

import numpy as np
import pytest

from drivers.errors import DeviceError
from drivers.loopback import Loopback
from drivers.rack import cells, program
from drivers.rack.network import NetworkSession, layout
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import load_rack
from firmware_specs.racks.wiring import GROUND

READ_V, PULSE_V, DRIVE_V, HOT_V, HOT_A = 0.2, 2.0, 0.5, 0.01, 1e-4


def bench(name="bench-16x16"):
    rack = load_rack(name)
    virtual = VirtualRack(rack, log_commands=True)
    return virtual, lambda: Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box))


def assert_safe_practice(virtual):
    """What may never be in the log, whatever the host did."""
    limited, on = set(), set()
    for event in virtual.log.events:
        if event.kind in ("close", "open"):
            assert event.value <= (HOT_V if event.kind == "close" else HOT_A), f"switched hot: {event}"
        elif event.kind == "limit":
            limited.add(event.subject)
            assert event.value <= (5e-3 if event.text == "amps" else 2.0)
        elif event.kind == "output":
            if event.value:
                assert event.subject in limited or event.subject.startswith("mainframe"), f"no compliance: {event}"
                on.add(event.subject)
            else:
                on.discard(event.subject)
        elif event.kind == "level":
            assert abs(event.value) <= (PULSE_V if event.text == "volts" else 1e-4) * 1.001, f"over range: {event}"
            assert event.value == 0 or event.subject in on, f"set while off: {event}"
        elif event.kind == "stress":
            assert event.value <= PULSE_V * 1.01


def assert_off(virtual):
    assert virtual.bench.outputs_on() == []
    assert not virtual.bench.closed - {r for r in virtual.bench.closed if f"welded:{r[1]}" in virtual.bench.faults}


def test_everything_the_rack_does_is_safe_practice_by_its_own_log():
    virtual, open_rig = bench()
    with open_rig() as rig:
        cells.curve(rig, 1, 2, np.linspace(-0.2, 0.2, 5))
        target = np.full((16, 16), np.nan)
        target[3, 4:7] = (2e-5, 1e-4, 1.8e-4)
        program.write(rig, target)
        session = NetworkSession(rig, layout(rig, 10, [12, 3], [6, None]))
        session.settle(np.linspace(-0.5, 0.5, 10), [np.array([5e-5, 0.0, -5e-5])])
        session.close()
        cells.product(rig, np.linspace(-0.2, 0.2, 16))
    assert_safe_practice(virtual)
    assert_off(virtual)
    closes = virtual.log.of("close", "open")
    assert len(closes) > 100
    assert max(e.value for e in closes) <= HOT_V


def test_break_before_make_no_line_ever_hangs_on_two_terminals():
    virtual, open_rig = bench()
    with open_rig() as rig:
        cells.read_mode(rig)
        for row, column in ((0, 0), (5, 9), (15, 15), (5, 9)):
            cells.select(rig, row, column)
    masters = {}
    for event in virtual.log.of("close", "open"):
        terminal, line = event.text.split(" - ")
        if event.kind == "open":
            masters[line].discard(terminal)
        else:
            masters.setdefault(line, set()).add(terminal)
            assert len(masters[line]) == 1, f"{line} hangs on {masters[line]}"


def test_a_parking_that_is_none_is_refused_before_a_relay_moves():
    virtual, open_rig = bench()
    with open_rig() as rig, pytest.raises(DeviceError, match="'quarter': 'ground' or 'half' is expected"):
        cells.conductance_map(rig, parking="quarter")
    assert not virtual.log.of("close")


def test_an_exception_leaves_outputs_off_and_relays_open():
    virtual, open_rig = bench()
    with pytest.raises(RuntimeError, match="mine"), open_rig() as rig:
        cells.read_mode(rig)
        cells.select(rig, 0, 0)
        rig.outputs.set_level(rig.rack.roles.force, 0.2)
        assert virtual.bench.outputs_on()
        raise RuntimeError("mine")
    assert_off(virtual)


def hot_switch(rig, virtual, draw):
    cells.read_mode(rig)
    cells.select(rig, draw.randrange(16), draw.randrange(16))
    rig.outputs.set_level(rig.rack.roles.force, draw.uniform(0.05, 0.2))
    rig.route({(rig.rack.roles.force, f"row{draw.randrange(16)}"), (GROUND, "col0")})


def missing_compliance(rig, virtual, draw):
    rig.outputs.smu(draw.choice(["smu1.a", "smu1.b", "smu2.a", "smu2.b"])).output(True)


def over_range(rig, virtual, draw):
    cells.read_mode(rig)
    cells.select(rig, 0, 0)
    rig.outputs.set_level(
        rig.rack.roles.force, draw.choice([-1, 1]) * draw.choice([0.21, 3.0, 250.0, float("nan"), float("inf")])
    )


def raw_command(rig, virtual, draw):
    box = draw.choice(["smu1", "mainframe"])
    line = {"smu1": "smua.source.levelv=5", "mainframe": ":SOUR:VOLT 5,(@1001)"}[box]
    rig.boxes[box].dialogue.write(line)


def sentinel(rig, virtual, draw):
    cells.read_mode(rig)
    cells.select(rig, draw.randrange(16), draw.randrange(16))
    virtual.bench.faults.add("sentinel")
    rig.measure(rig.rack.roles.sense)


def wrong_identity(rig, virtual, draw):
    rig.close()
    virtual.bench.faults.add(f"identity:{draw.choice(['smu1', 'smu2', 'matrix', 'mainframe'])}")
    Rig(virtual.rack, lambda box, spec, _: Loopback(virtual.feed(box), box))


def tripped_interlock(rig, virtual, draw):
    virtual.bench.faults.add("interlock")
    cells.read_mode(rig)


def welded_relay(rig, virtual, draw):
    cells.read_mode(rig)
    cells.select(rig, 0, 0)
    virtual.bench.faults.add("welded:1A01")
    cells.select(rig, 1, 1)


def broken_relay(rig, virtual, draw):
    row = draw.randrange(1, 12)
    virtual.bench.faults.add(f"broken:1A{row + 1:02d}")
    cells.read_mode(rig)
    cells.select(rig, row, 0)


def two_masters(rig, virtual, draw):
    cells.read_mode(rig)
    row = draw.randrange(16)
    rig.route({(rig.rack.roles.force, f"row{row}"), (GROUND, f"row{row}")})


def dac_against_matrix(rig, virtual, draw):
    rig.route({(GROUND, "row3")})
    rig.outputs.drive({"row3": 0.0})


def compliance(rig, virtual, draw):
    cells.read_mode(rig)
    cells.select(rig, 0, 0)
    rig.boxes["smu1"].dialogue.write("smua.source.limiti=1e-7")
    rig.outputs.set_level(rig.rack.roles.force, 0.2)
    rig.measure(rig.rack.roles.force)


def lost_answer(rig, virtual, draw):
    cells.read_mode(rig)
    cells.select(rig, 0, 0)
    rig.boxes["smu1"].dialogue.ask("smua.source.delay=0")  # an assignment answers nothing: a timeout


MISUSES = (hot_switch, missing_compliance, over_range, raw_command, sentinel, wrong_identity, tripped_interlock,
           welded_relay, broken_relay, two_masters, dac_against_matrix, compliance, lost_answer)  # fmt: skip


@pytest.mark.parametrize("seed", range(104))
def test_a_misuse_is_refused_or_stopped_safely(seed):
    draw = random.Random(seed)
    misuse = MISUSES[seed % len(MISUSES)]
    virtual, open_rig = bench()
    with pytest.raises(DeviceError), open_rig() as rig:
        misuse(rig, virtual, draw)
    assert_safe_practice(virtual)
    assert_off(virtual)

import time

import numpy as np
import pytest

from firmware_specs import datasheet, messages
from firmware_specs.chains import dense_chain
from firmware_specs.codes import ErrorCode, Opcode, State, Trip
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Patch, Pulse, Region, Settle, WriteCells


@pytest.fixture
def sheet():
    plain = datasheet.load("mixed-8bit").model_dump()
    return Datasheet.model_validate(
        plain
        | {
            "pulses": {"law": "constant", "step": 0.01, "amplitude_v": 1.0, "width_s": 1e-6},
            "programming": {"verify_rounds": 3, "verify_tolerance": 0.01, "write_time_s": 1e-6},
        }
    )


def codes_of(ask, region, reads=1):
    return messages.CellCodes.parse(ask(Opcode.READ_CELLS, messages.ReadCells(region, reads))).codes


def pulse(region, count, up=True, amplitude_v=1.0, width_s=1e-6):
    return Pulse(region, up, amplitude_v, width_s, count)


def test_pulses_move_cells_and_are_counted_where_they_went(ask, armed):
    before = codes_of(ask, armed.region).astype(float)
    counts = np.zeros((5, 3), "u2")
    counts[2, 1] = 7
    done = messages.Pulsed.parse(ask(Opcode.PULSE, pulse(armed.region, counts)))
    assert (done.delivered, done.most) == (7, 7)
    moved = (codes_of(ask, armed.region) - before) / 2**32
    assert moved[2, 1] == pytest.approx(0.07, rel=1e-3) and np.count_nonzero(moved) == 1
    done = messages.Pulsed.parse(ask(Opcode.PULSE, pulse(Region(0, 0, 0, 2, 1, 1, 1), 2, up=False)))
    assert (done.delivered, done.most) == (2, 9)
    assert messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses[2, 1] == 9


@pytest.mark.parametrize(("change", "detail"), [({"amplitude_v": 3.1}, 2), ({"width_s": 1.1e-3}, 3)])
def test_pulses_beyond_the_limits_are_refused(ask, armed, device, change, detail):
    refused = ask(Opcode.PULSE, pulse(armed.region, 1, **change))
    assert (refused.code, refused.detail) == (ErrorCode.LIMIT, detail)
    assert not [e for e in device.journal.of("setpoint") if "pulse" in e.text]


@pytest.mark.parametrize("energy", [False, True])
def test_pulses_beyond_a_budget_are_refused_as_a_whole(ask, armed, energy):
    per_pulse = 1e-6 * 1.01e-4
    most_j = 10.5 * per_pulse if energy else float("inf")
    record = messages.LimitsRecord(5e-4, 0.2, 3.0, 1e-3, 1e6 if energy else 10.0, most_j, 358.0, float("inf"))
    ask(Opcode.SET_LIMITS, record)
    assert ask(Opcode.PULSE, pulse(armed.region, 11)).code == ErrorCode.BUDGET
    assert messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses.sum() == 0
    assert isinstance(ask(Opcode.PULSE, pulse(armed.region, 10)), bytes)


def test_the_device_verifies_what_it_writes_and_reports_pulses_and_misses(ask, armed):
    codes = np.full((5, 3), 2**31, "u4")
    patch = (Patch(armed.region, codes),)
    usual = messages.Written.parse(ask(Opcode.WRITE_CELLS, WriteCells(0, patch)))
    assert usual.written == 15 and usual.pulses >= 15
    once = messages.Written.parse(ask(Opcode.WRITE_CELLS, WriteCells(0, patch, verify=0xFFFF)))
    assert (once.pulses, once.failed) == (15, 0)
    strict = messages.Written.parse(ask(Opcode.WRITE_CELLS, WriteCells(0, patch, verify=50, tolerance=1e-3)))
    assert strict.pulses > 30 and strict.failed <= 2
    used = messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses.sum()
    assert used == usual.pulses + once.pulses + strict.pulses


def test_rewrites_count_against_the_budget_before_they_happen(ask, armed):
    record = messages.LimitsRecord(5e-4, 0.2, 3.0, 1e-3, 3.0, float("inf"), 358.0, float("inf"))
    ask(Opcode.SET_LIMITS, record)
    patch = (Patch(armed.region, np.full((5, 3), 2**31, "u4")),)
    assert ask(Opcode.WRITE_CELLS, WriteCells(0, patch)).code == ErrorCode.BUDGET
    assert isinstance(ask(Opcode.WRITE_CELLS, WriteCells(0, patch, verify=0xFFFF)), bytes)


def test_what_cells_have_had_stays_theirs_under_another_topology(ask, armed):
    ask(Opcode.PULSE, pulse(armed.region, 4))
    ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([2, 6])))
    ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([4, 3])))
    pulses = messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses
    assert pulses[:3, :3].tolist() == [[4] * 3] * 3


def test_reads_are_summed_and_average_the_noise(ask, armed):
    one = messages.SettleReply.parse(ask(Opcode.SETTLE, Settle(0, armed.drive, (), (1,)))).states[0]
    many = messages.SettleReply.parse(ask(Opcode.SETTLE, Settle(0, armed.drive, (), (1,), reads=100))).states[0]
    assert (one.dtype.itemsize, many.dtype.itemsize) == (1, 2)
    assert np.abs(many / 100 - one).max() < 5
    assert ask(Opcode.SETTLE, Settle(0, armed.drive, reads=5000)).code == ErrorCode.OUT_OF_RANGE
    assert codes_of(ask, armed.region, reads=3).dtype.itemsize == 8


def test_a_hot_chip_turns_its_outputs_off_and_stays_off_until_it_is_cool(ask, armed, device):
    ask(Opcode.SET_TEMPERATURE, messages.pack_number(400.0))
    assert device.outputs.state is State.TRIPPED and device.outputs.trip_cause is Trip.OVER_TEMPERATURE
    assert ask(Opcode.CLEAR).code == ErrorCode.TRIPPED
    ask(Opcode.SET_TEMPERATURE, messages.pack_number(300.0))
    assert messages.parse_number(ask(Opcode.TEMPERATURE)) == 300.0
    assert ask(Opcode.CLEAR) == b"" and ask(Opcode.ARM)


def test_waiting_moves_the_chips_clock_and_not_the_watchdog(ask, armed, device):
    before = messages.parse_number(ask(Opcode.CLOCK))
    assert messages.parse_number(ask(Opcode.WAIT, messages.pack_number(86400.0))) == pytest.approx(before + 86400)
    assert device.outputs.on and device.deeds == 1
    assert ask(Opcode.WAIT, messages.pack_number(-1.0)).code == ErrorCode.MALFORMED


class TestNobodyIsHeldUpByOneRequest:
    """A client may ask for as much as a request can hold; everybody else's DISARM waits for it."""

    @pytest.fixture
    def sheet(self):
        plain = datasheet.load("reram").model_dump(exclude_unset=True)
        plain["limits"] |= {"max_pulses_per_cell": 1e12}
        return Datasheet.model_validate(plain)

    @pytest.mark.parametrize("count", [65_535, 65_536, 2**32 - 1])
    def test_pulses(self, ask, armed, sheet, count):
        law = sheet.pulses
        began = time.process_time()
        done = ask(Opcode.PULSE, pulse(Region(0, 0, 0, 1, 4, 0, 3), count, True, law.amplitude_v, law.width_s))
        assert time.process_time() - began < 8.0
        if count > 65_535:
            assert (done.code, done.detail) == (ErrorCode.TOO_LARGE, 65_535)
        else:
            assert messages.Pulsed.parse(done).delivered == 12 * count

    def test_pulses_of_all_cells_together(self, ask, sheet):
        ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([30, 30])))
        ask(Opcode.WATCHDOG, messages.pack_number(2.0))
        ask(Opcode.ARM)
        law = sheet.pulses
        done = ask(Opcode.PULSE, pulse(Region(0, 0, 0, 0, 30, 0, 30), 65_535, True, law.amplitude_v, law.width_s))
        assert (done.code, done.detail) == (ErrorCode.TOO_LARGE, 1 << 20)

    @pytest.mark.parametrize("verify", [10_000, 10_001, 65_534])
    def test_rewrites_of_what_no_write_hits(self, ask, armed, sheet, verify):
        patch = Patch(armed.region, np.full((5, 3), 1 << 31, "u4"), None)
        began = time.process_time()
        done = ask(Opcode.WRITE_CELLS, WriteCells(0, (patch,), verify, 0.0))
        assert time.process_time() - began < 8.0
        if verify > 10_000:
            assert (done.code, done.detail) == (ErrorCode.OUT_OF_RANGE, 10_000)
        else:
            assert messages.Written.parse(done).failed > 0

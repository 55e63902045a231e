"""Every verb on boards with small messages and long stated times: cut so that each request fits, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from drivers.crossbar import Crossbar
from drivers.errors import OutOfRange
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Opcode
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.messages import Region, Train

PROTOCOLS = ("frames", "scpi")
ONE_FRAME = {"link": {"max_request": 4056, "max_reply": 4056, "window": 2}}
BOARDS = {
    "one frame, window 2": ONE_FRAME,
    "4 KiB": {"link": {"max_request": 4096, "max_reply": 4096}},
    "small replies only": {"link": {"max_reply": 3500}},
    "1 ms a cell": {"programming": {"write_time_s": 1e-3}, "settle": {"read_time_s": 1e-3}},
    "20 ms a settle": {"settle": {"time_s": 20e-3}},
    "rewrites": {"programming": {"write_time_s": 1e-3, "verify_rounds": 7, "verify_tolerance": 1e-6}},
    "8 ms a reading": {"settle": {"read_time_s": 8e-3}},
    "all of it": ONE_FRAME | {"programming": {"write_time_s": 5e-3}, "settle": {"time_s": 20e-3, "read_time_s": 1e-3}},
}
LONGEST_S = 0.5
"""PROTOCOL.md 9.4."""
ROWS, COLUMNS = 61, 24
REGION = Region(0, 0, 1, 0, ROWS, 0, COLUMNS)
QUANTIZED = {
    "drive_dac": {"bits": 8, "low_a": -1e-3, "high_a": 1e-3},
    "cells": {"g_min_s": 1e-6, "g_max_s": 1e-4, "bits": 8},
    "pulses": {"law": "constant", "step": 0.01, "amplitude_v": 1.0, "width_s": 1e-4},
    "coincidence": {"half_select": 0.0},
}
RESOLVED = 2e-5
"""Of states up to 90 that are float32 numbers; at a smaller one no sample rests, and each is swept to the bound."""


class Watched(Machine):
    """A device that keeps what its requests asked of it."""

    def __init__(self, sheet):
        self.seconds, self.requests = [0.0], []
        super().__init__(Device(Chip(sheet, seed=1), work=lambda s: self.seconds.__setitem__(-1, self.seconds[-1] + s)))

    def execute(self, opcode, payload, door):
        self.seconds.append(0.0)
        reply = super().execute(opcode, payload, door)
        self.requests.append((Opcode(opcode), len(payload), len(reply)))
        return reply

    def count(self, verb):
        return sum(opcode is verb for opcode, _, _ in self.requests)


def sheet_with(changes, name="ideal"):
    document = load(name).model_dump(mode="json", exclude_none=True)
    for section, keys in (QUANTIZED | changes if name == "ideal" else changes).items():
        document[section] = document.get(section, {}) | keys if section in changes else keys
    if name == "ideal":
        document["settle"]["tolerance"] = RESOLVED
    return Datasheet.model_validate(document)


def opened(protocol, machine, byte_s=0.0, sent=lambda data: None, **options):
    """Open with a watchdog that a busy host does not trip: hardly anything here is about it."""
    endpoint = {"frames": SerialEndpoint, "scpi": ScpiEndpoint}[protocol](machine, "x")

    def feed(data):
        answer = endpoint.feed(data)
        sent(len(data) + len(answer))
        return answer

    if protocol == "frames":
        dialect = Framed(FramedLink(Loopback(feed, "x"), owner="test"), byte_s=byte_s)
    else:
        dialect = Scpi(ScpiLink(Loopback(feed, "x")), byte_s=byte_s)
    return Crossbar(Session(dialect, **{"watchdog_s": 30.0} | options))


def everything(crossbar):
    """What every verb answers, on a block of 60 x 24 cells twice."""
    draw = np.random.default_rng(5)
    topology = dense_chain([ROWS - 1, COLUMNS], slope=0.5)
    crossbar.configure(0, topology)
    crossbar.arm()
    targets = draw.uniform(1e-6, 1e-4, (2, ROWS, COLUMNS))
    found = {"program": crossbar.program(0, [targets])}
    found["again"] = crossbar.program(0, [np.where(draw.random(targets.shape) < 0.3, 5e-5, targets)], verify_rounds=2)
    found["read"] = crossbar.read_conductances(0, 0, reads=3)
    found["measured"] = crossbar.measure(REGION, [0.1, -0.1, 0.05], reads=2)
    counts = draw.integers(0, 3, (ROWS, COLUMNS)).astype(np.uint16)
    counts[3, 4] = 700
    found["most"] = crossbar.pulse(REGION, up=True, amplitude_v=1.0, width_s=1e-4, count=counts)
    found["one count"] = crossbar.pulse(
        replace(REGION, row=5, rows=50), up=False, amplitude_v=1.0, width_s=1e-4, count=3
    )
    found["usage"] = crossbar.usage(REGION)
    drive = draw.uniform(-1e-4, 1e-4, (64, ROWS - 1))
    nudges = [draw.uniform(-1e-5, 1e-5, (64, COLUMNS)) for _ in range(2)]
    settled = crossbar.settle(0, drive, nudges, reads=4)
    found |= {"states": settled.states_v, "settled": settled.settled, "clipped": settled.clipped}
    start = [states[0] for states in settled.states_v]
    found["warm"] = crossbar.settle(0, drive, nudges, start_v=start).states_v
    found["faults"] = len(crossbar.session.fault_log().entries)
    return found


def flat(values):
    return np.hstack([np.ravel(v) for v in values]) if isinstance(values, tuple) else np.ravel(values)


@pytest.fixture(scope="module")
def uncut():
    machine = Watched(sheet_with({}))
    with opened("frames", machine) as crossbar:
        found = everything(crossbar)
    assert machine.count(Opcode.SETTLE) == 2 and machine.count(Opcode.MEASURE) == 1
    assert found["settled"].all()
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_verb_fits_the_board_and_says_the_same(board, protocol, uncut):
    machine = Watched(sheet_with(board))
    device = machine.device
    for number in range(80):
        device.fault(0x31, f"entry {number} " + "x" * 200)
    with opened(protocol, machine) as crossbar:
        found = everything(crossbar)
    assert max(machine.seconds) <= LONGEST_S
    assert max(size for _, size, _ in machine.requests) <= device.max_request
    assert max(size for _, _, size in machine.requests) <= device.max_reply
    assert found.pop("faults") == 64
    for name, values in found.items():
        if name == "again":
            assert values.written == uncut[name].written
        elif name == "program":
            assert values.written == uncut[name].written == 2 * ROWS * COLUMNS
        else:
            np.testing.assert_allclose(flat(values), flat(uncut[name]), rtol=2e-3, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("board", ["one frame, window 2", "1 ms a cell", "all of it"])
def test_trains_on_rows_and_columns_are_cut_too(protocol, board):
    draw = np.random.default_rng(5)
    trains = [
        Train(replace(REGION, plane=plane), up, draw.random((900, ROWS)) < 0.1, draw.random((900, COLUMNS)) < 0.2)
        for plane, up in ((0, True), (1, False), (1, True))
    ]
    held = []
    for changes in ({}, BOARDS[board]):
        machine = Watched(sheet_with(changes))
        with opened(protocol, machine) as crossbar:
            crossbar.configure(0, dense_chain([ROWS - 1, COLUMNS], slope=0.5))
            crossbar.arm()
            crossbar.program(0, [np.full((2, ROWS, COLUMNS), 5e-5)])
            most = crossbar.coincide(0, trains, amplitude_v=1.0, width_s=1e-4)
            chip = machine.device.chip
            held.append((most, chip.usage(0, 0)[0].tolist(), chip.conductances_s(0)[0].numpy()))
        assert max(machine.seconds) <= LONGEST_S
        assert max(size for _, size, _ in machine.requests) <= machine.device.max_request
    assert held[0][:2] == held[1][:2] and machine.count(Opcode.COINCIDE) >= 6
    np.testing.assert_allclose(held[0][2], held[1][2], rtol=1e-5)
    assert np.array(held[0][1])[0].sum() == ROWS * COLUMNS + trains[0].counts.sum()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_products_are_cut_too(protocol):
    slow = {"product": {"read_time_s": 0.1, "reads": 20}, "link": {"max_request": 1500, "max_reply": 1500}}
    quiet = {"noise_sigma_a": 0.0}
    document = load("openmena-8x8-like").model_dump(mode="json", exclude_none=True)
    line_adc = document["product"]["line_adc"] | quiet
    plain = sheet_with({"product": {"line_adc": line_adc}, "read_noise": {}}, "openmena-8x8-like")
    small = sheet_with({**slow, "product": slow["product"] | {"line_adc": line_adc}}, "openmena-8x8-like")
    volts = np.random.default_rng(2).uniform(0.0, 0.5, (200, 8))
    answers = []
    for sheet in (plain, small):
        machine = Watched(sheet)
        with opened(protocol, machine) as crossbar:
            crossbar.configure(0, dense_chain([8, 8], bias=False))
            crossbar.arm()
            crossbar.program(0, [np.full((2, 8, 8), 5e-5)])
            answers.append([crossbar.product(0, 0, volts, 1, transposed=way, reads=20)[0] for way in (False, True)])
        assert max(machine.seconds) <= LONGEST_S
    assert machine.count(Opcode.PRODUCT) >= 100
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("board", "verb"),
    [
        ({"settle": {"time_s": 0.6}}, "settling one sample takes 0.6 s"),
        ({"programming": {"write_time_s": 0.6}}, "writing one cell takes 0.6 s"),
        ({"settle": {"read_time_s": 0.6}}, "settling one sample takes"),
    ],
    ids=["settle", "write", "read"],
)
def test_what_cannot_be_cut_is_refused_until_it_is_allowed_by_name(protocol, board, verb):
    def step(crossbar):
        crossbar.configure(0, dense_chain([6, 4]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 7, 4), 5e-5)])
        crossbar.settle(0, np.zeros((2, 6)))

    machine = Watched(sheet_with(board))
    with opened(protocol, machine) as crossbar, pytest.raises(OutOfRange, match=verb) as refused:
        step(crossbar)
    assert "allow_long_requests" in str(refused.value)
    assert max(machine.seconds) <= LONGEST_S
    machine = Watched(sheet_with(board))
    with opened(protocol, machine, allow_long_requests=True) as crossbar:
        step(crossbar)
    assert 0.6 <= max(machine.seconds) <= 0.7


def test_one_long_pulse_is_refused_until_it_is_allowed_by_name():
    sheet = sheet_with({"limits": {"max_drive_a": 1e-2, "max_pulse_s": 2.0}})
    for allowed in (False, True):
        machine = Watched(sheet)
        with opened("frames", machine, allow_long_requests=allowed) as crossbar:
            crossbar.configure(0, dense_chain([6, 4]))
            crossbar.arm()
            region = Region(0, 0, 0, 0, 2, 0, 2)
            if allowed:
                crossbar.pulse(region, up=True, amplitude_v=1.0, width_s=1.0, count=2)
                assert machine.count(Opcode.PULSE) == 8 and max(machine.seconds) == 1.0
            else:
                with pytest.raises(OutOfRange, match="one pulse takes 1 s"):
                    crossbar.pulse(region, up=True, amplitude_v=1.0, width_s=1.0, count=2)
                assert not machine.count(Opcode.PULSE)
                assert not crossbar.session.guard.spent((0, 0, 0))[0].any(), "what was refused is not charged"


def test_a_block_whose_samples_fit_no_message_is_refused_in_words():
    machine = Watched(sheet_with({"link": {"max_request": 1024, "max_reply": 1024}}))
    with opened("frames", machine) as crossbar:
        crossbar.configure(0, dense_chain([128, 64]))
        crossbar.arm()
        with pytest.raises(OutOfRange, match=r"settling one sample needs a reply of \d+ bytes, the device has 1024"):
            crossbar.settle(0, np.zeros((2, 128)), [np.zeros((2, 64))] * 2)
    assert not machine.count(Opcode.SETTLE)


@pytest.mark.parametrize("batch", [2, 9, 31, 40])
def test_requests_under_way_together_are_bounded_by_time_too(batch):
    """A device executes in order: what was sent ahead stands before switching off."""
    machine = Watched(sheet_with({"settle": {"time_s": 0.03}, "link": {"max_request": 4056, "max_reply": 4056}}))
    endpoint, together_s = SerialEndpoint(machine, "x"), []

    def feed(data):
        before = len(machine.seconds)
        answer = endpoint.feed(data)
        together_s.append(sum(machine.seconds[before:]))
        return answer

    with Crossbar(Session(Framed(FramedLink(Loopback(feed, "x"), owner="test")))) as crossbar:
        crossbar.configure(0, dense_chain([200, 100]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 201, 100), 5e-5)])
        crossbar.settle(0, np.zeros((batch, 200)))
    assert machine.count(Opcode.SETTLE) > batch // 14
    assert 0 < max(together_s) <= LONGEST_S


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_line_is_busy_with_no_more_than_half_a_second_of_bytes(protocol, uncut_small):
    """Switching off waits behind them, and no watchdog hears a frame that is not whole."""
    byte_s, sent, machine = 10 / 19200, [], Watched(sheet_with({}))
    with opened(protocol, machine, byte_s, sent.append) as crossbar:
        found = few_of_everything(crossbar, sent.clear)
        assert len(sent) > 20
        assert max(sent) * byte_s <= LONGEST_S
    for name, values in found.items():
        np.testing.assert_allclose(flat(values), flat(uncut_small[name]), rtol=2e-3, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_line_cannot_carry_within_the_watchdog_is_refused_in_words(protocol):
    machine = Watched(sheet_with({}))
    with opened(protocol, machine, 10 / 1200, watchdog_s=2.0) as crossbar:
        crossbar.configure(0, dense_chain([300, 4]))
        crossbar.arm()
        with pytest.raises(OutOfRange, match=r"takes no note for .* at 120 bytes a second.*nothing was sent"):
            crossbar.settle(0, np.zeros((1, 300)))
    assert not machine.count(Opcode.SETTLE)


def few_of_everything(crossbar, begun=lambda: None):
    """Every verb that carries arrays, on 20 x 10 cells."""
    draw, region = np.random.default_rng(5), Region(0, 0, 1, 0, 20, 0, 10)
    crossbar.configure(0, dense_chain([19, 10], slope=0.5))
    crossbar.arm()
    begun()
    crossbar.program(0, [draw.uniform(1e-6, 1e-4, (2, 20, 10))])
    found = {"read": crossbar.read_conductances(0, 0), "measured": crossbar.measure(region, [0.1, -0.1], reads=2)}
    crossbar.pulse(
        region, up=True, amplitude_v=1.0, width_s=1e-4, count=draw.integers(0, 3, (20, 10)).astype(np.uint16)
    )
    found["usage"] = crossbar.usage(region)
    drive, nudges = draw.uniform(-1e-4, 1e-4, (40, 19)), [draw.uniform(-1e-5, 1e-5, (40, 10)) for _ in range(2)]
    return found | {"states": crossbar.settle(0, drive, nudges).states_v}


@pytest.fixture(scope="module")
def uncut_small():
    with opened("frames", Watched(sheet_with({}))) as crossbar:
        return few_of_everything(crossbar)

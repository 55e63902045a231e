"""The whole dialogue, host and device, over a wire that loses, damages, repeats and delays."""

import time

import numpy as np
import pytest

from drivers.errors import LinkError
from drivers.link import FramedLink
from drivers.loopback import Loopback
from emulator.chip import Chip
from emulator.device import Device
from emulator.faults import FaultPlan, Faulty, frame_cutter
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import datasheet, messages
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Opcode
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Coincide, Pulse, Region, Train

WIRE_FAULTS = ("lost_request", "lost_reply", "late_reply", "duplicate", "garbage", "bit_flip", "truncation", "split",
               "nak", "busy")  # fmt: skip
CELL = Region(0, 0, 0, 0, 1, 0, 1)
ALL = Region(0, 0, 0, 0, 5, 0, 3)
DEADLINE_S = 2.0


def open_link(plan):
    plain = datasheet.load("mixed-8bit").model_dump()
    law = {"law": "constant", "step": 1e-9, "amplitude_v": 1.0, "width_s": 1e-6}
    limits = plain["limits"] | {"max_pulses_per_cell": 10**9}
    lines = {"half_select": 0.0}
    device = Device(Chip(Datasheet.model_validate(plain | {"pulses": law, "limits": limits, "coincidence": lines})))
    faulty = Faulty(SerialEndpoint(Machine(device), "bad wire"), device, plan, frame_cutter())
    link = FramedLink(Loopback(faulty.feed))
    link.open(30.0)
    link.transact(Opcode.CONFIGURE, messages.Configure(0, dense_chain([4, 3])).pack(), 30.0)
    link.transact(Opcode.WATCHDOG, messages.pack_number(60.0), 30.0)
    link.transact(Opcode.ARM, timeout_s=30.0)
    return link, device, faulty


@pytest.fixture(autouse=True)
def own_time(own_clock):
    """Time passes while this thread computes, and by what it would sleep: not while others have the processor."""
    slept_s = [0.0]

    def sleep(seconds):
        slept_s[0] += seconds

    own_clock(lambda: time.thread_time() + slept_s[0], sleep)


class Campaign:
    """Random transactions whose right answers are known; a pulse is counted on both sides."""

    def __init__(self, plan, seed=0):
        self.link, self.device, self.faulty = open_link(plan)
        self.rng = np.random.default_rng(seed)
        self.wanted = np.zeros((5, 3), np.int64)
        self.raised = 0
        self.slowest_s = 0.0

    def run(self, transactions):
        for _ in range(transactions):
            try:
                self.rng.choice([self.echo, self.pulse, self.coincide, self.look], p=[0.6, 0.2, 0.1, 0.1])()
            except LinkError:
                self.raised += 1
                self.reconcile()
        assert (self.used() == self.wanted).all()

    def transact(self, opcode, payload):
        """Recovered or raised within the deadline plus 10 %."""
        start = time.monotonic()
        try:
            return self.link.transact(opcode, payload, DEADLINE_S)
        finally:
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)
            assert self.slowest_s < DEADLINE_S * 1.1

    def echo(self):
        data = self.rng.bytes(int(self.rng.integers(0, 100) ** 2 * (self.rng.random() < 0.1) + 8))
        assert self.transact(Opcode.ECHO, data) == data

    def pulse(self):
        row, column, count = (int(self.rng.integers(n)) for n in (5, 3, 9))
        self.last = np.zeros((5, 3), np.int64)
        self.last[row, column] = count
        request = Pulse(Region(0, 0, 0, row, 1, column, 1), True, 1.0, 1e-6, count)
        reply = messages.Pulsed.parse(self.transact(Opcode.PULSE, request.pack()))
        assert reply.delivered == count
        self.wanted += self.last

    def coincide(self):
        lines = self.rng.random((4, 5)) < 0.5, self.rng.random((4, 3)) < 0.5
        train = Train(ALL, True, *lines)
        self.last = train.counts
        reply = messages.Pulsed.parse(self.transact(Opcode.COINCIDE, Coincide(0, 1.0, 1e-6, (train,)).pack()))
        assert reply.delivered == self.last.sum()
        self.wanted += self.last

    def look(self):
        assert (self.used() == self.wanted).all()

    def used(self):
        return messages.CellUsage.parse(self.transact(Opcode.USAGE, ALL.pack())).pulses.astype(np.int64)

    def reconcile(self):
        """The outcome of the last pulse is unknown: read back, exactly once or not at all."""
        missing = self.used() - self.wanted
        if missing.any():
            assert (missing == self.last).all()
            self.wanted += missing


def test_a_sound_wire_needs_no_retry():
    campaign = Campaign(FaultPlan())
    campaign.run(200)
    assert campaign.link.counts.resent == campaign.link.counts.damaged == campaign.raised == 0


@pytest.mark.parametrize("fault", WIRE_FAULTS)
def test_no_pulse_is_lost_or_doubled_and_no_answer_wrong_under_one_fault(fault):
    campaign = Campaign(FaultPlan({fault: 0.2}, seed=1))
    campaign.run(150)
    assert campaign.faulty.struck[fault] > 20 and campaign.raised == 0


def test_four_hundred_faults_of_all_kinds_lose_nothing():
    campaign = Campaign(FaultPlan(dict.fromkeys(WIRE_FAULTS, 0.01), seed=2), seed=2)
    while campaign.faulty.struck.total() < 400:
        campaign.run(500)
    assert set(campaign.faulty.struck) == set(WIRE_FAULTS)


@pytest.mark.soak
def test_a_hundred_thousand_faults_in_a_million_transactions_lose_nothing():
    campaign = Campaign(FaultPlan(dict.fromkeys(WIRE_FAULTS, 0.01), seed=3), seed=3)
    campaign.run(1_000_000)
    print(f"faults: {campaign.faulty.struck.total()} {dict(campaign.faulty.struck)}")
    print(f"raised: {campaign.raised}, slowest transaction {campaign.slowest_s:.2f} s of {DEADLINE_S} s")
    assert campaign.faulty.struck.total() >= 100_000


@pytest.mark.parametrize("fault", ["disconnect", "reset", "wrong_identity"])
def test_a_device_that_goes_away_ends_the_dialogue_with_its_outputs_off(fault):
    link, device, faulty = open_link(FaultPlan())
    faulty.change(FaultPlan({fault: 1.0}))
    with pytest.raises(LinkError):
        link.transact(Opcode.PULSE, Pulse(CELL, True, 1.0, 1e-6, 1).pack(), 0.3)
    if fault == "disconnect":
        faulty.closed()
    assert not device.outputs.on


def test_a_stalled_device_is_waited_for_within_the_deadline(takes_less_than):
    link, _, faulty = open_link(FaultPlan())
    faulty.change(FaultPlan({"stall": 1.0}, stall_s=0.05))

    def ask():
        with pytest.raises(LinkError):
            link.transact(Opcode.ECHO, b"abc", 0.3)

    takes_less_than(0.33, ask)
    faulty.change(FaultPlan())
    assert link.transact(Opcode.ECHO, b"abc", 2.0) == b"abc"

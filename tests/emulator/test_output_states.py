"""Any sequence of verbs, doors, trips and time against a model of when outputs may be on."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.refused import Refused
from firmware_specs import datasheet, messages
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Opcode, State, Trip
from firmware_specs.messages import Settle

DOORS = st.sampled_from(["one", "two"])
SHEET = datasheet.load("mixed-8bit")
DRIVE = np.full((1, 2), 128, "u1")


class OutputStates(RuleBasedStateMachine):
    @initialize()
    def power_on(self):
        self.now = 0.0
        self.device = Device(Chip(SHEET), clock=lambda: self.now, boot=1)
        self.machine = Machine(self.device)
        self.state, self.owner, self.watchdog_s, self.fed_at = "SAFE", "", 0.0, 0.0
        self.ask(Opcode.CONFIGURE, "one", messages.Configure(0, dense_chain([2, 2])).pack())

    def ask(self, opcode, door, payload=b""):
        self.expire()
        try:
            self.machine.execute(opcode, payload, door)
            done = True
        except Refused:
            done = False
        if self.state == "ARMED" and door == self.owner:
            self.fed_at = self.now
        return done

    def expire(self):
        if self.state == "ARMED" and self.now - self.fed_at >= self.watchdog_s:
            self.state, self.owner = "TRIPPED", ""

    @rule(seconds=st.floats(0, 1.5))
    def time_passes(self, seconds):
        self.now += seconds
        self.expire()
        self.device.poll()

    @rule(door=DOORS, seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def set_watchdog(self, door, seconds):
        self.expire()
        allowed = self.owner in ("", door)
        assert self.ask(Opcode.WATCHDOG, door, messages.pack_number(seconds)) == allowed
        if allowed:
            self.watchdog_s, self.fed_at = seconds, self.now

    @rule(door=DOORS)
    def arm(self, door):
        self.expire()
        allowed = self.state != "TRIPPED" and self.watchdog_s > 0 and self.owner in ("", door)
        assert self.ask(Opcode.ARM, door) == allowed
        if allowed:
            self.state, self.owner, self.fed_at = "ARMED", door, self.now

    @rule(door=DOORS)
    def disarm(self, door):
        assert self.ask(Opcode.DISARM, door)
        if self.state == "ARMED":
            self.state, self.owner = "SAFE", ""

    @rule(door=DOORS)
    def clear(self, door):
        self.expire()
        allowed = self.owner in ("", door)
        assert self.ask(Opcode.CLEAR, door) == allowed
        if allowed and self.state == "TRIPPED":
            self.state = "SAFE"

    @rule(door=DOORS)
    def settle(self, door):
        self.expire()
        allowed = self.state == "ARMED" and door == self.owner
        assert self.ask(Opcode.SETTLE, door, Settle(0, DRIVE).pack()) == allowed

    @rule(door=DOORS)
    def heartbeat(self, door):
        assert self.ask(Opcode.HEARTBEAT, door)

    @rule()
    def emergency_stop(self):
        self.expire()
        self.device.poll()
        self.device.trip(Trip.EMERGENCY_STOP, "button")
        if self.state == "ARMED":
            self.state, self.owner = "TRIPPED", ""

    @rule(door=DOORS)
    def link_closes(self, door):
        self.expire()
        self.device.poll()
        self.device.link_closed(door)
        if self.state == "ARMED" and self.owner == door:
            self.state, self.owner = "TRIPPED", ""

    @rule()
    def power_fails(self):
        self.device.lose_power()
        self.state, self.owner, self.watchdog_s = "SAFE", "", 0.0
        self.ask(Opcode.CONFIGURE, "one", messages.Configure(0, dense_chain([2, 2])).pack())

    @invariant()
    def outputs_are_as_the_model_says(self):
        if hasattr(self, "device"):
            self.expire()
            self.device.poll()
            assert self.device.outputs.state is State[self.state]
            assert self.device.outputs.owner == self.owner


OutputStates.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestOutputStates = OutputStates.TestCase

"""The Crossbar driver against a model of the device, any order of verbs, over a bad wire (hypothesis)."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drivers.crossbar import Crossbar
from drivers.errors import BudgetSpent, DeviceFault
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.faults import FaultPlan, Faulty, frame_cutter
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.codes import State, Trip
from firmware_specs.datasheet import load
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.messages import Region

ROWS, COLUMNS, BUDGET = 5, 3, 12
FAULTS = {"lost_request": 0.02, "lost_reply": 0.02, "late_reply": 0.02, "duplicate": 0.02, "bit_flip": 0.02,
          "truncation": 0.02, "garbage": 0.02, "nak": 0.02, "busy": 0.02}  # fmt: skip
PLANES = st.integers(0, 1)
CODES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2 * ROWS * COLUMNS, max_size=2 * ROWS * COLUMNS)


class DriverAndDevice(RuleBasedStateMachine):
    """What the device must be is computed from the verbs alone; after every step it is compared with what it is."""

    @initialize(seed=st.integers(0, 1000))
    def open(self, seed):
        sheet = load("mixed-8bit")
        sheet = sheet.model_copy(update={"pulses": Pulses(law="constant", step=1e-3)})
        self.device = Device(Chip(sheet, seed))
        wire = Faulty(
            SerialEndpoint(Machine(self.device), "bad wire"),
            self.device,
            FaultPlan(FAULTS, seed=seed, busy_ms=1),
            frame_cutter(),
        )
        limits = {"model": {"max_pulses_per_cell": float(BUDGET)}}
        dialect = Framed(FramedLink(Loopback(wire.feed)), timeout_s=20.0)
        self.crossbar = Crossbar(Session(dialect, limits=limits, watchdog_s=60.0, open_timeout_s=20.0))
        self.crossbar.configure(0, dense_chain([ROWS - 1, COLUMNS]))
        self.state = State.SAFE
        self.codes = None
        self.pulses = np.zeros((2, ROWS, COLUMNS), np.int64)

    @rule()
    def arm(self):
        if self.state is State.TRIPPED:
            self.refused(self.crossbar.arm, "TRIPPED")
        else:
            self.crossbar.arm()
            self.state = State.ARMED

    @rule()
    def disarm(self):
        self.crossbar.disarm()
        self.state = State.SAFE if self.state is State.ARMED else self.state

    @rule()
    def trip(self):
        if self.state is State.ARMED:
            self.device.trip(Trip.EMERGENCY_STOP, "button")
            self.state = State.TRIPPED

    @rule()
    def clear_trip(self):
        self.crossbar.session.clear_trip()
        self.state = State.SAFE if self.state is State.TRIPPED else self.state

    @rule(fractions=CODES)
    def program(self, fractions):
        low, high = self.crossbar.g_range_s
        target = np.array(fractions).reshape(2, ROWS, COLUMNS)
        changed = np.ones_like(target, bool) if self.codes is None else self.codes != target
        if self.state is not State.ARMED and changed.any():
            before = [self.crossbar.session.guard.spent((0, 0, plane))[0] for plane in (0, 1)]
            self.refused(
                lambda: self.crossbar.program(0, [low + target * (high - low)]), "NOT_ARMED|TRIPPED|would have"
            )
            self.charged = before
            self.codes = np.where(changed, np.nan, target) if self.codes is not None else None
            return
        if (self.host_pulses() + changed > BUDGET).any() and changed.any():
            self.refused(lambda: self.crossbar.program(0, [low + target * (high - low)]), "would have")
            return
        done = self.crossbar.program(0, [low + target * (high - low)])
        assert done.written == changed.sum()
        self.codes = target
        self.pulses += changed

    @rule(plane=PLANES, row=st.integers(0, ROWS - 1), column=st.integers(0, COLUMNS - 1), count=st.integers(0, 5))
    def pulse(self, plane, row, column, count):
        def act():
            return self.crossbar.pulse(
                Region(0, 0, plane, row, 1, column, 1), up=True, amplitude_v=1.0, width_s=1e-6, count=count
            )

        if self.host_pulses()[plane, row, column] + count > BUDGET:
            self.refused(act, "would have")
        elif self.state is not State.ARMED:
            self.refused(act, "NOT_ARMED|TRIPPED")
            self.unknown(plane, row, column)
        else:
            self.pulses[plane, row, column] += count
            assert act() == self.pulses[plane, row, column]
            self.unknown(plane, row, column)

    @precondition(lambda self: self.state is State.ARMED)
    @rule(level=st.floats(-1e-4, 1e-4))
    def settle(self, level):
        settled = self.crossbar.settle(0, np.full((2, ROWS - 1), level, np.float32))
        assert settled.states_v[1].shape == (1, 2, COLUMNS)

    @invariant()
    def device_is_what_the_model_says(self):
        if not hasattr(self, "device"):
            return
        assert self.device.outputs.state is self.state
        counted = self.device.chip.arrays[0].crossbars[0].pulses.numpy()
        assert (counted == self.pulses).all()
        assert (self.host_pulses() >= counted).all(), "the host's ledger may never be behind"

    def host_pulses(self):
        return np.stack([self.crossbar.session.guard.spent((0, 0, plane))[0] for plane in (0, 1)])

    def unknown(self, plane, row, column):
        if self.codes is not None:
            self.codes = self.codes.copy()
            self.codes[plane, row, column] = np.nan

    def refused(self, action, words):
        import re

        try:
            action()
        except (DeviceFault, BudgetSpent) as error:
            assert re.search(words, str(error)), error
        else:
            raise AssertionError(f"not refused ({words})")

    def teardown(self):
        if hasattr(self, "crossbar"):
            self.crossbar.close()
            assert not self.device.outputs.on


TestDriverAndDevice = DriverAndDevice.TestCase
TestDriverAndDevice.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)

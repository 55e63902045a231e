"""State of the emulated device around its chip: outputs, limits, budgets, fault log, journal."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from emulator.chip import Chip
from emulator.journal import Event, Journal
from emulator.ledger import Ledger
from emulator.outputs import Clock, Outputs
from emulator.refused import Refused
from firmware_specs import device_numbers
from firmware_specs.codes import TRIP_FAULT, Capability, ErrorCode, State, Trip
from firmware_specs.messages import Fault
from firmware_specs.topology import Topology

FIRMWARE = "1.0.0"
FAULTS_KEPT = 256
MAX_REWRITES = 10_000
MAX_READS = 4096


class Device:
    """What every verb works on.

    Args:
        chip: The physics.
        clock: Monotonic seconds; the watchdog runs on it.
        boot: Boot number; random where not given.
        serial: Serial number; from the chip's seed where not given.
        sink: Called with every journal event.
        max_request: Longest request it takes, bytes; as the datasheet says where not given.
        work: Lets the time pass that a request takes by the datasheet, seconds; it takes none where not given.
    """

    def __init__(
        self,
        chip: Chip,
        *,
        clock: Clock = time.monotonic,
        boot: int | None = None,
        serial: str | None = None,
        sink: Callable[[Event], None] | None = None,
        max_request: int | None = None,
        work: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.chip = chip
        self.sheet = chip.datasheet
        link = self.sheet.link
        self.max_request = link.max_request if max_request is None else max_request
        self.max_reply = link.max_reply
        self.work = work
        self.clock = clock
        self.boot = secrets.randbelow(1 << 31) if boot is None else boot
        self.serial = f"seed-{chip.seed}" if serial is None else serial
        self.journal = Journal(clock, sink)
        self.outputs = Outputs(clock, self._output_changed)
        self.ledger = Ledger(chip)
        self.configured: set[int] = set()
        self.absolute = device_numbers.limits(chip.datasheet)
        self.active = self.absolute
        self.capabilities = capabilities(chip)
        self.faults: list[Fault] = []
        self.faults_total = 0
        self.faults_unseen = False
        self.transactions = 0
        self.deeds = 0
        self.armed_verbs = 0
        self.damaged = 0
        self.busy_ms = 0
        self.resetting = False
        self.owner = ""
        self._since = clock()

    @property
    def uptime_s(self) -> float:
        """Since power-on."""
        return self.clock() - self._since

    @property
    def too_hot(self) -> bool:
        """Is the chip above the active limit?"""
        return self.chip.conditions.temperature_k > self.active.max_temperature_k

    def topology(self, array: int) -> Topology:
        """The block on an array; refused where there is none."""
        self.check_array(array)
        if array not in self.configured:
            raise Refused(ErrorCode.NOT_CONFIGURED, f"array {array} has no topology: CONFIGURE it first", array)
        return self.chip.arrays[array].topology

    def check_reply(self, size: int) -> None:
        """Refuses a request whose reply would be too long, before anything is driven (4.2)."""
        if size > (most := self.max_reply):
            raise Refused(ErrorCode.TOO_LARGE, f"the reply would have {size} bytes, at most {most}", most)

    def check_array(self, array: int) -> None:
        """Refuses arrays that do not exist."""
        if array >= self.sheet.fabric.arrays:
            raise Refused(ErrorCode.OUT_OF_RANGE, f"array {array}: there are {self.sheet.fabric.arrays}, from 0", array)

    def fault(self, code: int, text: str) -> None:
        """Adds to the fault log."""
        self.faults.append(Fault(self.faults_total, self.uptime_s, code, text))
        del self.faults[:-FAULTS_KEPT]
        self.faults_total += 1
        self.faults_unseen = True
        self.journal.note("fault", text)

    def trip(self, cause: Trip, text: str) -> None:
        """Turns outputs off for a cause, if they are on."""
        if self.outputs.trip(cause):
            self.fault(TRIP_FAULT + cause, text)

    def poll(self) -> None:
        """Looks at the watchdog; called before everything else and whenever time has passed."""
        if not self.outputs.on:
            return  # nothing trips that is off
        if self.outputs.run_out():
            self.trip(Trip.WATCHDOG, f"no traffic from {self.outputs.owner} for {self.outputs.watchdog_s:g} s")
        if self.too_hot:
            self.trip(Trip.OVER_TEMPERATURE, f"{self.chip.conditions.temperature_k:g} K")

    def link_closed(self, door: str) -> None:
        """A door's link went away."""
        self.journal.note("link", "closed", door)
        if self.outputs.owner == door:
            self.trip(Trip.LINK_LOST, f"{door}: link closed while outputs were on")

    def lose_power(self, serial: str | None = None) -> None:
        """Power off and on again; with a serial number, it is another device that comes back."""
        self.serial = self.serial if serial is None else serial
        self.journal.note("link", f"power lost, back as {self.serial}")
        self.restart()

    def disarm(self, why: str) -> None:
        """Turns outputs off."""
        self.outputs.disarm(why)

    def restart(self) -> None:
        """What power-on does (7.3 RESET): cells, their usage and the fault log stay."""
        self.resetting = False
        self.outputs.disarm("reset")
        self.outputs.clear()
        self.outputs.watchdog_s = 0.0
        self.configured.clear()
        self.active = self.absolute
        self.boot = (self.boot + 1) % (1 << 32)
        self.owner = ""

    def _output_changed(self, text: str) -> None:
        outputs = self.outputs
        self.journal.note("outputs", text, on=float(outputs.state is State.ARMED), silent_s=outputs.silent_s)


def capabilities(chip: Chip) -> Capability:
    """What the emulated device can."""
    sheet = chip.datasheet
    able = (
        Capability.SETTLE | Capability.STATE_LOAD | Capability.CONFIGURABLE | Capability.MEASURE | Capability.SNAPSHOT
        | Capability.USAGE | Capability.WRITE | Capability.READ | Capability.SELF_TEST | Capability.LINK_LOSS
        | Capability.WATCHDOG | Capability.VERIFY | Capability.TEMPERATURE | Capability.SET_TEMPERATURE
        | Capability.VIRTUAL_CLOCK | Capability.SETTLE_TIME
    )  # fmt: skip
    optional = {
        Capability.CONV: "conv" in sheet.fabric.couplings,
        Capability.POOL: sheet.fabric.pooling,
        Capability.PULSE: sheet.pulses.law != "none",
        Capability.SOURCE_CURRENT: sheet.nodes.ammeter is not None,
        Capability.RESISTIVE: sheet.resistive,
        Capability.DIFFERENTIAL: not sheet.resistive,
        Capability.PRODUCT: sheet.product is not None,
        Capability.UPDATE: sheet.update is not None,
        Capability.COINCIDE: sheet.coincidence is not None,
    }
    if sheet.link.small:
        able &= ~Capability.SNAPSHOT
    if sheet.product is not None:
        able &= ~(Capability.SETTLE | Capability.STATE_LOAD | Capability.SETTLE_TIME)
    for capability, there in optional.items():
        if there:
            able |= capability
    return able

"""Numbers of the serial protocol: kinds, opcodes, capabilities, errors (PROTOCOL.md sections 2.4, 7 and 8)."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

VERSION = 1
SOURCE_CURRENTS = -1
"""Layer number that reads source currents in SETTLE."""
DIFFERENCE = 255
"""Plane number that means plane 0 minus plane 1 in PRODUCT."""
WRITE_ONCE = 0xFFFF
"""`verify` of WRITE_CELLS that writes once and does not look."""
TRIP_FAULT = 0x100
"""Fault log code of trip 0; the trip's number is added."""


class Kind(IntEnum):
    """What a frame is (2.4)."""

    REQUEST = 1
    REPLY = 2
    ERROR = 3
    CREDIT = 4
    NAK = 5
    SYNC = 6
    SYNCED = 7


class DeviceFlag(IntFlag):
    """State bits in every frame of the device (2.5)."""

    OUTPUTS_ON = 1
    TRIPPED = 2
    REPLAYED = 4
    FAULTS = 8


class NakReason(IntEnum):
    """Why a frame was not taken (5.4)."""

    DAMAGED = 1
    GAP = 2
    FULL = 3
    NO_SESSION = 4


class State(IntEnum):
    """State of the device (6.1)."""

    SAFE = 0
    ARMED = 1
    TRIPPED = 2


class Trip(IntEnum):
    """Why the outputs went off (6.4)."""

    NONE = 0
    WATCHDOG = 1
    OVER_TEMPERATURE = 2
    LINK_LOST = 3
    HARDWARE = 4
    EMERGENCY_STOP = 5


class Capability(IntFlag):
    """What the device can (7.1)."""

    SETTLE = 1 << 0
    PRODUCT = 1 << 1
    PULSE = 1 << 2
    CONV = 1 << 3
    POOL = 1 << 4
    RESISTIVE = 1 << 5
    STATE_LOAD = 1 << 6
    TEMPERATURE = 1 << 7
    VIRTUAL_CLOCK = 1 << 8
    SET_TEMPERATURE = 1 << 9
    CONFIGURABLE = 1 << 10
    MEASURE = 1 << 11
    SETTLE_TIME = 1 << 12
    SNAPSHOT = 1 << 13
    USAGE = 1 << 14
    DIFFERENTIAL = 1 << 15
    WRITE = 1 << 16
    READ = 1 << 17
    SELF_TEST = 1 << 18
    LINK_LOSS = 1 << 19
    SOURCE_CURRENT = 1 << 20
    WATCHDOG = 1 << 21
    VERIFY = 1 << 22
    UPDATE = 1 << 23
    COINCIDE = 1 << 24


class Opcode(IntEnum):
    """The verbs (section 7)."""

    IDENTIFY = 0x01
    FABRIC = 0x02
    CONVERTERS = 0x03
    PARAMETERS = 0x04
    LIMITS = 0x05
    SET_LIMITS = 0x06
    STATUS = 0x07
    FAULT_LOG = 0x08
    CLEAR = 0x09
    SELF_TEST = 0x0A
    RESET = 0x0B
    ECHO = 0x0C
    HEARTBEAT = 0x0D
    WATCHDOG = 0x10
    ARM = 0x11
    DISARM = 0x12
    CONFIGURE = 0x20
    TOPOLOGY = 0x21
    WRITE_CELLS = 0x30
    READ_CELLS = 0x31
    PULSE = 0x32
    MEASURE = 0x33
    USAGE = 0x34
    COINCIDE = 0x35
    SETTLE = 0x40
    PRODUCT = 0x41
    UPDATE = 0x42
    TEMPERATURE = 0x50
    SET_TEMPERATURE = 0x51
    CLOCK = 0x52
    WAIT = 0x53
    SNAPSHOT = 0x54
    RESTORE = 0x55


class Rule(NamedTuple):
    """What holds for a verb (table in section 7).

    Attributes:
        idempotent: May be repeated as a new transaction when the outcome is unknown (5.6).
        armed: Refused unless outputs are on (6.5).
        capability: Needed from the device; none is 0.
    """

    idempotent: bool = True
    armed: bool = False
    capability: Capability = Capability(0)


RULES: dict[Opcode, Rule] = {opcode: Rule() for opcode in Opcode} | {
    Opcode.SELF_TEST: Rule(capability=Capability.SELF_TEST),
    Opcode.WATCHDOG: Rule(capability=Capability.WATCHDOG),
    Opcode.WRITE_CELLS: Rule(idempotent=False, armed=True, capability=Capability.WRITE),
    Opcode.READ_CELLS: Rule(armed=True, capability=Capability.READ),
    Opcode.PULSE: Rule(idempotent=False, armed=True, capability=Capability.PULSE),
    Opcode.MEASURE: Rule(armed=True, capability=Capability.MEASURE),
    Opcode.USAGE: Rule(capability=Capability.USAGE),
    Opcode.COINCIDE: Rule(idempotent=False, armed=True, capability=Capability.COINCIDE),
    Opcode.SETTLE: Rule(armed=True, capability=Capability.SETTLE),
    Opcode.PRODUCT: Rule(armed=True, capability=Capability.PRODUCT),
    Opcode.UPDATE: Rule(idempotent=False, armed=True, capability=Capability.UPDATE),
    Opcode.TEMPERATURE: Rule(capability=Capability.TEMPERATURE),
    Opcode.SET_TEMPERATURE: Rule(capability=Capability.SET_TEMPERATURE),
    Opcode.CLOCK: Rule(capability=Capability.VIRTUAL_CLOCK),
    Opcode.WAIT: Rule(idempotent=False, capability=Capability.VIRTUAL_CLOCK),
    Opcode.SNAPSHOT: Rule(capability=Capability.SNAPSHOT),
    Opcode.RESTORE: Rule(capability=Capability.SNAPSHOT),
}

WITHOUT_PAYLOAD = frozenset({
    Opcode.IDENTIFY, Opcode.FABRIC, Opcode.CONVERTERS, Opcode.PARAMETERS, Opcode.LIMITS, Opcode.STATUS, Opcode.CLEAR,
    Opcode.SELF_TEST, Opcode.RESET, Opcode.HEARTBEAT, Opcode.ARM, Opcode.DISARM, Opcode.TEMPERATURE, Opcode.CLOCK,
    Opcode.SNAPSHOT,
})  # fmt: skip
"""Verbs whose request has no payload (7)."""


class ErrorCode(IntEnum):
    """Why a request was refused or failed (section 8)."""

    UNKNOWN_OPCODE = 0x01
    MALFORMED = 0x02
    UNSUPPORTED = 0x03
    TOO_LARGE = 0x04
    STALE = 0x05
    NOT_ARMED = 0x10
    NO_WATCHDOG = 0x11
    TRIPPED = 0x12
    BUSY = 0x13
    NOT_CONFIGURED = 0x14
    CONFLICT = 0x15
    OUT_OF_RANGE = 0x20
    LIMIT = 0x21
    BUDGET = 0x22
    DOES_NOT_FIT = 0x23
    FLOATING = 0x24
    HARDWARE = 0x30
    INTERNAL = 0x31


class ConverterId(IntEnum):
    """Converters of a device (7.1)."""

    DRIVE_DAC = 1
    NUDGE_DAC = 2
    STATE_ADC = 3
    OUTPUT_ADC = 4
    PRODUCT_DAC = 5
    PRODUCT_ADC = 6
    SOURCE_ADC = 7


class Quantity(IntEnum):
    """Unit of a converter."""

    VOLT = 0
    AMPERE = 1


class Parameter(IntEnum):
    """Numbers of PARAMETERS (7.1), in SI units."""

    STATE_UNIT_V = 1
    TRANSIMPEDANCE_OHM = 2
    LINEAR_LOW_V = 3
    LINEAR_HIGH_V = 4
    G_MIN_S = 5
    G_MAX_S = 6
    CELL_BITS = 7
    SETTLE_TIME_S = 8
    WRITE_TIME_S = 9
    READ_TIME_S = 10
    MAX_READS = 11
    SETTLE_TOLERANCE = 12
    WRITE_ENERGY_J = 13
    PULSE_LAW = 14
    PULSE_STEP = 15
    PULSE_AMPLITUDE_V = 16
    PULSE_WIDTH_S = 17
    PULSE_THRESHOLD_V = 18
    PULSE_ASYMMETRY = 19
    PULSE_ZERO = 20
    PULSE_SLOPE_UP = 21
    PULSE_SLOPE_DOWN = 22
    PULSE_AMPLITUDE_UP = 23
    PULSE_AMPLITUDE_DOWN = 24
    PULSE_GAMMA_UP = 25
    PULSE_GAMMA_DOWN = 26
    PULSE_SCALE = 27
    PULSE_SHIFT = 28
    PULSE_ONE_SIDED = 29
    UPDATE_RATE_PER_S = 30
    UPDATE_WINDOW_S = 31
    UPDATE_BATCH = 32
    CLAMPED_HIGH_V = 33
    PAIRS = 34
    PAIR_SIGNIFICANCE = 35
    HALF_SELECT = 36


PULSE_LAWS = ("none", "constant", "linear", "soft_bounds", "exponential", "power")
"""Names of the numbers of `Parameter.PULSE_LAW`."""

"""Verbs x quantities: a limit covers everything that reaches the wire, whatever a device calls its converters."""

import math
from dataclasses import replace

import numpy as np
import pytest

from drivers.crossbar import Crossbar
from drivers.errors import BudgetSpent, OutOfRange, ProtocolViolation
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
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.codes import Capability, ConverterId, Opcode, Quantity
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.coincidence import Coincidence
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.messages import (
    FabricInfo,
    Identity,
    LimitsInfo,
    Region,
    Term,
    Train,
    pack_converters,
    parse_converters,
)

LIMITS = {
    "max_drive_a": 1e-5, "max_read_v": 0.1, "max_pulse_v": 1.0, "max_pulse_s": 1e-4, "max_pulses_per_cell": 30.0,
    "max_energy_per_cell_j": 1e-7, "max_temperature_k": 320.0, "max_source_v": 0.2,
}  # fmt: skip
NETWORK = LIMITS | {"max_drive_a": load("resistive-board").nudge_dac.high_a / 2}
REGION = Region(0, 0, 0, 0, 2, 0, 2)
ABOVE = 1.02
"""Half a code of the DACs is less."""
LONGEST_S = load("self-updating").update.window_s


class Told(Machine):
    """A device whose answers to some verbs are replaced, and that remembers what it was asked."""

    def __init__(self, sheet, lies=None):
        super().__init__(Device(Chip(sheet, seed=0)))
        self.lies, self.asked = lies or {}, []

    def execute(self, opcode, payload, door):
        self.asked.append(Opcode(opcode))
        reply = super().execute(opcode, payload, door)
        return self.lies[opcode](reply) if opcode in self.lies else reply


def opened(protocol, machine, limits=None):
    if protocol == "frames":
        dialect = Framed(FramedLink(Loopback(SerialEndpoint(machine, "x").feed, "x"), owner="test"))
    else:
        dialect = Scpi(ScpiLink(Loopback(ScpiEndpoint(machine, "x").feed, "x")))
    return Crossbar(Session(dialect, limits={"this test": LIMITS} if limits is None else limits, watchdog_s=60.0))


def hopfield():
    return load("mixed-8bit").model_copy(update={"pulses": Pulses(law="constant", step=0.01)})


def multiplier():
    document = load("openmena-8x8-like").model_dump(mode="json", exclude_none=True)
    return Datasheet.model_validate(document)


SHEETS = {"hopfield": hopfield, "resistive": lambda: load("resistive-board"), "product": multiplier}
SHEETS["self-updating"] = lambda: load("self-updating")
HALF = Coincidence(half_select=0.5)
SHEETS["lines"] = lambda: hopfield().model_copy(
    update={"coincidence": HALF, "pulses": Pulses(law="constant", step=0.01, threshold_v=0.6)}
)


def settle(crossbar, *, drive=0.0, nudge=0.0, **others):
    block = crossbar._topologies[0]
    driven, nudged = int(np.prod(block.drive_shape)), int(np.prod(block.nudge_shape))
    return crossbar.settle(0, np.full((2, driven), drive), [np.full((2, nudged), nudge)], **others)


def update(crossbar, *, drive=0.0, nudge=0.0, window_s=1e-6, **others):
    block = crossbar._topologies[0]
    driven, nudged = int(np.prod(block.drive_shape)), int(np.prod(block.nudge_shape))
    phases = np.full((2, driven), drive), [np.full((2, nudged), nudge)]
    return crossbar.update(0, *phases, [Term(1, 0, True)], np.full(2, window_s), **others)


def worn_by_updates(crossbar):
    for _ in range(40):
        update(crossbar)


def pulse(crossbar, **changed):
    return crossbar.pulse(REGION, **({"up": True, "amplitude_v": 0.5, "width_s": 1e-6, "count": 1} | changed))


def pulse_hot(crossbar):
    _, high = crossbar.g_range_s
    energy = 0.9**2 * 1e-4 * high
    assert 20 * energy > LIMITS["max_energy_per_cell_j"] > energy
    return pulse(crossbar, amplitude_v=0.9, width_s=1e-4, count=20)


def worn(crossbar):
    for number in range(40):
        crossbar.program(0, [np.full((2, 7, 4), 5e-5 if number % 2 else 2e-5)])


def conductance(crossbar):
    crossbar.program(0, [np.full((2, 7, 4), 1.01 * crossbar.g_range_s[1])])


def coincide(crossbar, slots=1, rows=2, times=1, plane=0, **changed):
    shape = {"amplitude_v": 0.5, "width_s": 1e-6} | changed
    region = Region(0, 0, plane, 0, rows, 0, 2)
    bits = np.ones((slots, rows), bool), np.ones((slots, 2), bool)
    return crossbar.coincide(0, [Train(region, True, *bits)] * times, **shape)


def coincide_half(crossbar):
    """No cell gets a pulse, half-selected ones get too warm."""
    share, (_, high) = 0.5**2, crossbar.g_range_s
    slots = int(1.2 * LIMITS["max_energy_per_cell_j"] / (0.9**2 * share * 1e-4 * high))
    train = Train(REGION, True, np.ones((slots, 2), bool), np.zeros((slots, 2), bool))
    return crossbar.coincide(0, [train], amplitude_v=0.9, width_s=1e-4)


NOTHING = "carries no value to a cell, a line or a node"
COVERED = {
    Opcode.SETTLE: {
        "drive, amperes": ("hopfield", lambda c: settle(c, drive=ABOVE * LIMITS["max_drive_a"])),
        "drive, volts": ("resistive", lambda c: settle(c, drive=ABOVE * LIMITS["max_source_v"])),
        "nudge, amperes": ("hopfield", lambda c: settle(c, nudge=-ABOVE * LIMITS["max_drive_a"])),
        "nudge of a network, amperes": ("resistive", lambda c: settle(c, nudge=ABOVE * NETWORK["max_drive_a"])),
        "drive that is no number": ("hopfield", lambda c: settle(c, drive=math.nan)),
        "nudge that is no number": ("resistive", lambda c: settle(c, nudge=math.inf)),
        "start states, volts": ("hopfield", lambda c: settle(c, start_v=[np.full((2, 6), math.nan), np.zeros((2, 4))])),
        "wait, seconds": ("hopfield", lambda c: settle(c, time_s=5.0)),
        "wait that is no number": ("hopfield", lambda c: settle(c, time_s=math.nan)),
        "wait below 0": ("hopfield", lambda c: settle(c, time_s=-1.0)),
        "conversions below 0": ("hopfield", lambda c: settle(c, reads=-1)),
        "no conversions": ("hopfield", lambda c: settle(c, reads=0)),
        "conversions": ("hopfield", lambda c: settle(c, reads=70000)),
    },
    Opcode.UPDATE: {
        "drive, amperes": ("self-updating", lambda c: update(c, drive=ABOVE * LIMITS["max_drive_a"])),
        "nudge, amperes": ("self-updating", lambda c: update(c, nudge=-ABOVE * LIMITS["max_drive_a"])),
        "drive that is no number": ("self-updating", lambda c: update(c, drive=math.nan)),
        "window, seconds": (
            "self-updating",
            lambda c: update(c, window_s=ABOVE * LONGEST_S),
        ),
        "window that is no number": ("self-updating", lambda c: update(c, window_s=math.nan)),
        "window below 0": ("self-updating", lambda c: update(c, window_s=-1e-6)),
        "wait, seconds": ("self-updating", lambda c: update(c, time_s=5.0)),
        "wait that is no number": ("self-updating", lambda c: update(c, time_s=math.nan)),
        "updates": ("self-updating", worn_by_updates),
    },
    Opcode.PRODUCT: {
        "line voltage": ("product", lambda c: c.product(0, 0, np.full((2, 7), ABOVE * LIMITS["max_read_v"]), 0)),
        "no conversions": ("product", lambda c: c.product(0, 0, np.zeros((2, 7)), 0, reads=0)),
        "no number": ("product", lambda c: c.product(0, 0, np.full((2, 7), math.nan), 0)),
    },
    Opcode.PULSE: {
        "amplitude, volts": ("hopfield", lambda c: pulse(c, amplitude_v=ABOVE * LIMITS["max_pulse_v"])),
        "amplitude that is no number": ("hopfield", lambda c: pulse(c, amplitude_v=math.nan)),
        "amplitude below 0": ("hopfield", lambda c: pulse(c, amplitude_v=-0.5)),
        "width, seconds": ("hopfield", lambda c: pulse(c, width_s=ABOVE * LIMITS["max_pulse_s"])),
        "width that is no number": ("hopfield", lambda c: pulse(c, width_s=math.nan)),
        "count": ("hopfield", lambda c: pulse(c, count=31)),
        "energy, joules": ("hopfield", pulse_hot),
    },
    Opcode.COINCIDE: {
        "amplitude, volts": ("lines", lambda c: coincide(c, amplitude_v=ABOVE * LIMITS["max_pulse_v"])),
        "amplitude that is no number": ("lines", lambda c: coincide(c, amplitude_v=math.nan)),
        "amplitude below 0": ("lines", lambda c: coincide(c, amplitude_v=-0.5)),
        "width, seconds": ("lines", lambda c: coincide(c, width_s=ABOVE * LIMITS["max_pulse_s"])),
        "width that is no number": ("lines", lambda c: coincide(c, width_s=math.inf)),
        "pulses of one train": ("lines", lambda c: coincide(c, 31)),
        "pulses of all trains": ("lines", lambda c: coincide(c, 8, times=4)),
        "energy, joules": ("lines", lambda c: coincide(c, 20, amplitude_v=0.9, width_s=1e-4)),
        "energy of half-selected cells": ("lines", coincide_half),
        "lines that are not there": ("lines", lambda c: coincide(c, rows=8)),
        "a plane that is not there": ("lines", lambda c: coincide(c, plane=2)),
        "no slot": ("lines", lambda c: coincide(c, 0)),
        "no train": ("lines", lambda c: coincide(c, times=0)),
    },
    Opcode.MEASURE: {
        "voltage": ("hopfield", lambda c: c.measure(REGION, [0.01, -ABOVE * LIMITS["max_read_v"]])),
        "voltage that is no number": ("hopfield", lambda c: c.measure(REGION, [math.nan])),
        "no voltage": ("hopfield", lambda c: c.measure(REGION, [])),
        "no conversions": ("hopfield", lambda c: c.measure(REGION, [0.1], reads=0)),
    },
    Opcode.WRITE_CELLS: {
        "conductance": ("hopfield", conductance),
        "programming pulses": ("hopfield", worn),
    },
    Opcode.SET_TEMPERATURE: {
        "kelvin": ("hopfield", lambda c: c.session.set_temperature(ABOVE * LIMITS["max_temperature_k"])),
        "no number": ("hopfield", lambda c: c.session.set_temperature(math.nan)),
        "below 0": ("hopfield", lambda c: c.session.set_temperature(-1.0)),
    },
    Opcode.READ_CELLS: {"no conversions": ("hopfield", lambda c: c.read_conductances(0, 0, reads=0))},
    Opcode.ARM: "outputs on, nothing driven; the chip's temperature is looked at before",
    Opcode.SET_LIMITS: "the tightest of all limits, and nothing else, is what the session sends",
    Opcode.WATCHDOG: "bounded by 0.01 .. 60 s, the answer by what was asked",
    Opcode.CONFIGURE: "wires; cells and lines are driven by the verbs above",
    Opcode.RESTORE: "emulators only",
    Opcode.WAIT: "emulators only",
}
COVERED |= {opcode: NOTHING for opcode in Opcode if opcode not in COVERED}
CASES = [
    pytest.param(opcode, *case, id=f"{opcode.name} {quantity}")
    for opcode, quantities in COVERED.items()
    if isinstance(quantities, dict)
    for quantity, case in quantities.items()
]


def test_every_verb_that_takes_numbers_is_in_the_table():
    with_values = {opcode for opcode, how in COVERED.items() if how != NOTHING}
    asking = {
        Opcode.IDENTIFY, Opcode.FABRIC, Opcode.CONVERTERS, Opcode.PARAMETERS, Opcode.LIMITS, Opcode.STATUS,
        Opcode.FAULT_LOG, Opcode.CLEAR, Opcode.SELF_TEST, Opcode.RESET, Opcode.ECHO, Opcode.HEARTBEAT, Opcode.DISARM,
        Opcode.TOPOLOGY, Opcode.USAGE, Opcode.TEMPERATURE, Opcode.CLOCK, Opcode.SNAPSHOT,
    }  # fmt: skip
    assert with_values.isdisjoint(asking) and with_values | asking == set(Opcode)


@pytest.mark.parametrize("protocol", ["frames", "scpi"])
@pytest.mark.parametrize(("opcode", "sheet", "action"), CASES)
def test_no_quantity_gets_past_its_limit(protocol, opcode, sheet, action):
    machine = Told(SHEETS[sheet]())
    with opened(protocol, machine, {"this test": NETWORK if sheet == "resistive" else LIMITS}) as crossbar:
        chains = {
            "hopfield": dense_chain([6, 4]),
            "self-updating": dense_chain([6, 4]),
            "lines": dense_chain([6, 4]),
            "resistive": resistive_chain(6, [4]),
        }
        crossbar.configure(0, chains.get(sheet, dense_chain([7, 4], bias=False)))
        crossbar.arm()
        machine.asked.clear()
        with pytest.raises((OutOfRange, BudgetSpent)):
            action(crossbar)
        if action not in (worn, worn_by_updates):
            assert opcode not in machine.asked, "it was refused after it went out"
        assert machine.device.outputs.on


def converter(which, **changes):
    def lie(reply):
        return pack_converters([replace(c, **changes) if c.id == which else c for c in parse_converters(reply)])

    return {Opcode.CONVERTERS: lie}


def without(which):
    return {Opcode.CONVERTERS: lambda r: pack_converters([c for c in parse_converters(r) if c.id != which])}


def other_substrate(reply):
    found = FabricInfo.parse(reply)
    return replace(found, resistive=not found.resistive).pack()


def resistive_flag(reply):
    found = Identity.parse(reply)
    return replace(found, capabilities=found.capabilities ^ Capability.RESISTIVE).pack()


def unlimited(reply):
    found = LimitsInfo.parse(reply)
    return replace(found, absolute=replace(found.absolute, max_source_v=math.inf)).pack()


LIES = {
    "drive of a Hopfield board in volts": (
        "hopfield",
        converter(1, quantity=Quantity.VOLT),
        "DRIVE_DAC is of quantity",
    ),
    "drive of a network in amperes": ("resistive", converter(1, quantity=Quantity.AMPERE), "DRIVE_DAC is of quantity"),
    "nudge in volts": ("hopfield", converter(2, quantity=Quantity.VOLT), "NUDGE_DAC is of quantity VOLT"),
    "states in amperes": ("hopfield", converter(3, quantity=Quantity.AMPERE), "STATE_ADC is of quantity"),
    "line voltages in amperes": ("product", converter(5, quantity=Quantity.AMPERE), "PRODUCT_DAC is of quantity"),
    "no drive DAC": ("hopfield", without(ConverterId.DRIVE_DAC), "SETTLE without DRIVE_DAC"),
    "FABRIC of the other substrate": ("hopfield", {Opcode.FABRIC: other_substrate}, "FABRIC says resistive"),
    "capability of the other substrate": ("resistive", {Opcode.IDENTIFY: resistive_flag}, "RESISTIVE is missing"),
    "sources without a limit": ("resistive", {Opcode.LIMITS: unlimited}, "without a finite max_source_v"),
}


@pytest.mark.parametrize("protocol", ["frames", "scpi"])
@pytest.mark.parametrize(("sheet", "lies", "words"), LIES.values(), ids=LIES)
def test_contradictions_are_refused_at_opening(protocol, sheet, lies, words):
    machine = Told(SHEETS[sheet](), lies)
    with pytest.raises(ProtocolViolation, match=words):
        opened(protocol, machine, limits={})
    assert Opcode.ARM not in machine.asked


def test_a_network_without_a_limit_of_its_own_takes_that_of_the_bench():
    machine = Told(SHEETS["resistive"](), {Opcode.LIMITS: unlimited})
    with opened("frames", machine, limits={"bench": {"max_source_v": 0.1}}) as crossbar:
        assert crossbar.session.guard.limits.max_source_v.value == 0.1


def test_a_block_of_the_other_substrate_is_refused_on_the_host():
    machine = Told(hopfield())
    with opened("frames", machine) as crossbar, pytest.raises(OutOfRange, match="resistive block on a Hopfield device"):
        crossbar.configure(0, resistive_chain(6, [4]))
    assert Opcode.CONFIGURE not in machine.asked

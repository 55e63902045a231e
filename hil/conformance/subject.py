"""The device under test: a conversation, what the device says of itself, and a small block placed on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ConverterId, Opcode, Parameter
from firmware_specs.messages import (
    CellCodes,
    CellUsage,
    Codes,
    Configure,
    Converter,
    FabricInfo,
    Identity,
    LimitsInfo,
    LimitsRecord,
    MalformedError,
    Patch,
    Pulse,
    Pulsed,
    ReadCells,
    Refusal,
    Region,
    Settle,
    SettleReply,
    Status,
    WriteCells,
    Written,
    code_dtype,
    pack_number,
    parse_converters,
    parse_parameters,
)
from firmware_specs.topology import Dense, Layer, Topology
from hil.conformance.conversation import Conversation, Failed, Skipped, demand, parsed
from hil.conformance.stated import Stated
from hil.conformance.verbs import Verbs

WATCHDOG_S = 5.0
"""Of checks about something else: a busy host that stalls for 2 s shall not make them say that the device changed."""
UNITS = (4, 3)
MOST_CELLS = 1 << 22
"""Of a coupling, which the suite writes whole."""


class Subject:
    """A device in a known state: session open, outputs off, no trip, limits as at power-on.

    Args:
        verbs: How its verbs are asked for, whichever protocol carries them.
        pulse_budget: Most pulses one check may spend on any cell.
        pulse: Amplitude and width of every pulse, V and s; the device's own nominal ones where not given.
    """

    def __init__(self, verbs: Verbs, pulse_budget: int = 40, pulse: tuple[float, float] | None = None) -> None:
        self.verbs = verbs
        self.chosen_pulse = pulse
        self.pulsed_with: tuple[float, float] | None = None
        self.pulse_budget = pulse_budget

    def settle_down(self) -> None:
        """Brings the device back to the known state, whatever the last check left."""
        self.renew()
        self.verbs.ask(Opcode.DISARM)
        self.verbs.request(Opcode.CLEAR)
        self.verbs.ask(Opcode.SET_LIMITS, self.limits.absolute.pack())

    def renew(self) -> None:
        """A clean wire and a new session."""
        self.verbs.drain()
        self.verbs.sync()

    def restart(self) -> None:
        """Power-on state, and a new session."""
        self.verbs.ask(Opcode.RESET)
        self.renew()

    def pointed(self, refusal: Refusal, detail: int, words: str) -> None:
        """Demands the detail of a refusal, where the protocol has one: a SCPI error has words only."""
        if self.verbs.has_details:
            demand(refusal.detail == detail, f"detail {refusal.detail}, expected {words}")

    @cached_property
    def identity(self) -> Identity:
        """Reply of IDENTIFY."""
        return parsed(Identity, self.verbs.ask(Opcode.IDENTIFY), "IDENTIFY")

    @cached_property
    def fabric(self) -> FabricInfo:
        """Reply of FABRIC."""
        return parsed(FabricInfo, self.verbs.ask(Opcode.FABRIC), "FABRIC")

    @cached_property
    def converters(self) -> dict[int, Converter]:
        """Reply of CONVERTERS by id."""
        try:
            return {c.id: c for c in parse_converters(self.verbs.ask(Opcode.CONVERTERS))}
        except MalformedError as error:
            raise Failed(f"payload of CONVERTERS: {error}") from error

    @cached_property
    def parameters(self) -> Stated:
        """Reply of PARAMETERS."""
        try:
            return Stated(parse_parameters(self.verbs.ask(Opcode.PARAMETERS)))
        except MalformedError as error:
            raise Failed(f"payload of PARAMETERS: {error}") from error

    @cached_property
    def limits(self) -> LimitsInfo:
        """Reply of LIMITS."""
        return parsed(LimitsInfo, self.verbs.ask(Opcode.LIMITS), "LIMITS")

    @property
    def status(self) -> Status:
        """Reply of STATUS, asked anew."""
        return parsed(Status, self.verbs.ask(Opcode.STATUS), "STATUS")

    def needs(self, *capabilities: Capability) -> None:
        """Skips the check on a device that lacks one of them."""
        for capability in capabilities:
            if capability not in self.identity.capabilities:
                raise Skipped(f"the device lacks {capability.name}")

    @cached_property
    def topology(self) -> Topology:
        """A block that fits: two dense layers of at most 4 and 3 units, linear output, behind sources if resistive."""
        sizes = self.fabric.layers or tuple(min(n, self.fabric.max_units) for n in UNITS)
        if max(sizes) ** 2 > MOST_CELLS:
            demand(
                max(sizes) <= self.fabric.max_units, f"FABRIC names layers of {sizes} and {self.fabric.max_units} units"
            )
            raise Skipped(f"FABRIC names layers of {sizes} units, and the suite writes couplings of {MOST_CELLS} cells")
        layers = tuple(Layer(shape=(n,), clamped=i < len(sizes) - 1) for i, n in enumerate(sizes))
        between = tuple(Dense(pre=i, post=i + 1, bias=False) for i in range(len(sizes) - 1))
        if not self.fabric.resistive:
            return Topology(layers=layers, couplings=between)
        source = Dense(pre=-1, post=0, bias=False)
        return Topology(substrate="resistive", source=(2, sizes[0]), layers=layers, couplings=(source, *between))

    @contextmanager
    def holding(self, topology: Topology) -> Iterator[None]:
        """Takes another block for the small one while a check runs; the check places it."""
        usual = self.topology
        self.__dict__["topology"] = topology
        try:
            yield
        finally:
            self.__dict__["topology"] = usual

    @property
    def cell_code_max(self) -> int:
        """Largest conductance code."""
        return int(2 ** int(self.parameters[Parameter.CELL_BITS]) - 1)

    def arm(self, watchdog_s: float = WATCHDOG_S) -> None:
        """Watchdog, then outputs on."""
        if Capability.WATCHDOG in self.identity.capabilities:
            self.verbs.ask(Opcode.WATCHDOG, pack_number(watchdog_s))
        self.verbs.ask(Opcode.ARM)

    def prepare(self) -> Topology:
        """Places the small block on array 0 and arms."""
        self.verbs.ask(Opcode.CONFIGURE, Configure(0, self.topology).pack())
        self.arm()
        return self.topology

    def region(self, plane: int = 0, coupling: int = 0, rows: int | None = None, columns: int | None = None) -> Region:
        """The cells of a coupling, or its first `rows` x `columns`."""
        all_rows, all_columns = self.topology.cells(self.topology.couplings[coupling])
        return Region(0, coupling, plane, 0, rows or all_rows, 0, columns or all_columns)

    @property
    def planes(self) -> int:
        """Planes of a coupling: 2 for every differential pair."""
        return 2 * self.pairs if Capability.DIFFERENTIAL in self.identity.capabilities else 1

    @property
    def pairs(self) -> int:
        """Pairs of cells a weight has."""
        return int(self.parameters.get(Parameter.PAIRS, 1))

    def write(self, levels: Mapping[int, float | NDArray[np.float64]], coupling: int = 0) -> Written:
        """Writes planes of a coupling with levels in 0..1 of the conductance range."""
        patches = tuple(
            Patch(self.region(plane, coupling), self.cell_codes(np.broadcast_to(level, self._cells(coupling))))
            for plane, level in levels.items()
        )
        return parsed(Written, self.verbs.ask(Opcode.WRITE_CELLS, WriteCells(0, patches).pack()), "WRITE_CELLS")

    def write_all(self, level: float) -> None:
        """Writes every cell of the block with one level in 0..1."""
        for coupling in range(len(self.topology.couplings)):
            self.write(dict.fromkeys(range(self.planes), level), coupling)

    def cell_codes(self, levels: NDArray[np.float64]) -> Codes:
        """Conductance codes of levels in 0..1."""
        return np.rint(levels * self.cell_code_max).astype(code_dtype(self.cell_code_max))

    def reads(self, wanted: int) -> int:
        """Readings to average: as many as wanted, at most what the device takes."""
        return min(wanted, int(self.parameters.get(Parameter.MAX_READS, 1)))

    def read_levels(self, region: Region) -> NDArray[np.float64]:
        """Mean of a few readings of a region, as levels in 0..1."""
        reads = self.reads(16)
        reply = parsed(CellCodes, self.verbs.ask(Opcode.READ_CELLS, ReadCells(region, reads).pack()), "READ_CELLS")
        return reply.codes.astype(np.float64) / (reads * self.cell_code_max)

    def usage(self, region: Region) -> CellUsage:
        """Pulse counts and energies of a region."""
        return parsed(CellUsage, self.verbs.ask(Opcode.USAGE, region.pack()), "USAGE")

    def pulse_shape(self) -> tuple[float, float]:
        """Amplitude and width of a pulse, V and s; without them, or beyond the limits, the check is skipped."""
        numbers = (Parameter.PULSE_AMPLITUDE_V, Parameter.PULSE_WIDTH_S)
        volts, seconds = self.chosen_pulse or tuple(self.parameters.get(number, 0.0) for number in numbers)
        if not (volts > 0 and seconds > 0):
            raise Skipped(
                "nobody has chosen amplitude and width of a pulse: the device names no nominal one in PARAMETERS; "
                "--pulse-v and --pulse-s do"
            )
        most = self.limits.absolute
        if volts > most.max_pulse_v or seconds > most.max_pulse_s:
            raise Skipped(
                f"a pulse of {volts:g} V, {seconds:g} s is beyond {most.max_pulse_v:g} V, {most.max_pulse_s:g} s"
            )
        self.pulsed_with = volts, seconds
        return self.pulsed_with

    def pulse(self, region: Region, up: bool, count: int) -> Pulsed:
        """Pulses of the chosen amplitude and width."""
        request = Pulse(region, up, *self.pulse_shape(), count)
        return parsed(Pulsed, self.verbs.ask(Opcode.PULSE, request.pack()), "PULSE")

    def limit(self, **changes: float) -> LimitsRecord:
        """Tightens limits; the record now active."""
        record = replace(self.limits.absolute, **changes)
        return parsed(LimitsRecord, self.verbs.ask(Opcode.SET_LIMITS, record.pack()), "SET_LIMITS")

    def codes(self, converter: ConverterId, values: NDArray[np.float64]) -> Codes:
        """DAC codes of values in the converter's unit."""
        spec = self.converters[converter]
        return np.clip(np.rint((values - spec.low) / spec.lsb), 0, spec.max_code).astype(code_dtype(spec.max_code))

    def drive_codes(self, z: NDArray[np.float64]) -> Codes:
        """Drive codes of currents in model units, (batch, units of layer 0)."""
        return self.codes(ConverterId.DRIVE_DAC, z * self.current_unit_a)

    def nudge_codes(self, z: NDArray[np.float64]) -> Codes:
        """Nudge codes of currents in model units, (batch, units of the last layer)."""
        return self.codes(ConverterId.NUDGE_DAC, z * self.current_unit_a)

    @property
    def current_unit_a(self) -> float:
        """Amperes of a drive of 1.0 in model units."""
        return self.state_unit_v / self.parameters[Parameter.TRANSIMPEDANCE_OHM]

    @property
    def state_unit_v(self) -> float:
        """Volts of a state of 1.0: the upper rail of clamped neurons, so that checks find it at 1 on every device."""
        return self.parameters.get(Parameter.CLAMPED_HIGH_V, self.parameters[Parameter.STATE_UNIT_V])

    @property
    def rail(self) -> float:
        """The same in the device's own state units, which its bias lines and contrasts are in."""
        return self.state_unit_v / self.parameters[Parameter.STATE_UNIT_V]

    def settle(self, request: Settle) -> SettleReply:
        """One SETTLE."""
        return parsed(SettleReply, self.verbs.ask(Opcode.SETTLE, request.pack()), "SETTLE")

    def states(self, reply: SettleReply, index: int, layer: int, reads: int = 1) -> NDArray[np.float64]:
        """States of the layer read at place `index`, model units, (phases, batch, units)."""
        clamped = self.topology.layers[layer].clamped
        adc = self.converters[ConverterId.STATE_ADC if clamped else ConverterId.OUTPUT_ADC]
        volts = adc.low + reply.states[index].astype(np.float64) / reads * adc.lsb
        return np.asarray(volts / self.state_unit_v)

    def _cells(self, coupling: int) -> tuple[int, int]:
        return self.topology.cells(self.topology.couplings[coupling])


class FrameSubject(Subject):
    """A device that speaks the serial protocol.

    Args:
        raw: The conversation, for checks that look at frames.
    """

    def __init__(self, raw: Conversation) -> None:
        super().__init__(raw)
        self.raw = raw

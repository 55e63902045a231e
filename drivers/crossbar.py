"""The Crossbar driver: one set of verbs in SI units, numpy in and out, over whichever protocol the device speaks."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers import cell_verbs
from drivers.cells import UNKNOWN, Cells, Snapshot
from drivers.coinciding import coincided
from drivers.convert import Floats, from_codes, rail_codes, to_codes
from drivers.errors import OutOfRange, ProtocolViolation
from drivers.multiplying import multiplied
from drivers.portions import Cost
from drivers.recording import FlightRecorder
from drivers.session import Session
from drivers.settle_parts import settled
from drivers.settling import SettleCodec, Settled
from drivers.updating import updated
from drivers.writing import OVERHEAD, Programmed, cell_bytes, changed_cells, write_requests
from firmware_specs import deeds
from firmware_specs.codes import Capability, ConverterId, Parameter
from firmware_specs.messages import (
    Coincide,
    Product,
    Region,
    Settle,
    Term,
    Train,
    Update,
    Updated,
    WriteCells,
    Written,
)
from firmware_specs.topology import Topology


class Crossbar:
    """Arrays of an open device. Use it in a `with` block: leaving it turns the outputs off.

    Args:
        session: The open device.
        recorder: Holds its last traffic.
    """

    def __init__(self, session: Session, recorder: FlightRecorder | None = None) -> None:
        self.session = session
        self.recorder = FlightRecorder() if recorder is None else recorder
        self.info = session.info
        self.address = session.address
        self._guard = session.guard
        self._topologies: dict[int, Topology] = {}
        self._cells = Cells(session)

    @property
    def planes(self) -> int:
        """Cells of one weight: 2 where pairs are differential."""
        return self._cells.planes

    @property
    def g_range_s(self) -> tuple[float, float]:
        """Smallest and largest conductance, siemens."""
        return self._cells.range_s

    @property
    def g_lsb_s(self) -> float:
        """One step of the conductance codes, siemens."""
        return self._cells.lsb_s

    def arm(self) -> None:
        """Outputs on; see `Session.arm`."""
        self.session.arm()

    def disarm(self) -> None:
        """Outputs off, confirmed."""
        self.session.disarm()

    def configure(self, array: int, topology: Topology) -> tuple[tuple[int, int], ...]:
        """Places a block on an array; returns rows and columns of every coupling. Its cells are to be written next.

        Raises:
            DeviceFault: it does not fit; the text says why.
        """
        if (topology.source is not None) != self.info.fabric.resistive:
            substrate = "resistive" if self.info.fabric.resistive else "Hopfield"
            raise OutOfRange(f"a {topology.substrate} block on a {substrate} device", device=self.address)
        if not topology.clips_at_one:
            text = f"rails {topology.rails}: a device has its own and is told rails of 1, use topology.in_rails()"
            raise OutOfRange(text, device=self.address)
        cells = self.session.call(lambda device: device.configure(array, topology))
        if cells != (expected := tuple(topology.cells(coupling) for coupling in topology.couplings)):
            text = f"couplings of {expected} cells were configured, the device says {cells}"
            raise ProtocolViolation(text, device=self.address)
        self._topologies[array] = topology
        self._cells.place(array, cells)
        return cells

    def program(
        self,
        array: int,
        targets_s: Sequence[Floats],
        *,
        only: Sequence[NDArray[np.bool_]] | None = None,
        verify_rounds: int = 0,
        tolerance: float = 0.0,
    ) -> Programmed:
        """Writes conductances; only cells that change by more than half a code are sent, counted per cell.

        Args:
            array: Which one.
            targets_s: One array a coupling, (planes, rows, columns), siemens.
            only: Where True, a cell may be written, shaped as the targets; everywhere where not given.
            verify_rounds: Write-verify rounds the device may spend; 0: as it usually writes.
            tolerance: What counts as written, as a fraction of the conductance range.

        Raises:
            OutOfRange: misshapen, not finite, or beyond the conductance range. BudgetSpent: a cell is worn.
        """
        known, wanted = self._cells.known(array), self._cells.wanted(array, targets_s)
        if only is not None:
            wanted = [np.where(here, new, old) for here, new, old in zip(only, wanted, known, strict=True)]
        changes = changed_cells(known, wanted)
        each = Cost(
            request=cell_bytes(self._cells.max_code),
            seconds=self.info.seconds(Parameter.WRITE_TIME_S) * (1 + verify_rounds),
        )
        most = self.session.portions.most("writing one cell", each, 2 * OVERHEAD)
        # a device that counts itself is asked at the next opening; of another one the most is assumed
        taken = (1 if self.info.can(Capability.USAGE) else 1 + verify_rounds, self.info.write_energy_j)
        for change in changes:
            self._guard.charge_writes((array, change.coupling, change.plane), change.positions, *taken)
        cells = sum(change.positions.size for change in changes)
        pulses = failed = 0
        sizes = (self._cells.max_code, self.session.dialect.max_request, most)
        for request, part in write_requests(array, changes, *sizes, verify_rounds, tolerance):
            for change in part:  # until the reply is here, nobody knows what the cells hold
                known[change.coupling][change.plane].reshape(-1)[change.positions] = UNKNOWN
            asked = sum(change.positions.size for change in part)
            reply = self._write(request, each.seconds * asked)
            if reply.written != asked or reply.failed > asked:
                text = f"{asked} cells were to be written, the device says {reply.written}, {reply.failed} failed"
                raise ProtocolViolation(text, device=self.address)
            for change in part:
                known[change.coupling][change.plane].reshape(-1)[change.positions] = change.codes
            pulses, failed = pulses + reply.pulses, failed + reply.failed
        return Programmed(sum(codes.size for codes in known), cells, pulses, failed)

    def placed(self) -> dict[int, list[NDArray[np.int64]]]:
        """Arrays that hold a block, and the codes known to be in their cells, -1 where not known."""
        return self._cells.all_known()

    def forget(self, array: int, coupling: int, cells: NDArray[np.bool_]) -> None:
        """Marks cells, (planes, rows, columns), as not known: the next program writes them."""
        self._cells.known(array)[coupling][cells] = UNKNOWN

    def read_conductances(
        self, array: int, coupling: int, reads: int = 1, rows: slice = slice(None), planes: slice = slice(None)
    ) -> Floats:
        """Measured conductances of all rows and planes or some, (planes, rows, columns), siemens, mean over `reads`."""
        self._guard.reads(reads)
        self._need(Capability.READ)
        _, every, columns = self._cells.known(array)[coupling].shape
        begin, end, _ = rows.indices(every)
        low, _ = self.g_range_s
        asked = range(self.planes)[planes]
        total = np.zeros((len(asked), end - begin, columns))
        for place, plane in enumerate(asked):
            region = Region(array, coupling, plane, begin, end - begin, 0, columns)
            total[place] = cell_verbs.read_codes(self.session, region, self._cells.max_code, reads)
        return total / reads * self.g_lsb_s + low

    def pulse(
        self, region: Region, *, up: bool, amplitude_v: float, width_s: float, count: int | NDArray[np.integer[Any]]
    ) -> int:
        """Programming pulses to the cells of a region; returns the largest pulse total any of them has now.

        Args:
            region: Which cells.
            up: Towards the largest conductance.
            amplitude_v: Height, volts, positive.
            width_s: Width, seconds, positive.
            count: Pulses for every cell, or one count a cell, (rows, columns).

        Raises:
            OutOfRange: beyond a limit, or not a whole number of pulses. BudgetSpent: a cell would get too many.
        """
        self._need(Capability.PULSE)
        counts = self._guard.pulse_counts(region, count)
        each_s = float(width_s) + self.info.seconds(Parameter.WRITE_TIME_S)
        self.session.portions.most("one pulse", Cost(seconds=each_s))  # refused before it is charged
        low, high = self.g_range_s
        self._guard.charge_pulses(region, amplitude_v, width_s, counts.astype(np.int64), max(low, high))
        known = self._cells.known(region.array)[region.coupling]
        known[region.plane][region.slices] = UNKNOWN
        return cell_verbs.pulse(self.session, region, up, float(amplitude_v), float(width_s), counts.astype(np.int64))

    def coincide(self, array: int, trains: Sequence[Train], *, amplitude_v: float, width_s: float) -> int:
        """Pulses rows and columns together; returns the largest pulse total any of the trains' cells has now.

        Args:
            array: Which one.
            trains: Slots in which lines are pulsed, one train after the other.
            amplitude_v: What a cell sees of which both lines are pulsed, volts, positive.
            width_s: Width of a pulse, seconds, positive.

        Raises:
            OutOfRange: beyond a limit, or lines that are not there. BudgetSpent: a cell would get too many.
        """
        self._need(Capability.COINCIDE)
        whole = Coincide(array, float(amplitude_v), float(width_s), tuple(trains))
        return coincided(self.session, whole, self._cells.known(array), max(self.g_range_s))

    def measure(self, region: Region, volts: Sequence[float], reads: int = 1) -> Floats:
        """Currents of the cells of a region, (volts, reads, rows, columns), amperes."""
        self._need(Capability.MEASURE)
        self._guard.read_voltage(np.asarray(volts, dtype=np.float64))
        self._guard.reads(reads)
        return cell_verbs.measure(self.session, region, np.asarray(volts, dtype=np.float64), reads)

    def usage(self, region: Region) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Pulses and joules that the cells of a region have had by the device's count, (rows, columns) each."""
        self._need(Capability.USAGE)
        return cell_verbs.usage(self.session, region)

    def product(
        self, array: int, coupling: int, volts: Floats, plane: int, *, transposed: bool = False, reads: int = 1
    ) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
        """Currents of one plane's lines for voltages at the others.

        Args:
            array: Which one.
            coupling: Which coupling of its topology.
            volts: (batch, rows), or (batch, columns) where transposed.
            plane: Of G+ and G-.
            transposed: Columns are driven and rows read.
            reads: Conversions of every line, averaged.

        Returns:
            Amperes (batch, columns), or (batch, rows) transposed; of each sample the voltages that the DAC clipped and
            the readings at the first or last code, (batch,).

        Raises:
            OutOfRange: not finite, or beyond the limit for reading. DeviceFault: the device refused.
        """
        self._need(Capability.PRODUCT)
        values = np.asarray(volts, dtype=np.float64)
        self._guard.finite("line voltages", values)
        dac = self.info.converter(ConverterId.PRODUCT_DAC, self.address)
        adc = self.info.converter(ConverterId.PRODUCT_ADC, self.address)
        codes, clipped = to_codes(dac, values)
        # half a code: 0 V and the limit itself need not be on the DAC's grid
        reach_v = np.abs(from_codes(dac, codes, 1, np.dtype(np.float64)))
        self._guard.read_voltage(np.maximum(reach_v - dac.lsb / 2, 0.0))
        self._guard.reads(reads)
        whole = Product(array, coupling, plane, transposed, codes, reads)
        lines = self._cells.known(array)[coupling].shape[1 if transposed else 2]
        sums = multiplied(self.session, whole, lines, adc.max_code)
        return from_codes(adc, sums, reads, np.dtype(np.float64)), clipped, rail_codes(adc, sums, reads)

    def settle(
        self,
        array: int,
        drive: Floats,
        nudges_a: Sequence[Floats] = (),
        *,
        layers: Sequence[int] | None = None,
        reads: int = 1,
        time_s: float = 0.0,
        start_v: Sequence[Floats] | None = None,
    ) -> Settled:
        """Settles freely, then once for every nudge from the free equilibrium; one transaction where it fits one.

        Args:
            array: Which one.
            drive: (batch, units of layer 0), amperes; of a resistive network (batch, source nodes), volts.
            nudges_a: One array a nudged phase, (batch, units of the last layer), amperes.
            layers: Layers to read; -1 reads the source currents. All layers where not given.
            reads: Conversions of every state; their mean is returned.
            time_s: Wait of one phase; 0: the device's usual one.
            start_v: States of every layer to start from, (batch, units) each, where the device can load them.

        Raises:
            OutOfRange: not finite, misshapen, or beyond a limit. DeviceFault: the device refused.
        """
        self._guard.reads(reads)
        self._guard.seconds("settle time", time_s)
        codec = self._codec(array)
        drive_codes, clipped = codec.drive(drive)
        nudges = [codec.nudge(values) for values in nudges_a]
        wanted = tuple(range(len(self._topologies[array].layers))) if layers is None else tuple(layers)
        start = None if start_v is None else codec.start(start_v)
        whole = Settle(array, drive_codes, tuple(codes for codes, _ in nudges), wanted, reads, time_s, start)
        phases_clipped = np.stack([clipped, *(clipped + more for _, more in nudges)])
        return settled(self.session, codec, whole, phases_clipped, drive.dtype)

    def update(
        self,
        array: int,
        drive: Floats,
        nudges_a: Sequence[Floats],
        terms: Sequence[Term],
        windows_s: Floats,
        *,
        time_s: float = 0.0,
    ) -> Updated:
        """Settles like `settle` and lets the device move the array's cells by the contrast of phases.

        Args:
            array: Which one.
            drive: As of `settle`.
            nudges_a: As of `settle`, at most two.
            terms: Which phases are contrasted, and which way.
            windows_s: How long the circuits are on for each sample and term, (batch,), seconds.
            time_s: As of `settle`.

        Raises:
            OutOfRange: not finite, misshapen, beyond a limit, or a window the device cannot. BudgetSpent: a cell is
                worn. DeviceFault: the device refused.
        """
        self._need(Capability.UPDATE)
        self._guard.seconds("settle time", time_s)
        codec = self._codec(array)
        blocks = codec.drive(drive)[0], tuple(codec.nudge(values)[0] for values in nudges_a)
        whole = Update(array, *blocks, tuple(terms), np.asarray(windows_s, dtype=np.float32), time_s)
        return updated(self.session, whole, self._cells.known(array))

    def snapshot(self) -> Snapshot:
        """The whole state of an emulator, and what is known of its cells.

        Raises:
            OutOfRange: a real chip cannot.
        """
        self._need(Capability.SNAPSHOT)
        return Snapshot(self.session.call(lambda device: device.snapshot()), self._cells.all_known())

    def restore(self, snapshot: Snapshot) -> None:
        """Puts an emulator back; outputs must be off, and the same arrays configured.

        Raises:
            DeviceFault: outputs are on, or it is not a snapshot of this device.
        """
        self._need(Capability.SNAPSHOT)
        self.session.call(lambda device: device.restore(snapshot.device))
        for array, known in snapshot.codes.items():
            self._cells.take(array, known)

    def close(self) -> None:
        """Outputs off, device given free."""
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.__exit__(kind, value, trace)

    def _need(self, capability: Capability) -> None:
        if not self.info.can(capability):
            raise OutOfRange(f"the device cannot {capability.name}: its capabilities lack it", device=self.address)

    def _write(self, request: WriteCells, seconds: float) -> Written:
        write_s = self.info.seconds(Parameter.WRITE_TIME_S)
        least = deeds.of_write(request, sum(patch.codes.size for patch in request.patches), write_s)
        return self.session.counted(
            lambda device: device.write_cells(request, seconds),
            [least],
            lambda done: deeds.of_write(request, done.pulses, write_s) - least,
        )

    def _codec(self, array: int) -> SettleCodec:
        self._cells.known(array)
        return SettleCodec(self.info.converters, self._guard, self._topologies[array], self.address)

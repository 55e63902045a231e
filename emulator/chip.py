"""The software chip: one physics, reached through a value door and a byte door, in SI units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from emulator import counting, measuring, programming, transaction, updating
from emulator.conditions import Conditions
from emulator.crossbar import EVERYWHERE, Where
from emulator.placed import PlacedArray
from emulator.products import BOTH, Multiplied, TileGrids
from emulator.programming import Written
from emulator.readout import Reading
from emulator.streams import Streams
from emulator.ways import RULE, Ways
from firmware_specs.datasheet import Datasheet
from firmware_specs.deeds import Tally
from firmware_specs.messages import Term, Train, Updated
from firmware_specs.topology import Topology


class Chip:
    """A chip built from a datasheet and a seed; the same seed is the same chip.

    Args:
        datasheet: What it is.
        seed: Which specimen: fixes mismatch and every noise stream.
        device: Torch device the arrays live on.
        dtype: Floating-point type of states and conductances.
        ways: Who chooses how convolutions are formed.

    Attributes:
        done: All it did; no part of its state, since what happened is not undone by putting a state back.
    """

    def __init__(
        self,
        datasheet: Datasheet,
        seed: int = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        ways: Ways = RULE,
    ) -> None:
        self.datasheet = datasheet
        self.ways = ways
        self.seed = seed
        self.device = torch.device(device)
        self.dtype = dtype
        self.streams = Streams(seed, self.device)
        self.arrays: dict[int, PlacedArray] = {}
        self.conditions = Conditions(datasheet)
        self.done = Tally()
        self._tiles = TileGrids()

    def configure(self, array: int, topology: Topology) -> None:
        """Places a block on an array.

        Cells at the same place of the same coupling keep what they hold, new ones start at the lowest conductance.

        Raises:
            IndexError: no such array.
        """
        if not 0 <= array < self.datasheet.fabric.arrays:
            raise IndexError(f"array {array}: this chip has arrays 0 .. {self.datasheet.fabric.arrays - 1}")
        before = self.arrays.get(array)
        placed = PlacedArray(self.datasheet, topology, self.seed, array, self.device, self.dtype, self.ways)
        for new, old in zip(placed.crossbars, before.crossbars if before else (), strict=False):
            new.take_over(old)
        self.arrays[array] = placed

    def wait(self, seconds: float) -> None:
        """Lets the chip's clock run: conductances drift, 1/f noise grows.

        Raises:
            ValueError: the time is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"wait: 0 or more seconds expected, got {seconds}")
        self.conditions.run(seconds)
        for placed in self.arrays.values():
            placed.changed()

    def program(
        self,
        array: int,
        targets_s: Sequence[Tensor],
        masks: Sequence[Tensor] | None = None,
        verify: int | None = None,
        tolerance: float | None = None,
    ) -> Written:
        """Writes the cells of an array in one transaction.

        Args:
            array: Which one.
            targets_s: One tensor a coupling, (planes, rows, columns), siemens; planes 0 and 1 are G+ and G-, a
                resistive network has one.
            masks: Where True, the cell is written, elsewhere it keeps its conductance; all cells when omitted.
            verify: Most rewrites of a cell whose read-back misses; 0 does not look; the datasheet's when omitted.
            tolerance: Fraction of the range that counts as a hit; the datasheet's when omitted.

        Raises:
            ValueError: targets or masks do not fit the couplings' cells; nothing is written then.
        """
        placed, stated = self.arrays[array], self.datasheet.programming
        written = programming.program(
            placed,
            targets_s,
            masks,
            stated.verify_rounds if verify is None else verify,
            stated.verify_tolerance if tolerance is None else tolerance,
            self.conditions.aged_s,
            self.streams.next(f"programming {array}"),
        )
        self.done.add(counting.of_writes(self.datasheet, written.cells, written.pulses))
        self.conditions.run(written.pulses * stated.write_time_s)
        placed.changed()
        return written

    def pulse(
        self,
        array: int,
        coupling: int,
        where: Where,
        counts: int | Tensor,
        up: bool,
        amplitude_v: float | None = None,
        width_s: float | None = None,
    ) -> tuple[int, int]:
        """Sends programming pulses to cells of one coupling, in one transaction.

        Args:
            array: Which array.
            coupling: Which coupling of its topology.
            where: Planes, rows and columns; `emulator.crossbar.EVERYWHERE` for all.
            counts: Pulses for each cell, or one number a cell, of the region's shape.
            up: Towards `g_max_s`, else towards `g_min_s`.
            amplitude_v: Height; the datasheet's nominal one when omitted.
            width_s: Width; the datasheet's nominal one when omitted.

        Returns:
            Pulses delivered, and the largest total any of these cells has taken.

        Raises:
            ValueError: the datasheet describes no pulses.
        """
        placed, law = self.arrays[array], self.datasheet.pulses
        if law.law == "none":
            raise ValueError(f"{self.datasheet.identity.model}: its datasheet has no pulse law, cells cannot be pulsed")
        placed.wander(self.conditions.aged_s, self.streams)
        generator = self.streams.next(f"pulsing {array}")
        width_s = law.width_s if width_s is None else width_s
        delivered, most = placed.crossbars[coupling].pulse(
            where, counts, up, amplitude_v or law.amplitude_v, width_s, self.conditions.aged_s, generator
        )
        self.done.add(counting.of_pulses(self.datasheet, up, delivered, width_s))
        self.conditions.run(delivered * width_s)
        placed.changed()
        return delivered, most

    def coincide(
        self, array: int, trains: Sequence[Train], amplitude_v: float | None = None, width_s: float | None = None
    ) -> tuple[int, int]:
        """Pulses rows and columns, in one transaction: a cell gets a pulse in every slot in which both of its are.

        Args:
            array: Which array.
            trains: One after the other.
            amplitude_v: What a cell sees then; the datasheet's nominal height when omitted.
            width_s: Of a pulse; the datasheet's nominal one when omitted.

        Returns:
            Pulses delivered, and the largest total any of these cells has taken.

        Raises:
            ValueError: the datasheet has no section `coincidence`.
        """
        placed, law, able = self.arrays[array], self.datasheet.pulses, self.datasheet.coincidence
        if able is None:
            raise ValueError(
                f"{self.datasheet.identity.model}: its datasheet has no section [coincidence], rows and columns "
                "cannot be pulsed together"
            )
        placed.wander(self.conditions.aged_s, self.streams)
        generator = self.streams.next(f"pulsing {array}")
        amplitude_v, width_s = amplitude_v or law.amplitude_v, width_s or law.width_s
        delivered = most = 0
        for train in trains:
            crossbar, where = placed.crossbars[train.region.coupling], (train.region.plane, *train.region.slices)
            counts, half = torch.from_numpy(train.counts), torch.from_numpy(train.half_selected)
            crossbar.half_select(where, half, able.half_select * amplitude_v, width_s)
            sent, had = crossbar.pulse(where, counts, train.up, amplitude_v, width_s, self.conditions.aged_s, generator)
            delivered, most = delivered + sent, max(most, had)
            self.conditions.run(train.slots * width_s)
        self.done.add(counting.of_coincidences(self.datasheet, trains, width_s))
        placed.changed()
        return delivered, most

    def measure(
        self, array: int, coupling: int, where: Where, volts: Sequence[float] | Tensor, reads: int = 1
    ) -> Tensor:
        """Currents of cells at voltages, one by one, in one transaction.

        Lines have the resistance of the datasheet's wires only where it has a passive array (`wires.unselected`): then
        the current is what arrives at the selected column's end, with what sneaks around the cell.

        Args:
            array: Which array.
            coupling: Which coupling of its topology.
            where: Planes, rows and columns.
            volts: At the cell's row.
            reads: Readings at each voltage, each with its own read noise.

        Returns:
            Amperes, (volts, reads, *region).
        """
        placed, generator = self._ready(array), self.streams.next(f"measuring {array}")
        now_s = self.conditions.aged_s
        amperes = measuring.currents(placed, coupling, where, torch.as_tensor(volts), reads, now_s, generator)
        self.done.add(counting.of_readings(self.datasheet, amperes))
        return amperes

    def read(self, array: int, coupling: int, where: Where = EVERYWHERE, reads: int = 1) -> Tensor:
        """Conductances of cells as the read circuit sees them at `limits.max_read_v`, mean over the reads, siemens."""
        read_v = self.datasheet.limits.max_read_v
        return self.measure(array, coupling, where, [read_v], reads)[0].mean(0) / read_v

    def product(
        self, array: int, coupling: int, volts: Tensor, transposed: bool = False, plane: int | None = None
    ) -> Tensor:
        """Currents of a coupling's lines for voltages at the others, read noise included, in one transaction.

        Args:
            array: Which array.
            coupling: Which coupling of its topology.
            volts: (batch, rows), or (batch, columns) where transposed.
            transposed: Columns are driven and rows read.
            plane: Of G+ and G-; their difference when omitted.

        Returns:
            Amperes, (batch, columns), or (batch, rows) where transposed.
        """
        placed, generator = self._ready(array), self.streams.next(f"multiplying {array}")
        return measuring.product(placed, coupling, self._here(volts), transposed, plane, generator)

    def tiled_product(
        self, grid: Sequence[Sequence[int]], volts: Tensor, transposed: bool = False, portion: int | None = None
    ) -> Multiplied:
        """`product` of G+ minus G- with a matrix on tiles, converted line by line, added by the host.

        A transaction a tile, plane and portion of the batch.

        Args:
            grid: Arrays, one a tile, (down, across).
            volts: (batch, rows), or (batch, columns) where transposed.
            transposed: Columns are driven and rows read.
            portion: Most samples of a transaction; all of them when omitted.

        Raises:
            ValueError: the datasheet describes no product path.
        """
        outputs = grid if transposed else [*zip(*grid, strict=True)]
        tiled = self._tiles.of([[self._ready(array) for array in row] for row in outputs], transposed)
        order = [array for _ in BOTH for row in outputs for array in row]
        parts = -(-len(volts) // (portion or len(volts)))
        tiles, reads = [self.arrays[array] for row in grid for array in row], tiled.product.reads
        self.done.add(counting.of_products(tiles, len(volts), transposed, len(BOTH), reads))
        noise = [[self.streams.next(f"multiplying {array}") for _ in range(parts)] for array in order]
        return tiled.multiply(volts.to(self.device), noise, portion)

    def line_product(self, array: int, volts: Tensor, transposed: bool, plane: int, reads: int) -> Tensor:
        """Mean readings of one plane's lines, (batch, lines), amperes on the ADC's grid, in one transaction.

        Raises:
            ValueError: the datasheet describes no product path.
        """
        tiled = self._tiles.of([[self._ready(array)]], transposed)
        self.done.add(counting.of_products([self.arrays[array]], len(volts), transposed, 1, reads))
        noise = [[self.streams.next(f"multiplying {array}")]]
        return tiled.readings(volts.to(self.device), noise, reads, slice(plane, plane + 1))[0][0, 0]

    def conductances_s(self, array: int) -> list[Tensor]:
        """True conductances now, one tensor a coupling, (planes, rows, columns); what no instrument sees exactly."""
        return self._ready(array).conductances_s

    def usage(self, array: int, coupling: int, where: Where = EVERYWHERE) -> tuple[Tensor, Tensor]:
        """Pulses (int32) and joules every cell has taken."""
        crossbar = self.arrays[array].crossbars[coupling]
        return crossbar.pulses[where], crossbar.energy_j[where]

    def health(self, array: int, coupling: int) -> tuple[Tensor, Tensor]:
        """Cells worn out, and cells older than the datasheet's `drift.retention_s`; bool, (planes, rows, columns)."""
        crossbar, retention_s = self.arrays[array].crossbars[coupling], self.datasheet.drift.retention_s
        worn = crossbar.worn()
        expired = (
            torch.zeros_like(worn) if retention_s is None else crossbar.age_s(self.conditions.aged_s) > retention_s
        )
        return worn, expired

    def settle(
        self,
        array: int,
        drive: Tensor,
        nudges_a: Sequence[Tensor] = (),
        start_v: Sequence[Tensor] | None = None,
        reads: int = 1,
        time_s: float | None = None,
        layers: Sequence[int] | None = None,
    ) -> tuple[Reading, ...]:
        """Settles freely, then once for every nudge from that equilibrium, in one transaction.

        Args:
            array: Which one.
            drive: (batch, *first layer), amperes; volts of the source nodes in a resistive network.
            nudges_a: (batch, *last layer) each, amperes.
            start_v: Measured states of an earlier free phase of the same drive; the free phase resumes from them, or
                from what is behind them where the array still rests there. In the transient mode it starts from rest.
            reads: Conversions of every state, averaged.
            time_s: Wait of one phase; the datasheet's when omitted.
            layers: Which are asked for, for the count of conversions; all when omitted.

        Returns:
            One reading a phase, the free one first.
        """
        placed, generator = self._ready(array), self.streams.next(f"reading {array}")
        drive, nudges = self._here(drive), [self._here(n) for n in nudges_a]
        readings = transaction.settle(
            placed, drive, nudges, start_v, reads, time_s, self.conditions.temperature_k, generator
        )
        self.done.add(counting.of_settle(placed, len(drive), len(nudges), reads, time_s, layers))
        self.conditions.run(readings[0].time_s * len(readings) * len(drive))
        return readings

    def update(
        self,
        array: int,
        drive: Tensor,
        nudges_a: Sequence[Tensor],
        terms: Sequence[Term],
        windows_s: Tensor,
        time_s: float | None = None,
    ) -> Updated:
        """Settles as `settle` does and moves the array's cells by the contrast of phases, in one transaction.

        Args:
            array: Which one.
            drive: As of `settle`.
            nudges_a: As of `settle`.
            terms: Which phases are contrasted, and which way.
            windows_s: How long the circuits are on for each sample and term, (batch,).
            time_s: As of `settle`.
        """
        placed, generator = self._ready(array), self.streams.next(f"updating {array}")
        drive, nudges = self._here(drive), [self._here(n) for n in nudges_a]
        aged_s = self.conditions.aged_s
        done = updating.update(placed, drive, nudges, terms, windows_s, time_s, aged_s, generator)
        deeds = counting.of_update(placed, len(drive), len(nudges), len(terms) * float(windows_s.sum()), time_s)
        self.done.add(deeds)
        self.conditions.run(deeds.device_s)
        placed.changed()
        return done

    def state_dict(self) -> dict[str, Tensor]:
        """Cells of every array, clock, temperature, and the counters of every noise stream."""
        state = {
            f"array_{array}.{name}": value
            for array, placed in self.arrays.items()
            for name, value in placed.state_dict().items()
        }
        counters = {f"counter.{name}": torch.tensor(count) for name, count in self.streams.counters.items()}
        return state | counters | {"clock": self.conditions.state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`; the same blocks must have been configured.

        Raises:
            KeyError: an array's cells are missing.
        """
        self.conditions.restore(state["clock"])
        for array, placed in self.arrays.items():
            start = f"array_{array}."
            placed.load_state_dict({k.removeprefix(start): v for k, v in state.items() if k.startswith(start)})
        prefix = "counter."
        self.streams.counters.clear()
        self.streams.counters.update({k.removeprefix(prefix): int(v) for k, v in state.items() if k.startswith(prefix)})

    def _ready(self, array: int) -> PlacedArray:
        placed = self.arrays[array]
        placed.fluctuate(self.conditions.clock_s, self.streams)
        placed.wander(self.conditions.aged_s, self.streams)
        placed.refresh(self.conditions.aged_s, self.conditions.temperature_k)
        return placed

    def _here(self, values: Tensor) -> Tensor:
        return values.to(self.device, self.dtype)

"""Symmetric point: where up and down pulses move a cell alike, the zero of arrays that gather gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy import optimize

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.pulses import Pulses as Law
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Array, Settings
from hil.measuring.characterize.items.pulse_response import PulseResponse
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Pulses, Step, Write

if TYPE_CHECKING:
    import xarray as xr


class SymmetricPoint(Settings):
    """Pulses to and fro until cells stay where they are, from below and from above.

    An up and a down pulse bring a cell with soft bounds nearer to its symmetric point by the share `2 step` (Rasch et
    al., Nat. Commun. 15, 7133, 2024, eq. 8). It wears: twice `pairs` pulses a cell and start.

    Attributes:
        starts: Levels that are written first, one search each; how far apart they end tells whether it was long enough.
        pairs: Pulses up and as many down; 0: by the datasheet as many as leave a twentieth of the way.
        burst: Pulses of one direction in a row on the way; the last ones are single.
        last: Readings at the end, one after each pulse of the last pairs.
        reads: Readings of every cell each time.
    """

    NAME: ClassVar[str] = "symmetric_point"
    NEEDS: ClassVar[tuple[Capability, ...]] = PulseResponse.NEEDS
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "start": "1", "direction": "1"}

    starts: Annotated[tuple[float, ...], Field(min_length=2)] = (0.25, 0.75)
    pairs: Annotated[int, Field(ge=0)] = 0
    burst: Annotated[int, Field(ge=2)] = 8
    last: Annotated[int, Field(ge=2)] = 10
    reads: Annotated[int, Field(ge=2)] = 4

    def refusal(self, probe: Probe) -> str:
        """Cells that go one way only have none; neither height, width nor length of the search is made up."""
        law = None if probe.sheet is None else probe.sheet.pulses
        if law is not None and law.one_sided:
            return "pulses move these cells one way only: they have no symmetric point"
        if not self.pairs and (law is None or law.law == "none"):
            return "nobody says how far a pulse moves: name a datasheet with a pulse law, or set pairs in the plan"
        return PulseResponse().refusal(probe)

    def steps(self, probe: Probe) -> Sequence[Step]:
        """Of every start: a write and bursts in one step, then single pulses with a reading after each."""
        height, width = PulseResponse().chosen(probe)
        pairs, found = self.pairs or needed(probe.sheet), []
        planes = range(probe.shape[0])

        def every(up: bool, count: int) -> tuple[Pulses, ...]:
            return tuple(Pulses(plane, up, count, height, width) for plane in planes)

        bursts = math.ceil(max(0, pairs - self.last) / self.burst)
        for start in self.starts:
            way = [pulses for _ in range(bursts) for up in (True, False) for pulses in every(up, self.burst)]
            if bursts:
                way += every(True, self.burst // 2)  # from the end of the last burst back to its middle
            found.append(self._step((Write(start), *way), start, 0))
            found += [
                self._step(every(up, 1), start, 1 if up else -1) for _ in range(self.last) for up in (True, False)
            ]
        return found

    def _step(self, deeds: tuple[Write | Pulses, ...], start: float, direction: int) -> Step:
        at = {"start": float(start), "direction": float(direction)}
        return Step(lambda p: {"level": p.read(self.reads)}, deeds, at)

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Level of the symmetric point, its spread between cells, and how far apart the searches ended."""
        ends, good, out = points(data), health.good(data), health.left_out(data)
        cells = ends[:, good]
        apart = robust.mean(cells[-1] - cells[0])
        level = robust.mean(cells.mean(axis=0)).widened(way_not_done=abs(apart.value) / 2)
        noise = (cells.var(axis=0, ddof=1) / len(cells)) if len(cells) > 2 else 0.0
        law = None if sheet is None or sheet.pulses.law == "none" else sheet.pulses
        return [
            Figure(f"{self.NAME}.level", level, None if law is None else stated(law), out),
            Figure(f"{self.NAME}.spread", robust.spread(cells.mean(axis=0), noise), None, out),
            Figure(f"{self.NAME}.apart", apart, None, out),
        ]


def points(data: xr.Dataset) -> Array:
    """Mean level of every cell over the last pairs of every search, (starts, planes, rows, columns)."""
    level, start = data["level"].to_numpy().mean(axis=1), data["start"].to_numpy()
    single = data["direction"].to_numpy() != 0
    values = list(dict.fromkeys(start.tolist()))
    return np.stack([level[single & (start == value)].mean(axis=0) for value in values])


def needed(sheet: Datasheet | None) -> int:
    """Pairs of pulses that leave a twentieth of the way, by the datasheet's step."""
    assert sheet is not None  # noqa: S101 - refused before
    return math.ceil(0.75 / sheet.pulses.step)


def stated(law: Law) -> float | None:
    """Where the law's up and down steps are equal; None where they are nowhere, or everywhere."""

    def difference(x: float) -> float:
        return (1 + law.asymmetry) * law.response(x, True) - (1 - law.asymmetry) * law.response(x, False)

    low, high = difference(0.001), difference(0.999)
    return float(optimize.brentq(difference, 0.001, 0.999)) if low * high < 0 else None

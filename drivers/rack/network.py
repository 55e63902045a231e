"""A passive resistive network on the crossbar: sources on DACs, diodes on relays, nudge currents from SMUs.

The network is a chain of layers; layers alternate between the two sides of the crossbar, so that every coupling is a
block of cells: sources and every second layer on rows, the others on columns. Lines without a node float: grounded they
would load the nodes. Cells between blocks that no coupling uses must not exist, which limits the chain to two layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import NotSettled, OutOfRange
from drivers.rack.checks import finite, within
from drivers.rack.relays import Path
from drivers.rack.rig import Rig
from firmware_specs.deeds import Deeds

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Which line carries which node.

    Attributes:
        sources: Lines of the source nodes.
        layers: Lines of each layer's nodes.
        floors: Lines with a diode that keeps them at or above 0 V.
        ceilings: Lines with a diode that keeps them at or below 0 V.
    """

    sources: tuple[str, ...]
    layers: tuple[tuple[str, ...], ...]
    floors: tuple[str, ...] = ()
    ceilings: tuple[str, ...] = ()

    @property
    def used(self) -> tuple[str, ...]:
        """All lines with a node."""
        return self.sources + tuple(line for layer in self.layers for line in layer)

    def cells(self, coupling: int) -> tuple[slice, slice, bool]:
        """Rows and columns of a coupling's cells, and whether its later layer is on the rows."""
        before = self.sources if coupling == 0 else self.layers[coupling - 1]
        after = self.layers[coupling]
        flipped = after[0].startswith("row")
        rows, columns = (after, before) if flipped else (before, after)
        return _span(rows), _span(columns), flipped


@dataclass(frozen=True)
class Phase:
    """What one phase looked like.

    Attributes:
        source_v: Voltages of the source nodes, (sources,).
        layers_v: Voltages of every layer's nodes.
        source_a: Current out of every source, (sources,), where the bench has shunts; empty otherwise.
    """

    source_v: Array
    layers_v: tuple[Array, ...]
    source_a: Array


def layout(rig: Rig, sources: int, layers: Sequence[int], diodes: Sequence[int | None]) -> Layout:
    """Places a chain.

    Args:
        rig: The rack.
        sources: Number of source nodes.
        layers: Nodes of each layer.
        diodes: For each layer the number of leading nodes kept at or above 0 V, the rest at or below; None: bare.

    Raises:
        OutOfRange: it does not fit, or an instrument it needs is missing; the message says which.
    """
    rack = rig.rack
    if not 1 <= len(layers) <= 2:
        raise OutOfRange(f"{len(layers)} layers: one crossbar holds one or two", device=rack.name)
    on_rows = sources + (layers[1] if len(layers) == 2 else 0)
    if on_rows > rack.rows or layers[0] > rack.columns:
        raise OutOfRange(
            f"{on_rows} nodes on rows and {layers[0]} on columns; the crossbar is {rack.rows} x {rack.columns}",
            device=rack.name,
        )
    lines = [tuple(f"col{j}" for j in range(layers[0]))]
    if len(layers) == 2:
        lines.append(tuple(f"row{sources + i}" for i in range(layers[1])))
    floors: list[str] = []
    ceilings: list[str] = []
    for names, leading in zip(lines, diodes, strict=True):
        if leading is not None:
            floors += names[:leading]
            ceilings += names[leading:]
    found = Layout(tuple(f"row{i}" for i in range(sources)), tuple(lines), tuple(floors), tuple(ceilings))
    _check_wiring(rig, found)
    return found


class NetworkSession:
    """The network wired up and at rest; settles as often as asked. Leave it with `close`.

    Args:
        rig: The rack.
        placed: Where the nodes are.
    """

    def __init__(self, rig: Rig, placed: Layout) -> None:
        self.rig, self.placed = rig, placed
        roles = rig.rack.roles
        self._nudges = dict(zip(placed.layers[-1], roles.nudge, strict=False))
        self._meter = rig.boxes[roles.voltmeter]
        wiring = rig.rack.wiring
        self._channels = [wiring.scan[line] for line in placed.used]
        if rig.rack.measures_source_currents:
            self._channels += [wiring.shunts[line] for line in placed.sources]
        rig.rest()
        paths: set[Path] = {(terminal, line) for line, terminal in self._nudges.items()}
        paths |= {(f"floor.{line}", line) for line in placed.floors}
        paths |= {(f"ceiling.{line}", line) for line in placed.ceilings}
        rig.route(paths)
        rig.outputs.drive(dict.fromkeys(placed.sources, 0.0))
        # after the relays: a current source on an open terminal drifts to its compliance
        for terminal in self._nudges.values():
            rig.outputs.source_amps(terminal, range_a=rig.limits.nudge_a)
        self._meter.configure(range_v=rig.limits.drive_v, nplc=rig.rack.timing.meter_nplc)
        rig.mode = "network"

    def settle(
        self, source_v: Array, nudges_a: Sequence[Array] = (), free: bool = True, reads: int = 1
    ) -> tuple[Phase, ...]:
        """Free phase, then one phase for every nudge, all at the same source voltages.

        Args:
            source_v: (sources,), volts.
            nudges_a: (last layer,) each, amperes into the nodes.
            free: Measure the free phase; without it only the nudged ones are returned.
            reads: Scans of each phase, averaged.

        Raises:
            OutOfRange: beyond `limits.drive_v` or `limits.nudge_a`, or not finite; nothing was sent.
            DeviceFault: a nudge source reached its compliance: the rack is off.
        """
        rig, limits = self.rig, self.rig.limits
        for what, values, limit, unit in (
            ("source voltage", np.asarray(source_v), limits.drive_v, "V"),
            *(("nudge current", np.asarray(nudge), limits.nudge_a, "A") for nudge in nudges_a),
        ):
            finite(f"{what}s", values, rig.rack.name)
            within(what, float(np.abs(values).max(initial=0.0)), limit, unit, rig.rack.name)
        return rig.accounts.run(
            [self._deeds(nudges_a, free, reads)],
            lambda: self._settle(source_v, nudges_a, free, reads),
            lambda phases: self._heat(phases, free),
        )

    def _settle(self, source_v: Array, nudges_a: Sequence[Array], free: bool, reads: int) -> tuple[Phase, ...]:
        with self.rig.driving():
            self.rig.outputs.drive(dict(zip(self.placed.sources, (float(v) for v in source_v), strict=True)))
        phases = [self._read(reads)] if free else []
        for nudge in nudges_a:
            self._nudge(nudge)
            phases.append(self._read(reads))
        if len(nudges_a):
            self._nudge(np.zeros(len(self._nudges)))
        return tuple(phases)

    def _deeds(self, nudges_a: Sequence[Array], free: bool, reads: int) -> Deeds:
        """What a settle asks of the crossbar; a source that nudges is read once more, for its compliance."""
        phases, phase_s = len(nudges_a) + free, self.rig.rack.timing.line_settle_s
        return Deeds(
            free=float(free),
            nudged=len(nudges_a),
            dac=len(self.placed.sources) + len(nudges_a) * len(self._nudges),
            adc=phases * reads * len(self._channels) + sum(int(np.count_nonzero(nudge)) for nudge in nudges_a),
            device_s=phases * phase_s,
            free_s=free * phase_s,
            nudged_s=len(nudges_a) * phase_s,
        )

    def _heat(self, phases: Sequence[Phase], free: bool) -> Deeds:
        """What the sources put into the cells while a phase came to rest, where their currents are measured."""
        watts = [float(p.source_v @ p.source_a) if len(p.source_a) else 0.0 for p in phases]
        each_s = self.rig.rack.timing.line_settle_s
        free_j, nudged_j = (max(0.0, sum(part)) * each_s for part in (watts[:free], watts[free:]))
        return Deeds(array_j=free_j + nudged_j, free_j=free_j, nudged_j=nudged_j)

    def drift_v(self, source_v: Array) -> float:
        """Largest change of any node between two readings of the same free phase; noise, or a network not at rest."""
        first, second = self.settle(source_v)[0], self._read()
        self.rig.accounts.add(Deeds(adc=len(self._channels), device_s=self.rig.rack.timing.line_settle_s))
        return max(float(np.abs(a - b).max()) for a, b in zip(first.layers_v, second.layers_v, strict=True))

    def require_settled(self, source_v: Array, tolerance_v: float) -> None:
        """Raises `NotSettled` where two readings of a free phase differ by more than the tolerance."""
        if (drift := self.drift_v(source_v)) > tolerance_v:
            raise NotSettled(
                f"nodes moved by {drift:g} V between two readings, {tolerance_v:g} V are tolerated",
                device=self.rig.rack.name,
                todo="Raise timing.line_settle_s",
            )

    def close(self) -> None:
        """Everything down, off and open; error queues read."""
        self.rig.rest()
        self.rig.check_errors()

    def _nudge(self, currents: Array) -> None:
        for terminal, current in zip(self._nudges.values(), currents, strict=True):
            self.rig.outputs.set_level(terminal, float(current))
        for terminal, current in zip(self._nudges.values(), currents, strict=True):
            if current:
                self.rig.measure(
                    terminal
                )  # trips where the compliance acts: the current would not be the one asked for

    def _read(self, reads: int = 1) -> Phase:
        self.rig.wait(self.rig.rack.timing.line_settle_s)
        volts = np.mean([self._meter.scan(self._channels) for _ in range(reads)], axis=0)
        split = np.cumsum([len(self.placed.sources), *(len(layer) for layer in self.placed.layers)])
        source, *layers, behind = np.split(volts, split)
        shunt_ohm = self.rig.rack.wiring.shunt_ohm
        return Phase(source, tuple(layers), (behind - source) / shunt_ohm if len(behind) else behind)


def _check_wiring(rig: Rig, placed: Layout) -> None:
    rack, wiring = rig.rack, rig.rack.wiring
    needs = (
        ("a DAC (wiring.direct)", placed.sources, wiring.direct),
        ("a scanned channel (wiring.scan)", placed.used, wiring.scan),
        ("a shunt (wiring.shunts)", placed.sources if rack.measures_source_currents else (), wiring.shunts),
        ("a diode (wiring.floor)", placed.floors, wiring.floor),
        ("a diode (wiring.ceiling)", placed.ceilings, wiring.ceiling),
    )
    for what, lines, have in needs:
        if missing := [line for line in lines if line not in have]:
            raise OutOfRange(f"{', '.join(missing)} need {what}", device=rack.name)
    if len(placed.layers[-1]) > len(rack.roles.nudge):
        raise OutOfRange(
            f"{len(placed.layers[-1])} outputs need as many nudge sources, roles.nudge has {len(rack.roles.nudge)}",
            device=rack.name,
        )


def _span(lines: tuple[str, ...]) -> slice:
    first = int(lines[0][3:])
    return slice(first, first + len(lines))

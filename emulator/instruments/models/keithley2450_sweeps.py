"""Sweeps of a 2450 in its TSP command set: what they load into the trigger model (smu.source.sweep*)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from emulator.instruments.models.keithley2450_engine import Engine
from emulator.instruments.models.keithley2450_lists import ConfigLists
from emulator.instruments.models.keithley2450_tsp_buffers import TspBuffers
from emulator.instruments.refused import Refused
from emulator.instruments.sweeps import MAX_POINTS, Sweep, both_ways, linear, logarithmic, stepped
from emulator.instruments.tsp.common import number, whole

MOST_RUNS = 268_435_455
ENDLESS = Refused(-221, "Settings conflict; a sweep without an end is left out here")


class Sweeping(Protocol):
    """The box that sweeps."""

    engine: Engine
    buffers: TspBuffers


class Sweeps:
    """The sweep functions of one box.

    Args:
        box: Whose they are.
        lists: Configuration lists of its source: a sweep makes one.
    """

    def __init__(self, box: Sweeping, lists: ConfigLists) -> None:
        self._box, self._lists = box, lists

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Functions, by path."""
        return {
            "smu.source.sweeplinear": partial(self._ramp, "linear"),
            "smu.source.sweeplinearstep": partial(self._ramp, "step"),
            "smu.source.sweeplog": partial(self._ramp, "log"),
            "smu.source.sweeplist": self._list,
        }

    def _ramp(
        self, shape: str, name: Any = None, start: Any = None, stop: Any = None, size: Any = None, delay: Any = None,
        count: Any = None, ranging: Any = None, abort: Any = None, dual: Any = None, buffer: Any = None,
        asymptote: Any = None, *_: Any,
    ) -> None:  # fmt: skip
        first, last, much = number(start), number(stop), number(size)
        match shape:
            case "linear":
                levels = linear(first, last, whole(much))
            case "step":
                levels = stepped(first, last, much)
            case _:
                levels = logarithmic(first, last, whole(much), number(asymptote or 0.0))
        levels = both_ways(levels) if dual == "smu.ON" else levels
        self._lists.fill(name, levels)
        self._load(levels, delay, count, ranging, abort, buffer)

    def _list(
        self, name: Any = None, index: Any = None, delay: Any = None, count: Any = None, abort: Any = None,
        buffer: Any = None, *_: Any,
    ) -> None:  # fmt: skip
        """The levels of a list's entries, from one of them on."""
        entries = self._lists.of(name)[(whole(index) if index is not None else 1) - 1 :]
        self._load(tuple(float(entry["smu.source.level"]) for entry in entries), delay, count, None, abort, buffer)

    def _load(self, levels: tuple[float, ...], delay: Any, count: Any, ranging: Any, abort: Any, buffer: Any) -> None:
        smu = self._box.engine.smu
        for level in levels:
            smu.range(smu.source, level)
        if count == "smu.INFINITE":
            raise ENDLESS
        runs = 1 if count is None else whole(count)
        if not 1 <= runs <= MOST_RUNS or runs * len(levels) > MAX_POINTS:
            raise Refused(1103, "Parameter too big")
        wait = 0.0 if delay in (None, "smu.DELAY_AUTO") else max(0.0, number(delay))
        path = "defbuffer1" if buffer is None else str(buffer)
        self._box.buffers.of(path)
        fixed, stops = ranging == "smu.RANGE_FIXED", abort != "smu.OFF"
        self._box.engine.sweep = Sweep(levels * runs, smu.source, wait, path, stops, fixed)

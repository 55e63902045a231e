"""The trigger model of a 2450 in its TSP command set: blocks carried out one after the other, with branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from emulator.instruments.models.keithley2450_engine import NO_MODEL, Engine
from emulator.instruments.models.keithley2450_lists import ConfigLists
from emulator.instruments.models.keithley2450_settings import FunctionTree
from emulator.instruments.models.keithley2450_tsp_buffers import TspBuffers
from emulator.instruments.refused import Refused
from emulator.instruments.sweeps import MAX_POINTS, Sweep
from emulator.instruments.tsp.common import number, whole
from emulator.rack.stand import Stand

MOST_BLOCKS, MOST_STEPS = 255, 1_000_000
ARGUMENTS = {
    "SOURCE_OUTPUT": 1, "DELAY_CONSTANT": 1, "DELAY_DYNAMIC": 1, "CONFIG_RECALL": 1, "CONFIG_NEXT": 1, "CONFIG_PREV": 1,
    "RESET_BRANCH_COUNT": 1, "BRANCH_COUNTER": 2, "BRANCH_ALWAYS": 1, "BRANCH_ONCE": 1, "BRANCH_ONCE_EXCLUDED": 1,
    "BRANCH_LIMIT_CONSTANT": 4, "BUFFER_CLEAR": 0, "MEASURE": 0, "MEASURE_DIGITIZE": 0, "NOP": 0, "NOTIFY": 0,
    "LOG_EVENT": 0,
}  # fmt: skip
"""Blocks, and how many parameters each needs."""
LIMITS = ("trigger.LIMIT_ABOVE", "trigger.LIMIT_BELOW", "trigger.LIMIT_INSIDE", "trigger.LIMIT_OUTSIDE")
DOES_NOT_END = Refused(-286, "TSP Runtime error: the trigger model does not end")


class Triggered(Protocol):
    """The box whose trigger model it is."""

    bench: Stand
    engine: Engine
    buffers: TspBuffers
    tree: FunctionTree


class Blocks:
    """Trigger model: blocks, or the sweep that a function has loaded.

    Args:
        box: Whose it is.
        lists: Configuration lists by kind.
    """

    def __init__(self, box: Triggered, lists: dict[str, ConfigLists]) -> None:
        self._box, self._lists = box, lists
        self._blocks: dict[int, tuple[str, tuple[Any, ...]]] = {}
        self._counts: dict[int, int] = {}
        self._places: dict[str, int] = {}
        self._last = self._taken = 0
        self._value = 0.0
        self._state = "IDLE"

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Functions, by path."""
        return {
            "trigger.model.load": self._load,
            "trigger.model.setblock": self._set,
            "trigger.model.initiate": lambda *_: self._initiate(),
            "trigger.model.abort": lambda *_: None,
            "trigger.model.state": lambda *_: self._told(),
            "trigger.model.getblocklist": lambda *_: self._listed(),
            "trigger.model.getbranchcount": lambda block=0, *_: self._counts.get(whole(block), 0),
        }

    def _load(self, template: Any = None, count: Any = 1, delay: Any = None, buffer: Any = None, *_: Any) -> None:
        """`"SimpleLoop", count, delay, buffer`, `"Empty"`; other templates are left out."""
        if template not in ("SimpleLoop", "Empty"):
            raise Refused(-286, f"TSP Runtime error at line 1: the template {template!r} is left out here")
        self._blocks, self._box.engine.sweep = {}, None
        if template == "Empty":
            return
        readings, smu = whole(count), self._box.engine.smu
        path = "defbuffer1" if buffer is None else str(buffer)
        self._box.buffers.of(path)
        if not 1 <= readings <= MAX_POINTS:
            raise Refused(1103, "Parameter too big")
        levels = (smu.level[smu.source],) * readings
        self._box.engine.sweep = Sweep(levels, smu.source, number(delay or 0.0), path, switches=False)

    def _set(self, block: Any = None, kind: Any = None, *given: Any) -> None:
        place, name = whole(block), str(kind).removeprefix("trigger.BLOCK_")
        if not 1 <= place <= MOST_BLOCKS or name == str(kind):
            raise Refused(-286, "TSP Runtime error at line 1: a block number and a trigger.BLOCK_ were expected")
        if name not in ARGUMENTS:
            raise Refused(-286, f"TSP Runtime error at line 1: blocks {name} are left out here")
        if len(given) < ARGUMENTS[name] or (name == "BRANCH_LIMIT_CONSTANT" and given[0] not in LIMITS):
            raise Refused(-286, f"TSP Runtime error at line 1: more parameters were expected for {name}")
        self._box.engine.sweep = None
        self._blocks[place] = (name, given)

    def _initiate(self) -> None:
        if self._box.engine.sweep is not None:
            self._box.engine.initiate()
        elif self._blocks:
            self._run()
        else:
            raise NO_MODEL

    def _run(self) -> None:
        self._counts, self._places, self._taken, place = {}, {}, 0, 1
        self._state = "FAILED"
        for _ in range(MOST_STEPS):
            if place > max(self._blocks):
                self._state = "IDLE"
                return
            self._last = place
            name, given = self._blocks.get(place, ("NOP", ()))
            place = self._step(place, name, given)
        raise DOES_NOT_END

    def _step(self, place: int, name: str, given: tuple[Any, ...]) -> int:
        """Carries out one block; which one comes next."""
        box, following = self._box, place + 1
        match name:
            case "BUFFER_CLEAR":
                box.buffers.of(given[0] if given else None).entries.clear()
            case "MEASURE" | "MEASURE_DIGITIZE":
                self._measure(given)
            case "SOURCE_OUTPUT":
                box.tree.put("smu.source.output", given[0] if given else None)
            case "DELAY_CONSTANT":
                box.bench.advance(max(0.0, number(given[0] if given else None)))
            case "DELAY_DYNAMIC":
                which = str(given[0]).rpartition("_")[2]
                path = f"smu.{'measure' if which.startswith('M') else 'source'}.userdelay.{which[1:]}"
                box.bench.advance(number(box.tree.get(path)))
            case "CONFIG_RECALL" | "CONFIG_NEXT" | "CONFIG_PREV":
                self._recall(name, given)
            case "RESET_BRANCH_COUNT":
                self._counts[whole(given[0])] = 0
            case _:
                return self._branch(place, name, given)
        return following

    def _branch(self, place: int, name: str, given: tuple[Any, ...]) -> int:
        following, passed = place + 1, self._counts.get(place, 0)
        self._counts[place] = passed + 1
        match name:
            case "BRANCH_COUNTER":
                return whole(given[1]) if passed + 1 < number(given[0]) else following
            case "BRANCH_ALWAYS":
                return whole(given[0])
            case "BRANCH_ONCE":
                return following if passed else whole(given[0])
            case "BRANCH_ONCE_EXCLUDED":
                return whole(given[0]) if passed else following
            case "BRANCH_LIMIT_CONSTANT":
                return whole(given[3]) if self._meets(*given[:3]) else following
        return following

    def _measure(self, given: tuple[Any, ...]) -> None:
        """`buffer, count`; the count of the measurement settings where none is given."""
        path = "defbuffer1" if not given or given[0] is None else str(given[0])
        asked = given[1] if len(given) > 1 and given[1] != "trigger.COUNT_AUTO" else None
        count = number(self._box.tree.get("smu.measure.count") if asked is None else asked)
        self._taken += whole(count)
        if not 1 <= self._taken <= MAX_POINTS:
            raise Refused(1103, "Parameter too big")
        self._box.engine.take(path, whole(count))
        self._value = self._box.buffers.of(path).entries[-1].value

    def _meets(self, kind: Any, low: Any, high: Any) -> bool:
        value, least, most = self._value, number(low), number(high)
        inside = least <= value <= most
        met = {"ABOVE": value > most, "BELOW": value < least, "INSIDE": inside, "OUTSIDE": not inside}
        return met[str(kind).removeprefix("trigger.LIMIT_")]

    def _recall(self, name: str, given: tuple[Any, ...]) -> None:
        """One entry of a configuration list: by its number, the next or the one before, in a circle."""
        wanted = str(given[0] if given else "")
        lists = next((lists for lists in self._lists.values() if wanted in lists.named), self._lists["source"])
        size, now = len(lists.of(wanted)), self._places.get(wanted, 1)
        step = {"CONFIG_NEXT": 0, "CONFIG_PREV": -2}.get(name)
        named = whole(given[1]) if step is None and len(given) > 1 else 1
        place = named if step is None else (now + step) % max(1, size) + 1
        self._places[wanted] = place
        lists.recall(wanted, place)

    def _told(self) -> tuple[str, str, int]:
        loaded = self._blocks or self._box.engine.sweep is not None
        state = f"trigger.STATE_{self._state if loaded else 'EMPTY'}"
        return state, state, self._last

    def _listed(self) -> str:
        lines = (f"{place}) {name}" for place, (name, _) in sorted(self._blocks.items()))
        return "\n".join(lines) or "EMPTY"

"""The same as the live page in lines of text: runs, characterizations, studies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hil.watching import places
from hil.watching.view import RunView

GOING = 20
"""Points of a study whose progress is told."""


class Looker:
    """Looks at a folder again and again; long logs are read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._views: dict[Path, RunView] = {}

    def lines(self) -> Iterator[str]:
        """A line or two for everything below the folder, what runs first."""
        things = [(path, self._thing(kind, path)) for kind, path in places.found(self._root).values()]
        if not things:
            yield f"nothing in {self._root}: no run, characterization or study"
        order = {"running": 0, "lost": 1, "damaged": 1}
        for path, thing in sorted(things, key=lambda t: (order.get(t[1]["state"], 2), -(t[1].get("updated") or 0))):
            yield from _told(thing)
            for point in thing.get("busy", [])[:GOING]:
                yield f"         {point}{_progress(self._thing('run', path / 'points' / point / 'run'))}"

    def running(self) -> dict[str, dict[str, Any]]:
        """What is seen of the runs that go on, by the address of their counterpart."""
        every = places.points_too(self._root, places.found(self._root)).values()
        seen = [self._thing(kind, path) for kind, path in every if kind == "run" and places.held(path)]
        return {str(run["address"]): run for run in seen if run["state"] == "running"}

    def _thing(self, kind: str, path: Path) -> dict[str, Any]:
        place = {"place": path.relative_to(self._root).as_posix() if path != self._root else path.name}
        if kind == "run":
            return self._views.setdefault(path, RunView(path)).brief() | place
        return (places.characterization(path) if kind == "characterization" else places.study(path)) | place


def _told(thing: dict[str, Any]) -> Iterator[str]:
    head = f"{thing['state']:8} {thing['place']}"
    if thing["kind"] == "study":
        of = f" of {thing['points']}" if thing["points"] else ""
        failed = f", {thing['failed']} failed" if thing["failed"] else ""
        yield f"{head}  {thing['done']}{of} points done, {len(thing['busy'])} under way{failed}"
        return
    if thing["kind"] == "characterization":
        steps = ", ".join(f"{name} {count} steps" for name, count in thing.get("steps", {}).items())
        yield f"{head}  {thing['title']}: measured {', '.join(thing.get('items', [])) or 'nothing yet'}" + (
            f"; under way: {steps}" if thing["state"] == "running" and steps else ""
        )
        return
    yield head + _progress(thing)
    if (device := thing.get("device")) and thing["state"] == "running":
        kelvin = f", chip {device['temperature_k']:.4g} K" if device.get("temperature_k") else ""
        outputs = "on" if device.get("outputs") else "off"
        yield f"         outputs {outputs}{kelvin}, frames sent again {device.get('resent', 0)}"
    if thing["why"]:
        yield f"         {thing['why']}"
    if (fault := thing.get("fault")) and thing["state"] != "running":
        yield f"         last error: {fault.get('error')}: {str(fault.get('text'))[:200]}"


def _progress(run: dict[str, Any]) -> str:
    now = run["now"]
    parts = [f"step {run['step']}/{run['steps']}", f"epoch {run['epoch']}/{run['epochs_asked']}"]
    if "loss" in now:
        parts.append(f"loss {now['loss']:.4g}")
    parts += [f"{name} {now[name]:.1%}" for name in ("accuracy", "settled", "clipped") if name in now]
    if run["eta_s"] is not None:
        parts.append("ETA " + time.strftime("%H:%M:%S", time.gmtime(min(run["eta_s"], 86399))))
    return "  " + "  ".join(parts)

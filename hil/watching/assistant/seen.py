"""What an assistant may read: runs, ledgers, datasheets, who has which device. Files are read, no device is opened.

Everything is named by what a list said before, never by a path, and cut to a size that a conversation bears.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firmware_specs.datasheet import load
from firmware_specs.datasheet.energy import Energy
from firmware_specs.datasheet.load import shipped
from hil.watching import chips, devices, ledger, places
from hil.watching.view import RunView

POINTS = 100
"""Of a curve, spread evenly."""
MOST = 100
"""Things in a list."""


class Unknown(ValueError):
    """A name that no list has; the message says which list."""


class Seen:
    """What is known of a folder.

    Args:
        root: Of runs, characterizations and studies.
        bench: Bench file whose devices may be asked about.
    """

    def __init__(self, root: Path, bench: Path | None) -> None:
        self._root, self._bench = root, bench
        self._views: dict[Path, RunView] = {}

    def list_runs(self) -> list[dict[str, Any]]:
        """Runs, characterizations and studies below the folder, the first hundred: id, kind, place, state, progress."""
        return [self._brief(name, kind, path) for name, (kind, path) in list(places.found(self._root).items())[:MOST]]

    def show_run(self, id: str) -> dict[str, Any]:
        """One of them as far as it is known: progress, figures, device, ledger, epochs, last error, how it ended."""
        kind, path = self._thing(id)
        if kind != "run":
            return places.characterization(path) if kind == "characterization" else places.study(path)
        found = self._view(path).now()
        return {k: v for k, v in found.items() if k not in ("series", "names")} | {"epochs": found["epochs"][-MOST:]}

    def show_curve(self, id: str, quantity: str = "loss") -> list[list[float | None]]:
        """A recorded quantity of a run, at most a hundred pairs of step and value, at the steps that have it."""
        kind, path = self._thing(id)
        found = self._view(path).now() if kind == "run" else {"names": []}
        if quantity not in found["names"][2:]:
            raise Unknown(f"{quantity}: no curve of {id}; there are {', '.join(found['names'][2:]) or 'none'}")
        steps, values = found["series"][1], found["series"][found["names"].index(quantity)]
        pairs = [[step, value] for step, value in zip(steps, values, strict=True) if value is not None]
        return pairs[:: max(1, -(-len(pairs) // POINTS))]

    def show_ledger(self, id: str | None = None, chip: str | None = None) -> dict[str, Any]:
        """What a run (id) or chips in their lives (a part of the name; all without) were asked to do."""
        if id is not None:
            kind, path = self._thing(id)
            if kind != "run":
                raise Unknown(f"{id} is a {kind}: runs have ledgers")
            return ledger.of_run(path).document()
        return {life.name: life.document(Energy()) for life in chips.lives(chip)[:MOST]}

    def list_datasheets(self) -> list[str]:
        """Names of the datasheets that ship."""
        return shipped()

    def show_datasheet(self, name: str) -> dict[str, Any]:
        """One of them, every value in the unit that its name ends with."""
        if name not in self.list_datasheets():
            raise Unknown(f"{name}: no such datasheet; there are {', '.join(self.list_datasheets())}")
        return load(name).model_dump(mode="json")

    def show_devices(self) -> list[str]:
        """Devices of the bench file and who has them; none is opened."""
        if self._bench is None:
            raise Unknown("no bench file was named: hil mcp --bench FILE")
        return list(devices.devices(self._bench))

    def _thing(self, name: str) -> tuple[str, Path]:
        found = places.points_too(self._root, places.found(self._root)).get(name)
        if found is None:
            raise Unknown(f"{name!r} is none of the ids that list_runs says")
        return found

    def _view(self, path: Path) -> RunView:
        return self._views.setdefault(path, RunView(path))

    def _brief(self, name: str, kind: str, path: Path) -> dict[str, Any]:
        place = path.relative_to(self._root).as_posix()
        if kind != "run":
            found = places.characterization(path) if kind == "characterization" else places.study(path)
            return {"id": name, "kind": kind, "place": place, "title": found["title"], "state": found["state"]}
        run = self._view(path).brief()
        keys = ("kind", "title", "address", "state", "step", "steps", "epoch", "eta_s")
        return {"id": name, "place": place, **{key: run[key] for key in keys}}

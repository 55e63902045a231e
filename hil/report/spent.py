"""What a run asked of its chip, as a section of its report: counts, time, energy, wear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hil.report import figures
from hil.report.figures import Panel
from hil.report.page import Facts, Figure, Part, Table, Text
from hil.training.run.documents import DocumentError
from hil.watching import ledger, lines
from hil.watching.view import picture_of

MAPS = {"pulses": "pulses and writes", "energy_j": "their energy, J"}
MOST_MAPS = 8


def _maps(folder: Path) -> list[Part]:
    """What the cells have had, cell by cell or field by field, as the run's last picture has it."""
    cells = picture_of(folder).get("cells")
    panels = [
        Panel(f"{name}: {words}", figures.heat(values, words))
        for name, maps in (cells.items() if isinstance(cells, dict) else ())
        for key, words in MAPS.items() if (values := _grid(maps, key)) is not None
    ]  # fmt: skip
    caption = "Over their lives as far as it is known. G- below G+; of a field of cells the most that one has had."
    return [Figure(figures.row(panels[:MOST_MAPS]), caption)] if panels else []


def _grid(maps: Any, key: str) -> np.ndarray | None:
    """A map as numbers; None where it is none, or where nothing was counted."""
    try:
        values = np.array(maps[key], dtype=float)
    except (LookupError, TypeError, ValueError):
        return None
    return values if values.ndim == 2 and values.size and np.nansum(values) > 0 else None


def parts(folder: Path) -> list[Part]:
    """Parts of the section; a run without a device has one sentence."""
    try:
        found = ledger.of_run(folder)
    except DocumentError as error:
        return [Text(f"Left out: {error}.")]
    if not found.counted:
        return [Text("The counterpart is no device: nothing was converted, written or pulsed.")]
    stages = {"in all": found.total, **found.stages}
    rows = {name: dict(lines.counted(deeds)) for name, deeds in stages.items()}
    table = [[what, *(rows[stage].get(what, "-") for stage in stages)] for what in rows["in all"]]
    said: list[Part] = [Table(["", *stages], table), Facts(lines.joules(found))]
    if shares := lines.shares(found):
        said.append(Table(list(shares[0]), [list(row) for row in shares[1:]]))
    if digital := lines.digital(found):
        said.append(Text(digital))
    if found.figures_from:
        said.append(Text(f"Energy figures from: {found.figures_from}."))
    if wear := lines.wear(found):
        said.append(Facts(wear))
    said += _maps(folder)
    if found.doubtful:
        said.append(Text(f"{found.doubtful} requests were under way at a kill and count as done: nobody knows."))
    return said

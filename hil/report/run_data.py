"""What a report needs of a run folder; anything may be missing in a run that was stopped early."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from hil.report.figures import Curve
from hil.training.run import checkpoint, metrics
from hil.training.run.documents import DocumentError, Provenance, Shape, Summary, Tested, read
from hil.training.run.folder import RunFolder

Record = dict[str, Any]


@dataclass(frozen=True)
class RunData:
    """What a run folder holds; anything may be missing in a run that was stopped early."""

    folder: RunFolder
    steps: list[Record]
    epochs: list[Record]
    evaluation: Tested
    summary: Summary
    sessions: list[Record]
    weights: dict[str, Tensor]
    damaged: list[str]

    def curve(self, key: str, label: str, *, epochs: bool = False) -> Curve:
        """A recorded quantity over steps; what was not finite or not measured is a gap."""
        records = self.epochs if epochs else self.steps
        points = [(r["step"], r.get(key)) for r in records if key in r or not epochs]
        return Curve(
            label, [s for s, _ in points], [float("nan") if v is None else v for _, v in points], marker=epochs
        )

    def curve_where(self, key: str, label: str) -> Curve:
        """The same at the steps that have it."""
        points = [(r["step"], r[key]) for r in self.steps if r.get(key) is not None]
        return Curve(label, [s for s, _ in points], [v for _, v in points])


@lru_cache(maxsize=1)
def of(folder: RunFolder) -> RunData:
    """Reads a run folder; a report with several sections reads it once."""
    records = metrics.read(folder.metrics)
    newest = checkpoint.newest(folder.checkpoints)
    tensors = newest.tensors if newest else {}
    damaged: list[str] = []
    said = _document(folder.provenance, Provenance, damaged)
    return RunData(
        folder,
        [r for r in records if r["kind"] == "step"],
        [r for r in records if r["kind"] == "epoch"],
        _document(folder.evaluation, Tested, damaged) or Tested(),
        _document(folder.summary, Summary, damaged) or Summary(),
        said.sessions if said else [],
        {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.") and v.is_floating_point()},
        damaged,
    )


def _document(path: Path, shape: type[Shape], damaged: list[str]) -> Shape | None:
    """What a file holds; one that is not what it should be is left out, and said."""
    try:
        return read(path, shape)
    except DocumentError as error:
        damaged.append(f"Left out: {error}.")
        return None

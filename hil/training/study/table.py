"""The table of a study: every point, means over the seeds, and what another rule changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hil.training.run.atomic import write_json, write_text
from hil.training.study import pairs
from hil.training.study.grid import SEED, Axis, Row, over_seeds


def write_table(path: Path, axes: list[Axis], rows: list[Row]) -> None:
    """`table.md` and `table.json`."""
    keys = [axis.key for axis in axes]
    lines = [[*keys, "test accuracy", "gradient cosine", "training", "note"], ["---"] * (len(keys) + 4)]
    for row in rows:
        accuracy = "failed" if row.accuracy is None else f"{row.accuracy:.2%}"
        seconds = "" if row.seconds is None else f"{row.seconds:.0f} s"
        cosine = "" if row.cosine is None else f"{row.cosine:.4f}"
        lines.append([*(str(row.values[k]) for k in keys), accuracy, cosine, seconds, row.note])
    text = _markdown(lines)
    if SEED in keys and len(keys) > 1:
        text += "\n" + _markdown(_spread_lines(keys, rows))
    if paired := pairs.pairs(rows):
        text += "\n" + _markdown(pairs.lines(paired))
    write_text(path / "table.md", text)
    write_json(path / "table.json", [vars(row) for row in rows])


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _spread_lines(keys: Sequence[str], rows: Sequence[Row]) -> list[list[str]]:
    rest = [key for key in keys if key != SEED]
    lines = [[*rest, "seeds", "mean accuracy", "deviation", "mean training", "deviation"], ["---"] * (len(rest) + 5)]
    for spread in over_seeds(rows):
        figures = [
            str(len(spread.accuracies)),
            f"{spread.mean:.2%}",
            f"{spread.deviation:.2%}",
            "" if spread.mean_s is None else f"{spread.mean_s:.0f} s",
            "" if spread.mean_s is None else f"{spread.deviation_s:.1f} s",
        ]
        lines.append([*(str(spread.values[k]) for k in rest), *figures])
    return lines

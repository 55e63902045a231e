"""Several trainings on one page: curves on common axes, figures in a table, the settings in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hil.experiments import experiment_file
from hil.report import figures
from hil.report.figures import Curve, Panel
from hil.report.page import Figure, Page, Part, Section, Table, Text, write
from hil.training.run import metrics
from hil.training.run.documents import Summary, read
from hil.training.run.folder import RunFolder
from hil.training.wording import WORDS

PARTS = ("", "validation_", "test_")


def write_comparison(folders: Sequence[RunFolder], path: Path) -> None:
    """Writes the page.

    Raises:
        RunError: a run does not read back.
    """
    names = names_of([folder.path for folder in folders])
    records = [[r for r in metrics.read(folder.metrics) if r["kind"] == "epoch"] for folder in folders]
    sections = [
        Section("Figures", [_table(names, folders)]),
        Section("Curves", _curves(names, records)),
        Section("Settings that differ", [_settings(names, folders)]),
    ]
    write(path, Page("Trainings side by side", ", ".join(names), [], sections))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Their names; with their parents where two are the same, or where a card lies in its folder."""
    short = [path.parent.name if path.name == "card.json" else path.name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def _curves(names: Sequence[str], records: Sequence[list[dict[str, float]]]) -> list[Part]:
    panels = []
    for key in (f"{part}{what}" for what in ("loss", *WORDS) for part in PARTS):
        found = [
            Curve(name, [r["epoch"] for r in rows if key in r], [r[key] for r in rows if key in r], marker=True)
            for name, rows in zip(names, records, strict=True)
            if any(r.get(key) is not None for r in rows)
        ]
        if found:
            label = key.replace("_", " ")
            panels.append(Panel(label.capitalize(), figures.lines(found, "epoch", label, log=key.endswith("loss"))))
    return [Figure(figures.row(panels, columns=2))] if panels else [Text("No epoch was completed.")]


def _table(names: Sequence[str], folders: Sequence[RunFolder]) -> Table:
    rows = []
    for name, folder in zip(names, folders, strict=True):
        summary = read(folder.summary, Summary) or Summary()
        shown = [WORDS[k][1].format(summary.test[k]) if k in summary.test else "-" for k in WORDS]
        state = "finished" if summary.finished else "stopped"
        rows.append([name, summary.device, str(summary.steps or 0), state, *shown])
    used = [n for n, _ in enumerate(WORDS) if any(row[4 + n] != "-" for row in rows)]
    head = ["run", "counterpart", "steps", "", *(list(WORDS.values())[n][0] for n in used)]
    return Table(head, [[*row[:4], *(row[4 + n] for n in used)] for row in rows], "Last test of each run.")


def _settings(names: Sequence[str], folders: Sequence[RunFolder]) -> Part:
    loaded = [experiment_file.load(folder.config) for folder in folders]
    flat = [experiment_file.flat(experiment) for experiment in loaded]
    keys = sorted({key for settings in flat for key in settings})
    rows = [
        [key, *(str(settings.get(key, "-")) for settings in flat)]
        for key in keys
        if len({repr(settings.get(key)) for settings in flat}) > 1
    ]
    return Table(["setting", *names], rows) if rows else Text("None: the runs have the same settings.")

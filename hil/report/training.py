"""The report of a training run, made from its folder alone: it can be written again at any time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.documents import DocumentError, parse_toml, read_text
from firmware_specs.registry import Entry, StaleInstallation, entries, stale
from hil.counterparts.mapping import Mapping as Units
from hil.counterparts.seam import Ranges
from hil.report import figures, origin, spent
from hil.report.figures import Curve, Panel
from hil.report.page import Badge, Figure, Page, Part, Section, Table, Text, write
from hil.report.run_data import RunData, of
from hil.training import cosines
from hil.training.gradient_norms import PREFIX, TOTAL
from hil.training.run.folder import RunFolder
from hil.training.wording import WORDS

FIRST, LAST = ("learning", "settling", "clipping", "ledger", "weights", "states", "confusion"), ("provenance",)
"""Shipped sections (`hil list reports`); those of other packages come between."""
MOST_CONFIG = 1 << 20


def write_report(folder: RunFolder, path: Path | None = None) -> None:
    """Writes the report of a run, finished or not: `report.html` in its folder unless a path is given."""
    of.cache_clear()  # one report reads its folder once
    run, by_name = of(folder), {entry.name: entry for entry in entries("reports")}
    if old := stale("reports"):
        raise StaleInstallation(old)
    own = [entry for name, entry in by_name.items() if name not in (*FIRST, *LAST)]
    wanted = [*(by_name[name] for name in FIRST), *own, *(by_name[name] for name in LAST)]
    sections = [section for entry in wanted if (section := _section(entry, folder)) is not None]
    asked = _asked(folder.config)
    title = run.summary.title or asked.get("title") or folder.path.name
    device = run.summary.device or asked.get("device")
    subtitle = " · ".join([*([device] if device else []), f"run folder {folder.path.name}"])
    write(path or folder.report, Page(title, subtitle, _badges(run), sections, origin.ending(folder.path)))
    of.cache_clear()


def _asked(config: Path) -> dict[str, str]:
    """Texts of an experiment file: a run that was stopped has no summary to say them."""
    try:
        found = parse_toml(read_text(config, MOST_CONFIG))
    except (OSError, DocumentError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def learning(folder: RunFolder) -> Section:
    """Loss and accuracy over steps and epochs."""
    return Section("Learning", _learning(of(folder)))


def settling(folder: RunFolder) -> Section:
    """What share of the samples came to rest, and how fast."""
    return Section("Settling", _settling(of(folder)))


def clipping(folder: RunFolder) -> Section:
    """What was beyond the converters' ranges."""
    return Section("Clipping", _clipping(of(folder)))


def ledger(folder: RunFolder) -> Section:
    """What the cells were spent on."""
    return Section("Ledger", spent.parts(folder.path) if of(folder).steps else [])


def weights(folder: RunFolder) -> Section:
    """Where the weights ended."""
    return Section("Weights", _weights(of(folder)))


def states(folder: RunFolder) -> Section:
    """Where the states were."""
    return Section("States", _states(of(folder)))


def confusion(folder: RunFolder) -> Section:
    """Which class was taken for which."""
    return Section("Confusion matrix", _confusion(of(folder)))


def provenance(folder: RunFolder) -> Section:
    """What the run was made with."""
    return Section("Provenance", origin.parts(of(folder).sessions, folder.config))


def _section(entry: Entry, folder: RunFolder) -> Section | None:
    """One section; of another package one that fails says so in its place and hurts no other."""
    try:
        found: Section | None = entry.load()(folder)  # type: ignore[operator]
    except Exception as error:
        if entry.shipped:
            raise
        return Section(entry.name, [Text(f"{entry.origin} failed: {type(error).__name__}: {error}")])
    return found


def _badges(run: RunData) -> list[Badge]:
    finished = run.summary.finished
    measured = run.summary.test or {k: v for k, v in {"accuracy": run.summary.test_accuracy}.items() if v is not None}
    speed = run.summary.images_per_second
    settled = run.steps[-1].get("settled") if run.steps else None
    badges = [
        *(Badge(f"test {WORDS[key][0]}", WORDS[key][1].format(measured[key])) for key in WORDS if key in measured),
        *([] if measured else [Badge("test", "not measured")]),
        Badge("run", "finished", "good") if finished else Badge("run", "stopped before its end", "warning"),
        Badge("steps", f"{len(run.steps) if run.summary.steps is None else run.summary.steps}"),
    ]
    if speed is not None:
        badges.append(Badge("images/s", f"{speed:.0f}"))
    if settled is not None:
        badges.append(Badge("settled in the last step", f"{settled:.1%}", "good" if settled > 0.99 else "warning"))
    return badges


def _learning(run: RunData) -> list[Part]:
    if not run.steps:
        return [Text("No step was completed."), *map(Text, run.damaged)]
    measure = next((key for key in WORDS if key in run.steps[0]), "accuracy")
    words = WORDS[measure][0]
    panels = [
        Panel("Loss", figures.lines(_over_the_run(run, "loss"), "step", "loss", log=True)),
        Panel(words.capitalize(), figures.lines(_over_the_run(run, measure), "step", words)),
        Panel("Learning rate", figures.lines([run.curve("lr", "learning rate")], "step", "learning rate", low=0)),
    ]
    if norms := _gradient_norms(run):
        panels.append(Panel("Norm of the gradient", figures.lines(norms, "step", "norm", log=True)))
    if angles := _cosines(run):
        panels.append(Panel("Cosine with implicit differentiation", figures.lines(angles, "step", "cosine")))
    caption = "Long runs are drawn as means over neighbouring steps, with their range behind."
    return [Figure(figures.row(panels, columns=3, width=10.4), caption), *_epoch_table(run), *map(Text, run.damaged)]


def _gradient_norms(run: RunData) -> list[Curve]:
    """Of every part of the model; of all where there is one only, or where a run recorded no more."""
    parts = sorted({key for r in run.steps[:1] for key in r if key.startswith(PREFIX)})
    if len(parts) > 1:
        return [run.curve(key, _short(key.removeprefix(PREFIX))) for key in parts]
    return [run.curve(TOTAL, "all")] if any(TOTAL in r for r in run.steps[:1]) else []


def _cosines(run: RunData) -> list[Curve]:
    """Of every block, at the steps that were compared; of all cells together where there is one block only."""
    parts = sorted({key for r in run.steps for key in r if key.startswith(cosines.PREFIX)})
    wanted = {key: _short(key.removeprefix(cosines.PREFIX)) for key in parts} if len(parts) > 1 else {}
    return _present([run.curve_where(key, name) for key, name in (wanted or {cosines.TOTAL: "all cells"}).items()])


def _over_the_run(run: RunData, key: str) -> list[Curve]:
    parts = [run.curve(f"{part}_{key}", part, epochs=True) for part in ("validation", "test")]
    return _present([run.curve(key, "training, each step"), *parts])


def _epoch_table(run: RunData) -> list[Part]:
    if not run.epochs:
        return []
    parts = ("", "validation_", "test_")
    forms = {"loss": "{:.4f}"} | {key: form for key, (_, form) in WORDS.items()}
    known = {f"{part}{key}": form for part in parts for key, form in forms.items()}
    keys = {key: form for key, form in known.items() if any(r.get(key) is not None for r in run.epochs)}
    rows = [
        [str(r["epoch"]), *("-" if r.get(k) is None else form.format(r[k]) for k, form in keys.items())]
        for r in run.epochs[-30:]
    ]
    caption = "" if len(run.epochs) <= 30 else "The last 30 epochs."
    return [Table(["epoch", *(key.replace("_", " ") for key in keys)], rows, caption)]


def _settling(run: RunData) -> list[Part]:
    if not any("iterations" in r for r in run.steps):
        return []
    panels = [
        Panel("Sweeps a phase", figures.lines([run.curve("iterations", "mean")], "step", "sweeps", low=0)),
        Panel("Phases that came to rest", figures.lines([run.curve("settled", "share")], "step", "share")),
    ]
    for name, counts in run.evaluation.iterations.items():
        sweeps = sorted(counts.items())
        if not sweeps:
            continue
        edges = [sweeps[0][0] - 0.5, *(s + 0.5 for s in range(sweeps[0][0], sweeps[-1][0] + 1))]
        dense = [dict(sweeps).get(s, 0) for s in range(sweeps[0][0], sweeps[-1][0] + 1)]
        panels.append(Panel(f"{_short(name)}, free phase", figures.histogram(edges, dense, "sweeps to rest")))
    caption = "Above: every step, free and nudged phases together. Below: samples of the last test's first batch."
    return [Figure(figures.row(panels), caption)]


def _clipping(run: RunData) -> list[Part]:
    if not any("clipped" in r for r in run.steps):
        return []
    clipped, rails = run.curve("clipped", "clipped"), run.curve("rails", "at the rails")
    if not any(r.get("clipped") or r.get("rails") for r in run.steps):
        return [Text("Nothing was clipped and nothing read at the rails, or the counterpart has no converters.")]
    both = (
        ("clipped", "Drives and nudges the converters clipped", clipped, "No drive and no nudge was clipped."),
        ("rails", "Readings at the first or last code", rails, "Nothing read at the first or last code."),
    )
    seen = {key for key, *_ in both if any(r.get(key) for r in run.steps)}
    panels = [Panel(title, figures.lines([c], "step", "share", low=0)) for key, title, c, _ in both if key in seen]
    return [Figure(figures.row(panels)), *(Text(none) for key, *_, none in both if key not in seen)]


def _weights(run: RunData) -> list[Part]:
    parameters = {k: v.double() for k, v in run.weights.items() if not k.endswith(("running_mean", "running_var"))}
    if not parameters:
        return []
    ranges = _cell_ranges(run)
    panels, rows = [], []
    for name, value in sorted(parameters.items()):
        finite = value[torch.isfinite(value)].flatten()
        low, high = _range_of(name, ranges)
        if len(finite) and value.dim() > 1:
            counts, edges = torch.histogram(finite, min(40, max(5, len(finite) // 8)))
            marks = {label: at for label, at in (("cells end", high), ("cells end ", low)) if _near(finite, at)}
            panels.append(Panel(name, figures.histogram(edges.numpy(), counts.numpy(), "value", marks)))
        at_end = float(((value <= low) | (value >= high)).double().mean())
        span = f"{low:.4g} .. {high:.4g}" if math.isfinite(low) else "-"
        cells = [span, f"{at_end:.2%}" if math.isfinite(low) else "-"]
        rows.append([name, "x".join(map(str, value.shape)), *(f"{x:.4g}" for x in _moments(finite)), *cells])
    head = ["parameter", "shape", "mean", "std", "smallest", "largest", "cells hold", "at or beyond the end"]
    return [
        *([Figure(figures.row(panels, columns=3, height=2.0))] if panels else []),
        Table(head, rows, "At the newest checkpoint."),
    ]


def _states(run: RunData) -> list[Part]:
    panels = [
        Panel(_short(name), figures.histogram(h.edges, h.counts, "state")) for name, h in run.evaluation.states.items()
    ]
    if not panels:
        return []
    return [Figure(figures.row(panels, columns=3, height=2.0), "Free states of the last test's first batch.")]


def _confusion(run: RunData) -> list[Part]:
    counts = run.evaluation.confusion
    if not counts:
        return []
    size = 5.2 if len(counts) <= 20 else 8.0
    svg = figures.row([Panel("", figures.matrix(counts, "answer", "true class"))], height=size, width=2 * size)
    parts: list[Part] = [Figure(svg, "Last test. Shade: share of the true class.")]
    if len(counts) <= 20:
        rows = [
            [str(c), str(sum(row)), _share(row[c], sum(row)), _share(row[c], sum(r[c] for r in counts))]
            for c, row in enumerate(counts)
        ]
        parts.append(Table(["class", "samples", "recall", "precision"], rows))
    return parts


def _cell_ranges(run: RunData) -> Ranges:
    """Weights and biases the counterpart's cells hold, model units; infinite where it has no cells."""
    said = run.sessions[-1].get("counterpart") if run.sessions else None
    sheet = said.get("datasheet") if isinstance(said, dict) else None
    try:
        return Units(Datasheet.model_validate(sheet)).ranges if sheet else Ranges()
    except ValidationError:
        return Ranges()


def _range_of(name: str, ranges: Ranges) -> tuple[float, float]:
    """The range of an energy parameter; a host parameter has none."""
    if ".energy." not in name:
        return -math.inf, math.inf
    return ranges.bias if ".bias_" in name else ranges.weight


def _near(values: Tensor, limit: float) -> bool:
    """Whether a limit is close enough to the values to be worth drawing."""
    return math.isfinite(limit) and abs(limit) < 3 * float(values.abs().max())


def _moments(values: Tensor) -> Sequence[float]:
    if not len(values):
        return (float("nan"),) * 4
    return float(values.mean()), float(values.std(correction=0)), float(values.min()), float(values.max())


def _present(curves: Sequence[Curve]) -> list[Curve]:
    return [c for c in curves if len(list(c.x))]  # type: ignore[arg-type]


def _short(name: str) -> str:
    return name.replace(".energy", "").replace("_", " ").replace(".", ", ")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"

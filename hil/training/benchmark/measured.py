"""What a card says of a task, from the run folders of its trainings."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from firmware_specs.datasheet import Datasheet
from hil.training.benchmark.card import Device, Done
from hil.training.benchmark.tasks import Counterpart
from hil.training.run import documents
from hil.training.run.documents import Summary
from hil.training.run.folder import RunFolder
from hil.training.study.grid import Row
from hil.watching import ledger


def device_of(counterpart: Counterpart) -> Device:
    """Who it is, by its own word."""
    said = counterpart.said
    texts = {key: str(said[key]) for key in ("vendor", "serial", "kind") if said.get(key) is not None}
    if said.get("kind") == "emulator" and "seed=" in counterpart.address:
        texts["serial"] = f"seed {said['seed']}"
    source = "" if counterpart.sheet is None else counterpart.sheet.identity.source
    return Device(
        model=str(said.get("model") or said.get("kind") or counterpart.address),
        address=counterpart.address,
        source=source,
        **texts,
    )


def done(
    counterpart: Counterpart,
    task: str,
    experiment: str,
    update: str,
    learnt: Mapping[Path, Sequence[Row]],
    frozen: Mapping[Path, Sequence[Row]],
) -> Done:
    """A task from its points.

    Args:
        counterpart: Who did it.
        task: Its name.
        experiment: What was trained.
        update: The rule.
        learnt: Rows by folder of the points whose cells learned.
        frozen: Of those whose cells did not.
    """
    rows = [row for each in learnt.values() for row in each]
    beside = [row for each in frozen.values() for row in each]
    books = [
        ledger.of_run(folder / "run") for folder, each in learnt.items() if any(r.accuracy is not None for r in each)
    ]
    counted = [book for book in books if book.counted and book.kept.images]
    return Done(
        task=task,
        experiment=experiment,
        update=update,
        accuracy=[row.accuracy for row in rows if row.accuracy is not None],
        frozen=[row.accuracy for row in beside if row.accuracy is not None],
        cosine=[row.cosine for row in rows if row.cosine is not None],
        samples=_samples(list(learnt)),
        pulses_a_sample=_mean([_acts(book) / book.kept.images for book in counted]),
        joules_a_sample=_mean([book.known_j / book.kept.images for book in counted]),
        not_known=sorted({part for book in counted for part, value in book.joules().items() if value is None}),
        settle_s=_mean([found for book in counted if (found := _settle_s(book, counterpart.sheet)) is not None]),
        most_pulses=max((book.most_pulses for book in counted), default=None),
        endurance=next((book.endurance for book in counted if book.endurance is not None), None),
        seconds=_mean([row.seconds for row in rows if row.seconds is not None]),
        note="; ".join(dict.fromkeys(row.note for row in [*rows, *beside] if row.note)),
    )


def _samples(folders: Sequence[Path]) -> int | None:
    for folder in folders:
        summary = documents.read(RunFolder(folder / "run").summary, Summary)
        if summary is not None and summary.images is not None:
            return summary.images
    return None


def _acts(book: ledger.Ledger) -> float:
    """Pulses and writes of all cells while it was trained."""
    total = book.total
    return total.pulses_up + total.pulses_down + max(total.written, total.write_pulses)


def _settle_s(book: ledger.Ledger, sheet: Datasheet | None) -> float | None:
    """A free phase of one sample: of the tests, without the writes of weights that come with them."""
    tests = book.stages.get("test")
    if tests is None or not tests.free or not tests.device_s:
        return None
    writes_s = 0.0 if sheet is None else tests.write_pulses * sheet.programming.write_time_s
    return max(0.0, tests.device_s - writes_s) / tests.free


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None

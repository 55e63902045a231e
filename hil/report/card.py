"""Cards of benchmarks as pages: one card, or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hil.report.page import Badge, Facts, Page, Part, Section, Table, Text, write
from hil.training.benchmark.card import Card, Done, spread
from hil.watching.lines import si

UNKNOWN = "-"
CAPTION = (
    "Test accuracy: mean over the seeds +- their standard deviation. Frozen: the same training with cells that stay as "
    "they began. Cosine: of the trained gradients to implicit differentiation's. Pulses and energy: of one whole "
    "training, all cells together, divided by the samples it was shown. Settling: a free phase of one sample. Wear: of "
    "the busiest cell in one training."
)


def write_card(path: Path, card: Card) -> None:
    """Writes the page of one card."""
    write(path, Page(_title(card), _under(card), _badges(card), _sections(card)))


def write_side_by_side(path: Path, cards: Sequence[Card], names: Sequence[str]) -> None:
    """Writes several cards beside each other, a table a quantity and a row a task."""
    tasks = list(dict.fromkeys(done.task for card in cards for done in card.tasks))
    sections = [
        Section(column, [_beside(tasks, cards, names, column)])
        for column in COLUMNS
        if any(_cell(card, task, column) != UNKNOWN for card in cards for task in tasks)
    ]
    who = [[name, *_who(card)] for name, card in zip(names, cards, strict=True)]
    sections.append(Section("Who", [Table(["card", "device", "kind", "rule", "seeds", "measured with"], who)]))
    left = [[name, task, why] for name, card in zip(names, cards, strict=True) for task, why in card.left_out.items()]
    sections.append(Section("Left out", [Table(["card", "task", "why"], left)] if left else []))
    write(path, Page("Benchmarks side by side", ", ".join(names), [], sections))


def row(done: Done) -> list[str]:
    """A task in the texts of `COLUMNS`."""
    return [text(done) for text in COLUMNS.values()]


def _title(card: Card) -> str:
    return f"Benchmark of {card.device.model}"


def _under(card: Card) -> str:
    return " · ".join(text for text in (card.device.address, card.device.serial, card.made) if text)


def _who(card: Card) -> list[str]:
    device = card.device
    told = (_named(card), device.kind, card.update, _seeds(card), card.software)
    return [text or UNKNOWN for text in told]


def _named(card: Card) -> str:
    return " ".join(text for text in (card.device.vendor, card.device.model, card.device.serial) if text)


def _seeds(card: Card) -> str:
    return ", ".join(map(str, card.seeds))


def _badges(card: Card) -> list[Badge]:
    return [Badge(done.task, _percent(spread(done.accuracy)[0])) for done in card.tasks]


def _sections(card: Card) -> list[Section]:
    tasks: list[Part] = [
        Table(["task", "trained", *COLUMNS], [[d.task, d.experiment or UNKNOWN, *row(d)] for d in card.tasks], CAPTION)
    ]
    if missing := sorted({part for done in card.tasks for part in done.not_known}):
        tasks.append(Text(f"Energy without: {', '.join(missing)}. The datasheet has no figure of them."))
    tasks += [Text(f"{done.task}: {done.note}") for done in card.tasks if done.note]
    rule: list[Part] = [Facts([("rule of the cells", card.update or UNKNOWN)])]
    if card.tried:
        tried = [[kind, _percent(accuracy)] for kind, accuracy in card.tried.items()]
        caption = f"On {card.tried_on}, one seed that the card does not use, samples set apart from the training ones."
        rule.append(Table(["tried", "accuracy"], tried, caption))
    left: list[Part] = [Table(["task", "why"], [[k, v] for k, v in card.left_out.items()])] if card.left_out else []
    device = card.device
    facts = [("device", _named(card))]
    facts += [("address", device.address), ("kind", device.kind), ("figures from", device.source)]
    facts += [("seeds", _seeds(card)), ("measured with", card.software), ("at", card.made)]
    return [
        Section("Tasks", tasks),
        Section("Rule", rule),
        Section("Left out", left),
        Section("Who and what with", [Facts([pair for pair in facts if pair[1]])]),
    ]


def _beside(tasks: Sequence[str], cards: Sequence[Card], names: Sequence[str], column: str) -> Table:
    return Table(["task", *names], [[task, *(_cell(card, task, column) for card in cards)] for task in tasks])


def _cell(card: Card, task: str, column: str) -> str:
    done = card.of(task)
    return UNKNOWN if done is None else COLUMNS[column](done)


def _percent(mean: float, deviation: float = float("nan")) -> str:
    if mean != mean:
        return UNKNOWN
    return f"{mean:.2%}" if deviation != deviation else f"{mean:.2%} +- {100 * deviation:.2f}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.4g}"


def _joules(done: Done) -> str:
    if done.joules_a_sample is None:
        return UNKNOWN
    return si(done.joules_a_sample, "J") + (" and more" if done.not_known else "")


def _wear(done: Done) -> str:
    if done.most_pulses is None:
        return UNKNOWN
    share = f", {done.most_pulses / done.endurance:.2g} of its life" if done.endurance else ""
    return f"{done.most_pulses:,.0f}{share}"


def _cosine(done: Done) -> str:
    cosine, _ = spread(done.cosine)
    return UNKNOWN if cosine != cosine else f"{cosine:.4f}"


COLUMNS: dict[str, Callable[[Done], str]] = {
    "test accuracy": lambda done: _percent(*spread(done.accuracy)),
    "frozen": lambda done: _percent(spread(done.frozen)[0]),
    "gradient cosine": _cosine,
    "pulses a sample": lambda done: _number(done.pulses_a_sample),
    "energy a sample": _joules,
    "settling": lambda done: UNKNOWN if done.settle_s is None else si(done.settle_s, "s"),
    "wear": _wear,
    "samples": lambda done: UNKNOWN if done.samples is None else f"{done.samples:,}",
    "training": lambda done: UNKNOWN if done.seconds is None else f"{done.seconds:.0f} s",
}
"""What a card says of a task, and how."""

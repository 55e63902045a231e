"""A ledger in lines of text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from firmware_specs.datasheet.energy import Energy
from firmware_specs.deeds import FIELDS, REALS, Deeds
from hil.watching.chips import Life
from hil.watching.ledger import DIGITAL_MAC_J, SWEEPS, WORDS, Ledger

PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


def si(value: float, unit: str) -> str:
    """A quantity with the prefix that suits it: `12.3 uJ`."""
    scale, prefix = next(((s, p) for s, p in PREFIXES if abs(value) >= s), (1e-15, "f"))
    return f"{value / scale:.4g} {prefix}{unit}" if value else f"0 {unit}"


def counted(deeds: Deeds) -> list[tuple[str, str]]:
    """What was done, in words and numbers; what never happened is left out."""
    rows = []
    for name in FIELDS:
        value = getattr(deeds, name)
        if value:
            words, _, unit = WORDS[name].partition(", ")
            rows.append((words, si(value, unit) if name in REALS else f"{round(value):,}"))
    return rows


def joules(ledger: Ledger) -> list[tuple[str, str]]:
    """Energy by part; a figure that is missing is said to be."""
    return _parts(ledger.joules())


def _parts(joules: Mapping[str, float | None]) -> list[tuple[str, str]]:
    missing = "not known: the datasheet has no figure"
    return [(part, missing if value is None else si(value, "J")) for part, value in joules.items()]


def wear(ledger: Ledger) -> list[tuple[str, str]]:
    """The busiest cell beside its endurance, and the day it will be reached."""
    if not ledger.kept.cells:
        return []
    rows = [("pulses and writes of the busiest cell", f"{ledger.most_pulses:,.0f}")]
    if ledger.endurance is None:
        return [*rows, ("endurance", "the datasheet does not say")]
    return [*rows, *_endurance(ledger.most_pulses, ledger.endurance, ledger.worn_at, "this run's rate")]


def _endurance(
    most: float, endurance: float | None, at: float | None, rate: str = "the mean rate of its life"
) -> list[tuple[str, str]]:
    if endurance is None:
        return []
    rows = [("endurance of a cell", f"{endurance:,.0f} ({most / endurance:.2%} used)")]
    return rows if at is None else [*rows, (f"reached at {rate}", day(at))]


def day(at: float) -> str:
    """A day, or how far away where no calendar has it."""
    years = (at - time.time()) / (365.25 * 86400)
    if years > 1000:
        return f"in {years:,.0f} years"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


SPENT = {
    "free_j": "energy of free phases, in the cells",
    "nudged_j": "energy of nudged phases, in the cells",
    "known_j": "energy, all that is known",
    "digital_j": "the same arithmetic, digital",
    "free_s": "time of free phases",
    "nudged_s": "time of nudged phases",
    "device_s": "time on the device",
}


def shares(ledger: Ledger) -> list[tuple[str, str, str]]:
    """What a training sample and an epoch took, tests included: energy and time by phase and in all, and the digital
    estimate; names of the columns first, empty before the first epoch."""
    sample, epoch = ledger.each(ledger.kept.images), ledger.each(ledger.kept.epochs)
    rows = [
        (words, _share(sample[name], name), _share(epoch[name], name))
        for name, words in SPENT.items() if ledger.spent[name] and sample[name]
    ]  # fmt: skip
    return [("tests included", "a training sample", "an epoch"), *rows] if rows else []


def _share(value: float | None, name: str) -> str:
    return "-" if value is None else si(value, "J" if name.endswith("_j") else "s")


def digital(ledger: Ledger) -> str | None:
    """What the digital estimate is and assumes, as a sentence; None where there is none."""
    if (joules := ledger.digital_j) is None:
        return None
    sweeps = ledger.kept.sweeps_a_phase
    said = f"{sweeps:.1f} sweeps a phase as counted" if sweeps else f"{SWEEPS:g} sweeps a phase assumed"
    return (
        f"The same arithmetic, digital: {si(joules, 'J')} in all, {said}, {si(DIGITAL_MAC_J, 'J')} a "
        "multiply-accumulate (32 bit, 45 nm, Horowitz 2014), no memory access."
    )


def of_ledger(ledger: Ledger) -> Iterator[str]:
    """The ledger of a run."""
    if not ledger.counted:
        yield "no ledger: the counterpart is no device, or the run was made before there was one"
        return
    yield from _block("done", counted(ledger.total))
    for name, deeds in ledger.stages.items():
        yield from _block(f"of it {name}", counted(deeds))
    yield from _block("energy", joules(ledger))
    if ledger.figures_from:
        yield f"figures from: {ledger.figures_from}"
    yield from _block("shares", shares(ledger))
    if (said := digital(ledger)) is not None:
        yield said
    yield from _block("wear", wear(ledger))
    if ledger.doubtful:
        yield f"{ledger.doubtful} requests were under way when a session was killed and count as done: nobody knows"


def of_life(life: Life, figures: Energy, endurance: float | None = None) -> Iterator[str]:
    """The life of a chip, energy by a datasheet's figures, wear by its endurance."""
    if life.damaged:
        yield f"{life.name}: {life.damaged}"
        return
    yield from _block(life.name, counted(life.total) or [("nothing yet", "")])
    yield from _block("energy", _parts(life.joules(figures)))
    if life.most_pulses is not None:
        rows = [("pulses and writes of the busiest cell", f"{life.most_pulses:,}")]
        if life.most_energy_j:
            rows.append(("energy of the cell that had most", si(life.most_energy_j, "J")))
        yield from _block("wear", [*rows, *_endurance(life.most_pulses, endurance, life.worn_at(endurance))])
    if life.doubtful:
        yield f"  {life.doubtful} requests count as done though nobody knows: their replies were never seen"


def _block(title: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield title
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        for row in rows:
            yield "  " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()

"""A ledger in lines of text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

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
    rows.append(("endurance of a cell", f"{ledger.endurance:,.0f} ({ledger.most_pulses / ledger.endurance:.2%} used)"))
    if (at := ledger.worn_at) is not None:
        rows.append(("reached at this run's rate", day(at)))
    return rows


def day(at: float) -> str:
    """A day, or how far away where no calendar has it."""
    years = (at - time.time()) / (365.25 * 86400)
    if years > 1000:
        return f"in {years:,.0f} years"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def shares(ledger: Ledger) -> list[tuple[str, str]]:
    """Energy and time of a sample and of an epoch, and the digital estimate with what it assumes."""
    document, rows = ledger.document(), []
    for what, unit in (("joules", "J"), ("device_s", "s")):
        named = "energy" if what == "joules" else "time on the device"
        for part in ("a_sample", "an_epoch"):
            if (value := document[f"{what}_{part}"]) is not None:
                rows.append((f"{named} {part.replace('_', ' ')}", si(value, unit)))
    if (digital := ledger.digital_j) is not None:
        sweeps = ledger.kept.sweeps_a_phase
        said = f"{sweeps:.1f} sweeps a phase as counted" if sweeps else f"{SWEEPS:g} sweeps a phase assumed"
        rows.append(("the same arithmetic, digital", f"{si(digital, 'J')}: {said}, {si(DIGITAL_MAC_J, 'J')} a "
                     "multiply-accumulate (32 bit, 45 nm, Horowitz 2014), no memory access"))  # fmt: skip
    return rows


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
    yield from _block("wear", wear(ledger))
    if ledger.doubtful:
        yield f"{ledger.doubtful} requests were under way when a session was killed and count as done: nobody knows"


def of_life(life: Life, figures: Energy) -> Iterator[str]:
    """The life of a chip, energy by a datasheet's figures."""
    if life.damaged:
        yield f"{life.name}: {life.damaged}"
        return
    yield from _block(life.name, counted(life.total) or [("nothing yet", "")])
    yield from _block("energy", _parts(life.joules(figures)))
    if life.most_pulses is not None:
        rows = [("pulses and writes of the busiest cell", f"{life.most_pulses:,}")]
        yield from _block("wear", [*rows, ("energy of the cell that had most", si(life.most_energy_j or 0.0, "J"))])
    if life.doubtful:
        yield f"  {life.doubtful} requests count as done though nobody knows: their replies were never seen"


def _block(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield title
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            yield f"  {name:{width}}  {value}"

"""Are the figures true? Characterizes emulated chips of known physics, sound and faulty, and counts how often they are.

`python -m benchmarks.figures [--presets A,B] [--faults none,stuck,dead] [--seeds N] [--items A,B] [--out FILE]`

What `--out` has already is not measured again, so that a campaign can be cut off and gone on with, and one file can be
filled by several calls. Every figure that has a true value is compared with it: by its 95 % interval, and, where the
chip's own datasheet states it, by its verdict. `none` are chips without broken cells, `stuck` have 0.5 % of their cells
stuck at either end, `dead` one dead row on the first plane and one dead column on the last.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drivers.doors import Options
from emulator.cells import drifting, reading, writing
from emulator.cells.defects import Defects
from emulator.chip import Chip
from emulator.streams import generator
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.topology import Topology
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import ITEMS, Drift, NudgeLinearity, Programming
from hil.measuring.characterize.items.item import ladder
from hil.measuring.characterize.items.nudge import DRIVE

PRESETS = ("pcm", "reram", "ecram", "mixed-8bit", "discrete-board", "resistive-board")
FAULTS = ("none", "stuck", "dead")
STUCK = 0.005
PATIENT = Options(watchdog_s=60.0, lease_s=600.0)
"""On a machine that others use, too, a campaign may be held up for longer than a device at the bench would wait."""
Array = NDArray[np.float64]
Row = dict[str, Any]


class BrokenLines(Chip):
    """A chip with one dead row on its first plane and one dead column on its last."""

    def configure(self, array: int, topology: Topology) -> None:
        """Places a block; the lines are broken by position."""
        super().configure(array, topology)
        for crossbar in self.arrays[array].crossbars:
            planes, rows, columns = crossbar.shape
            lines = torch.zeros(crossbar.shape, dtype=torch.bool)
            lines[0, self.seed % rows] = True
            lines[planes - 1, :, (3 * self.seed + 1) % columns] = True
            sound: Defects = crossbar._defects
            crossbar._defects = replace(sound, open_lines=lines)


def chip_of(name: str, seed: int, fault: str, size: int) -> Chip:
    """A chip and with it its own datasheet."""
    sheet = load(name).model_dump()
    planes = 1 if sheet["fabric"]["substrate"] == "resistive" else 2
    share = STUCK if fault == "stuck" else 0.0
    lines = 1 / (planes * size) if fault == "dead" else 0.0
    sheet["faults"] = {"stuck_on": share, "stuck_off": share}
    if fault != "dead":
        return Chip(Datasheet.model_validate(sheet), seed)
    chip = BrokenLines(Datasheet.model_validate(sheet), seed)
    chip.datasheet = Datasheet.model_validate(sheet | {"faults": {"open_rows": lines, "open_columns": lines}})
    return chip


def truths(chip: Chip, found: run.Characterization, size: int) -> dict[str, float]:
    """True values: what the datasheet says, and what follows from its laws."""
    sheet = chip.datasheet
    true: dict[str, float] = {}
    crossbar = chip.arrays[0].crossbars[0]
    broken = crossbar._defects.apply(torch.full(crossbar.shape, -1.0)) != -1.0
    true["health.good"] = 1.0 - float(broken.double().mean())
    cells = sheet.cells
    fresh = crossbar._defects.apply(torch.full(crossbar.shape, cells.g_min_s, dtype=torch.float64))
    true["found.level"] = float(((fresh - cells.g_min_s) / cells.span_s).mean())
    targets = {"programming": np.array(Programming().levels), "read_noise": _ladder(crossbar.shape, 0.1)}
    written = {k: _written(sheet, v) for k, v in targets.items()}
    written["programming"] = _written(sheet, targets["programming"], 20000)
    off = written["programming"] - targets["programming"]
    true["programming.sigma"] = float(np.sqrt((off.std(axis=0, ddof=1) ** 2).mean()))
    true |= _read_noise(sheet, written["read_noise"])
    ages = Drift().ages_s
    start = _written(sheet, _ladder(crossbar.shape, 0.2), 64)
    first, last = (_aged(sheet, start, age) for age in (ages[0], ages[-1]))
    true["drift.kept"] = float(np.median(last / first))
    true |= {f.name: f.stated for f in found.figures if f.stated is not None}
    if "pulse_response.step" in true:
        true["pulse_response.states"] = 1 / true["pulse_response.step"]
    return true


def _ladder(shape: tuple[int, ...], low: float) -> Array:
    class Shape:
        pass

    probe = Shape()
    probe.shape = shape  # type: ignore[attr-defined]
    return ladder(probe, low).ravel()  # type: ignore[arg-type]


def _written(sheet: Datasheet, levels: Array, draws: int = 100) -> Array:
    """Levels after writing, (draws, levels)."""
    cells = sheet.cells
    target = writing.quantize(cells, torch.from_numpy(np.tile(levels, (draws, 1)) * cells.span_s + cells.g_min_s))
    result = writing.programming_noise(sheet, target, generator(torch.device("cpu"), "truth"))
    return np.asarray((result.numpy() - cells.g_min_s) / cells.span_s)


def _read_noise(sheet: Datasheet, levels: Array) -> dict[str, float]:
    """Relative and additive noise of cells at levels, as the item defines them."""
    cells = sheet.cells
    g = torch.from_numpy(levels * cells.span_s + cells.g_min_s)
    age = torch.tensor(levels.shape[1] * sheet.programming.write_time_s, dtype=torch.float64)
    sigma = reading.noise_sigma_s(sheet.read_noise, cells, g, age)
    if sigma is None:
        return {}
    found = {
        "read_noise.relative": float(((sigma / g) ** 2).mean().sqrt()),
        "read_noise.additive": float((sigma**2).mean().sqrt()) / cells.span_s,
    }
    exponent = {"relative": 1.0, "additive": 0.0, "flicker": 1.0 - sheet.read_noise.exponent}[sheet.read_noise.law]
    return found | {"read_noise.exponent": exponent}


def _aged(sheet: Datasheet, levels: Array, seconds: float) -> Array:
    cells = sheet.cells
    g = torch.from_numpy(levels * cells.span_s + cells.g_min_s)
    xi = torch.randn(g.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return np.asarray(drifting.drifted(sheet.drift, cells, g, torch.tensor(seconds, dtype=torch.float64), xi).numpy())


def nudge_response(chip: Chip, nudge: float) -> float:
    """Change of the mean output over that of a nudge common to all, of the cells as they are now; ideal circuits."""
    placed = chip.arrays[0]
    now = placed.crossbars[0].present_s(chip.conditions.aged_s, chip.conditions.temperature_k).double().numpy()
    weights = (now[0] - now[1]) * chip.datasheet.neurons.transimpedance_ohm
    drive = np.full(weights.shape[0], DRIVE)
    stuck, at = placed.crossbars[0]._defects.stuck, placed.crossbars[0]._defects.stuck_s
    if stuck is not None and at is not None:  # the item holds units beside them at their lower rail
        drive[((at > chip.datasheet.cells.g_min_s * 1.01) & stuck).any(dim=0).any(dim=1).numpy()] = -1.0
    lines = placed.crossbars[0]._defects.open_lines
    if lines is not None:  # and units with a dead row
        drive[lines.all(dim=2).any(dim=0).numpy()] = -1.0
    whole = np.ones(weights.shape[1], bool) if lines is None else ~lines.all(dim=1).any(dim=0).numpy()
    state = {}
    for sign in (1, -1):
        inner, outer = np.zeros(weights.shape[0]), np.zeros(weights.shape[1])
        for _ in range(2000):
            inner = np.clip(drive + weights @ outer, 0.0, 1.0)
            outer = inner @ weights + sign * nudge * whole  # nor are units with a dead column nudged
        state[sign] = outer
    return float((state[1] - state[-1])[whole].mean() / (2 * nudge))


def specimen(name: str, fault: str, number: int) -> int:
    """Seed of a chip: no two chips of a campaign share their noise, so that every figure is an independent draw."""
    return 1000 * PRESETS.index(name) + 100 * FAULTS.index(fault) + number if name in PRESETS else number


def measured(name: str, seed: int, fault: str, size: int, items: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of one chip: figure, found, true; all items but endurance unless some are named."""
    chip = chip_of(name, seed, fault, size)
    what = plan.usual(size, size)
    if items:
        kept = ("found", "health", *items)
        what = what.model_copy(update={n: None for n in plan.PROVIDED if n not in kept})
    with tempfile.TemporaryDirectory() as folder, crossbar_of_chip(chip, PATIENT) as crossbar:
        found = run.characterize(crossbar, what, Path(folder) / "all", chip.datasheet)
        true = truths(chip, found, size)
        figures = list(found.figures)
        if "nudge.recommended" in [f.name for f in found.figures]:
            again_what = plan.Plan(rows=size, columns=size, nudge=NudgeLinearity())
            again = run.characterize(crossbar, again_what, Path(folder) / "nudge", chip.datasheet)
            figures = [f for f in figures if f.name != "nudge.response"] + [again["nudge.response"]]
            if not chip.datasheet.resistive:
                true["nudge.response"] = nudge_response(chip, again["nudge.recommended"].measured.value)
    for figure in figures:
        m = figure.measured
        yield {
            "preset": name, "seed": seed, "fault": fault, "figure": figure.name, "value": m.value, "sigma": m.sigma,
            "systematic": m.systematic, "reach": m.expanded(0.95), "true": true.get(figure.name),
            "verdict": figure.verdict, "stated": figure.stated is not None,
        }  # fmt: skip


LIMITS = ("settle_time.tau", "settle_time.needed", "nudge.recommended", "nudge.reads")
"""Figures without a true value: bounds, and what is recommended."""


EXACT = 1e-9
"""Figures this near to their true value are counts, or of an effect the chip does not have: nothing can be off."""


def covered(row: Row) -> bool | None:
    """Does the 95 % interval hold the true value? None where there is none, or where nothing can be off."""
    if row["true"] is None or row["figure"] in LIMITS:
        return None
    off = abs(row["value"] - row["true"])
    if off <= EXACT * max(abs(row["true"]), 1.0):
        return None
    return bool(off <= row["reach"])


def table(rows: list[Row], key: str) -> list[str]:
    """Coverage and verdicts, one line a value of the key."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["figure"].partition(".")[0] if key == "item" else row[key]].append(row)
    order = [item.NAME for item in ITEMS]
    names = sorted(groups, key=order.index) if key == "item" else list(groups)
    head = (key, "figures", "of which can be off", "in the 95 % interval", "verdicts", "false", "NaN")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in names:
        lines.append(_line(name, groups[name]))
    return [*lines, _line("all", rows)]


def _line(name: str, rows: list[Row]) -> str:
    known = [c for c in map(covered, rows) if c is not None]
    verdicts = [r for r in rows if r["stated"]]
    false = sum(r["verdict"] != "agrees" for r in verdicts)
    share = f"{100 * sum(known) / len(known):.1f} %" if known else ""
    nan = sum(not math.isfinite(r["value"]) or not math.isfinite(r["sigma"]) for r in rows)
    wrong = f"{false} ({100 * false / len(verdicts):.2f} %)" if verdicts else ""
    return f"| {name} | {len(rows)} | {len(known)} | {share} | {len(verdicts)} | {wrong} | {nan} |"


def main() -> None:
    """Runs the campaign and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--items", default="", help="only these; all but endurance when omitted")
    parser.add_argument("--out", type=Path, help="rows as JSON lines; what it has already is not measured again")
    parser.add_argument("--by", default="item", help="item, figure, preset or fault")
    chosen = parser.parse_args()
    rows = list(campaign(chosen.presets.split(","), chosen.faults.split(","), chosen.seeds, chosen.size,
                         [i for i in chosen.items.split(",") if i], chosen.out))  # fmt: skip
    for key in chosen.by.split(","):
        print("\n".join(table(rows, key)))


def campaign(
    presets: Sequence[str],
    faults: Sequence[str],
    seeds: int,
    size: int = 32,
    items: Sequence[str] = (),
    out: Path | None = None,
) -> Iterator[Row]:
    """Rows of all chips asked for, those of a file first."""
    there = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] if out and out.exists() else []
    yield from there
    done = {(row["preset"], row["fault"], row["seed"]) for row in there}
    for name, fault in itertools.product(presets, faults):
        for seed in (specimen(name, fault, number) for number in range(seeds)):
            if (name, fault, seed) in done:
                continue
            fresh = list(measured(name, seed, fault, size, items))
            if out:
                with out.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in fresh)
            yield from fresh


if __name__ == "__main__":
    main()

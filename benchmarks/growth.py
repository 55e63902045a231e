"""How time and memory grow: `python -m benchmarks.growth [PICTURE]`.

A settle of a given number of sweeps, and a training step of a block (free phase, two nudged ones, contrast), against
units, layers, batch, cells of a chip with every effect of its datasheet, and chips of one host. Every point is measured
in a forked process of its own: least CPU time of some runs, and how far its memory rose at most above what it was
before anything was built. Slopes on log axes are fitted to the largest half of each line, where calls weigh least, and
stand beside what counting operations and numbers gives.
"""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from emulator.chip import Chip
from emulator.network import Stop, relax
from firmware_specs import platform
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.reference import ReferenceBench
from hil.learning.block import EnergyBlock
from hil.learning.energy import ideal_network

SWEEPS, BATCH, RUNS = 10, 16, 5
EFFECTS = "reram"
MOST_S = 3.0
"""A point that takes longer is the last of its line."""
Work = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One quantity that grows.

    Attributes:
        name: What is done, against what.
        sizes: Of the quantity.
        build: Makes the work of a size.
        time: Slope that counting operations gives.
        memory: Slope that counting numbers gives.
    """

    name: str
    sizes: Sequence[int]
    build: Callable[[int], Work]
    time: float
    memory: float


def settle(units: int, layers: int = 2, batch: int = BATCH) -> Work:
    """Ten sweeps of a chain of equal layers."""
    topology, draw = dense_chain([units] * layers, slope=0.5), torch.Generator().manual_seed(0)
    weights = {f"weight_{n}": torch.randn(units, units, generator=draw) / units for n in range(layers - 1)}
    biases = {f"bias_{n}": torch.zeros(units) for n in range(layers - 1)}
    net, drive = ideal_network(topology, weights | biases, "full"), torch.rand(batch, units, generator=draw)
    return lambda: relax(net, drive, stop=Stop(SWEEPS, 0.0))


def step(units: int) -> Work:
    """Forward and backward pass of a block on `reference:`, ten sweeps a phase."""
    return _pass(EnergyBlock(dense_chain([units] * 2, slope=0.5), ReferenceBench(Stop(SWEEPS, 0.0))), units)


def step_with_effects(units: int) -> Work:
    """The same on a chip with wires, noise, drift, converters and faults, written anew in every step."""
    sheet = load(EFFECTS)
    still = sheet.settle.model_copy(update={"max_iterations": SWEEPS, "tolerance": 0.0})
    bench = EmulatorBench(Chip(sheet.model_copy(update={"settle": still})), f"emulator:{EFFECTS}")
    return _pass(EnergyBlock(dense_chain([units] * 2, slope=0.5), bench), units)


def chips(count: int) -> Work:
    """A step on each of so many chips of 64 x 64 cells in one process."""
    works = [step_with_effects(64) for _ in range(count)]
    return lambda: [work() for work in works]


def _pass(block: EnergyBlock, units: int) -> Work:
    block.observer = lambda settled: None
    drive = torch.rand(BATCH, units, generator=torch.Generator().manual_seed(1))
    changed = block.get_parameter("weight_0")

    def run() -> None:
        with torch.no_grad():
            changed.mul_(0.999)
        block(drive).square().mean().backward()

    return run


LINES = (
    Line("settle, units a layer", (64, 128, 256, 512, 1024, 2048, 4096), settle, 2, 2),
    Line("settle, layers of 256", (2, 4, 8, 16, 32, 64), lambda n: settle(256, layers=n), 1, 1),
    Line("settle, batch, 256 units", (16, 64, 256, 1024, 4096), lambda n: settle(256, batch=n), 1, 1),
    Line("step, units a layer", (64, 128, 256, 512, 1024, 2048, 4096), step, 2, 2),
    Line(f"step, units a layer, {EFFECTS}", (64, 128, 256, 512, 1024), step_with_effects, 2, 2),
    Line("step, chips of one host", (1, 2, 4, 8, 16, 32), chips, 1, 1),
)


def point(line: Line, size: int) -> tuple[float, float]:
    """Seconds and bytes of one size, in a process of its own."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(into, "{} {}".format(*_measured(line, size)).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(into)
    with os.fdopen(out) as told:
        words = told.read().split()
    os.waitpid(child, 0)
    if not words:
        raise RuntimeError(f"{line.name}, {size}: the process of this point ended")
    return float(words[0]), float(words[1])


def _measured(line: Line, size: int) -> tuple[float, float]:
    line.build(line.sizes[0])()  # the pages of the libraries
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins at what is used now
    before = _peak()
    work, best = line.build(size), math.inf
    for _ in range(RUNS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
        if best > MOST_S:
            break
    return best, _peak() - before


def _peak() -> float:
    rows = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    found = next(row for row in rows if row.startswith("VmHWM:"))
    return 1024.0 * int(found.split()[1])


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """On log axes, of the larger half."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(np.maximum(values[half:], 1e-9)), 1)[0])


def draw(found: dict[Line, list[tuple[int, float, float]]], path: Path, said: str) -> None:
    """Time and memory on log axes, a dotted line of the counted slope through the last point of each."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5))
    for line, rows in found.items():
        sizes = [size for size, _, _ in rows]
        for axes, at, theory, unit in ((left, 1, line.time, 1e3), (right, 2, line.memory, 1e-6)):
            values = [row[at] * unit for row in rows]
            (drawn,) = axes.loglog(sizes, values, "o-", ms=4, label=f"{line.name}: {slope(sizes, values):.2f}")
            counted = [values[-1] * (size / sizes[-1]) ** theory for size in sizes]
            axes.loglog(sizes, counted, ":", color=drawn.get_color(), lw=1)
    for axes, what in ((left, "CPU time, ms"), (right, "memory, MB")):
        axes.set(xlabel="units, layers, samples, chips", ylabel=what)
        axes.legend(loc="best", fontsize=7, title="slope of the larger half", title_fontsize=7)
    figure.suptitle(said, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Prints the table, and draws it where a picture is named."""
    torch.set_num_threads(1)
    said = (
        f"{platform.processor()}, 1 thread, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}, benchmarks.growth"
    )
    print(said)
    print("line                          CPU time: slope (counted)  memory: slope (counted)   largest")
    found: dict[Line, list[tuple[int, float, float]]] = {}
    for line in LINES:
        rows = found[line] = []
        for size in line.sizes:
            rows.append((size, *point(line, size)))
            if rows[-1][1] > MOST_S:
                break
        sizes, times, bytes_ = zip(*rows, strict=True)
        print(
            f"{line.name:30s}{slope(sizes, times):8.2f} ({line.time:g}) {slope(sizes, bytes_):17.2f} ({line.memory:g})"
            f"   {sizes[-1]}: {times[-1] * 1e3:.1f} ms, {bytes_[-1] / 1e6:.1f} MB",
            flush=True,
        )
    if sys.argv[1:]:
        draw(found, Path(sys.argv[1]), said)


if __name__ == "__main__":
    main()

"""Other people's code beside ours in one table: a training step of the same network, in turn, CPU and wall time.

    PEER=DIR PEER_RN=DIR PEER_AIHWKIT=DIR PEER_CROSSSIM=DIR [ROUNDS=10] [THREADS=1] \\
        python -m benchmarks.peers [PART ...]

Each is a folder to import from: checkouts of rain-neuromorphics/hybrid_bp_ep_official (which needs `omegaconf`), of
rain-neuromorphics/energy-based-learning and of sandialabs/cross-sim, and the `site-packages` with aihwkit, built for
the torch that runs here. What is not named, or cannot be imported, is a row that says so. PART: rows whose text has it.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks import analog_mlp, beside_authors, hopfield, resistive
from benchmarks.clock import spent_seconds
from emulator.network import Stop
from firmware_specs import platform

Step = Callable[[], object]
Pair = tuple[Step, Step]
"""Theirs and ours."""
HEAD = "| peer | work | theirs, ms of CPU (wall) | ours, ms of CPU (wall) | times, CPU (wall) |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Comparison:
    """One row.

    Attributes:
        peer: Whose code.
        where: Environment variable that names its folder; empty where none is needed.
        work: What is done.
        build: Both steps, given the folder.
        costly: A step takes seconds: one round is enough.
    """

    peer: str
    where: str
    work: str
    build: Callable[[Path], Pair]
    costly: bool = False


def row(comparison: Comparison, rounds: int) -> str:
    """A line of the table."""
    folder = os.environ.get(comparison.where) if comparison.where else "."
    head = f"| {comparison.peer} | {comparison.work} |"
    if not folder:
        return f"{head} not measured: {comparison.where} names no folder | | |"
    try:
        theirs, ours = comparison.build(Path(folder))
    except ImportError as error:
        return f"{head} not measured: {error} | | |"
    spent = spent_seconds({"theirs": theirs, "ours": ours}, 1 if comparison.costly else rounds)
    (their_cpu, their_wall), (our_cpu, our_wall) = spent["theirs"], spent["ours"]
    times = f"{their_cpu / our_cpu:.2f} ({their_wall / our_wall:.2f})"
    cells = [f"{cpu * 1e3:.1f} ({wall * 1e3:.1f})" for cpu, wall in spent.values()]
    return f"{head} {' | '.join([*cells, times])} |"


def comparisons() -> Iterator[Comparison]:
    """All rows."""
    for name, way in (
        ("cifar10-6layer-3block", "same sweeps"),
        ("cifar10-6layer-3block", "tolerance 1e-5"),
        ("cifar10-12layer-6block", "same sweeps"),
        ("cifar10-12layer-6block", "tolerance 1e-5"),
    ):
        work = f"ff-EBM {name}, batch 16, ours {way}"
        yield Comparison("hybrid_bp_ep, the authors'", "PEER", work, partial(_authors, name, way), costly=True)
    for hidden in hopfield.HIDDEN:
        for stop, way in ((Stop(hopfield.SWEEPS, 0.0), "same sweeps"), (Stop(hopfield.SWEEPS, 1e-3), "tolerance 1e-3")):
            work = f"dense DHN 784-{hidden}-10, batch 32, ours {way}"
            yield Comparison("energy-based-learning", "PEER_RN", work, partial(_dense, hidden, stop))
    for stop, way in ((Stop(resistive.SWEEPS, 0.0), "same sweeps"), (Stop(30, 1e-3), "tolerance 1e-3")):
        work = f"resistive DRN 2x784-100-10, batch 32, ours {way}"
        yield Comparison("energy-based-learning", "PEER_RN", work, partial(_resistive, stop))
    work = "perceptron 784-512-10, batch 32, its own layers; ours EP on `reference:`"
    yield Comparison("torch", "", work, lambda _: (analog_mlp.plain(), analog_mlp.ours("reference:")))
    for preset, device in (
        ("FloatingPointRPUConfig", "reference:"),
        ("GokmenVlasovPreset", "emulator:mixed-8bit?seed=1"),
        ("ReRamSBPreset", "emulator:reram?seed=1"),
    ):
        work = f"perceptron 784-512-10, batch 32, {preset}; ours EP on `{device}`"
        yield Comparison("aihwkit", "PEER_AIHWKIT", work, partial(_aihwkit, preset, device))
    for effects, device in ((False, "reference:"), (True, "emulator:mixed-8bit?seed=1")):
        kind = "8 bits, programming and read noise" if effects else "ideal"
        work = f"perceptron 784-512-10, batch 32, {kind}; ours EP on `{device}`"
        yield Comparison("CrossSim", "PEER_CROSSSIM", work, partial(_crosssim, effects, device))


def _authors(name: str, way: str, folder: Path) -> Pair:
    steps = beside_authors.runs("step", name, 16, folder)
    return steps["authors"], steps[way]


def _dense(hidden: int, stop: Stop, folder: Path) -> Pair:
    images, labels = analog_mlp.batch()
    model = hopfield.ours(hidden, stop)
    peer = hopfield.peer_of(folder, model, hidden)
    return lambda: peer.step(images, labels), hopfield.step_of(model, images, labels)


def _resistive(stop: Stop, folder: Path) -> Pair:
    images, labels = analog_mlp.batch()
    model = resistive.network(stop)
    peer = resistive.peer_of(folder, model)
    return lambda: peer.step(images, labels), resistive.step_of(model, images, labels)


def _aihwkit(preset: str, device: str, folder: Path) -> Pair:
    return analog_mlp.aihwkit(folder, preset), analog_mlp.ours(device)


def _crosssim(effects: bool, device: str, folder: Path) -> Pair:
    return analog_mlp.crosssim(folder, effects=effects), analog_mlp.ours(device)


def main() -> None:
    """Prints the table with what it was measured on."""
    rounds = int(os.environ.get("ROUNDS", "10"))
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    threads, load = torch.get_num_threads(), os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    told = f"{platform.processor()}, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"
    print(f"{told}, {datetime.date.today()}, load {load:.0f}, `python -m benchmarks.peers`\n\n{HEAD}", flush=True)
    for comparison in comparisons():
        if not sys.argv[1:] or any(part in f"{comparison.peer} {comparison.work}" for part in sys.argv[1:]):
            print(row(comparison, rounds), flush=True)


if __name__ == "__main__":
    main()

"""Time to the same error of the free states, next to the authors' code.

`PEER=DIR python -m benchmarks.equal_error [EXPERIMENT ...]`, DIR a checkout of the authors' code; BATCH and ROUNDS as
in `python -m benchmarks`.

A number of sweeps means little where one code, or one rule to stop, is further from the equilibrium after them than
another. Here every way to settle takes the cheapest of its settings that comes as near to a float64 settle as asked:
a number of sweeps, or a tolerance; ours plain, over-relaxed, and in mixed arithmetic. Errors are relative norms over
all states; besides round numbers, that of the authors' own number of sweeps is asked.
"""

from __future__ import annotations

import bisect
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.clock import alternate
from benchmarks.nets import build_like, build_named
from benchmarks.peer import Peer
from benchmarks.settle_states import errors, settled
from emulator.network import Stop
from hil.counterparts.seam import States

DEFAULT = ("cifar10-6layer-3block", "cifar10-12layer-6block", "cifar10-12layer-4block", "cifar10-12layer-3block")
ASKED = (1e-3, 1e-4, 1e-5)
SWEEPS = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 160, 200, 300)
TOLERANCES = tuple(float(f"{a}e-{b}") for b in range(1, 8) for a in (5, 2, 1))
OURS = {
    "ours": "device=reference:",
    "ours, over-relaxed 1.2": "device=reference:?over_relaxation=1.2",
    "ours, over-relaxed 1.4": "device=reference:?over_relaxation=1.4",
    "ours, over-relaxed 1.4, mixed": "device=reference:?arithmetic=mixed&over_relaxation=1.4",
}

Settle = Callable[[], list[States]]
Settings = Sequence[tuple[str, Settle]]
"""Names of settings with what they run, the cheapest first and the farthest from rest."""


def table(name: str, batch: int, rounds: int, checkout: Path) -> list[str]:
    """Lines of the table of one experiment."""
    torch.manual_seed(0)
    experiment, model, classes, _ = build_named(name)
    images = torch.randn(batch, 3, 32, 32)
    wanted = settled(build_like(model, name, ["run.dtype=float64"]).model, images.double(), Stop(2000, 1e-11))
    peer = Peer.like(checkout, name, model, experiment, classes)
    own = errors(_settle_peer(peer, images, peer.sweeps, None)(), wanted)[0]
    ways = {"authors": _by_sweeps(peer, images), "authors, their tolerance": _by_their_tolerance(peer, images)}
    for label, device in OURS.items():
        net = build_like(model, name, [device]).model
        ways[label] = [
            (f"tolerance {t:.0e}", functools.partial(settled, net, images, Stop(500, t))) for t in TOLERANCES
        ]
        ways[f"{label}, sweeps"] = [
            (f"{n} sweeps", functools.partial(settled, net, images, Stop(n, 0.0))) for n in SWEEPS
        ]
    asked = sorted({own, *ASKED}, reverse=True)
    found = {label: _cheapest(settings, wanted, asked) for label, settings in ways.items()}
    lines = [f"{name}, batch {batch}; the authors' {peer.sweeps} sweeps leave an error of {own:.1e}"]
    for error in asked:
        runs = {label: settings[error] for label, settings in found.items() if error in settings}
        lines += _compared(error, runs, rounds)
        lines += [f"    {label}: not reached" for label in found if label not in runs]
    return lines


def _cheapest(settings: Settings, wanted: list[States], asked: list[float]) -> dict[float, tuple[str, Settle]]:
    """The first setting that comes within each error; the errors no setting reaches are missing."""
    near = functools.cache(lambda index: errors(settings[index][1](), wanted)[0])
    first = {e: bisect.bisect_left(range(len(settings)), True, key=lambda i: near(i) <= e) for e in asked}
    return {error: settings[index] for error, index in first.items() if index < len(settings)}


def _compared(error: float, runs: dict[str, tuple[str, Settle]], rounds: int) -> list[str]:
    """Lines of the times to one error; the authors' faster way is what the others are compared with."""
    times = alternate({label: run for label, (_, run) in runs.items()}, rounds)
    theirs = [timing for label, timing in times.items() if label.startswith("authors")]
    wall, cpu = (min((getattr(t, which) for t in theirs), default=float("nan")) for which in ("median", "cpu"))
    lines = [
        f"  error {error:.1e}: setting, ms, times faster than the authors' faster way, the same in CPU time, clean"
    ]
    for label, timing in times.items():
        lines.append(
            f"    {label:38s} {runs[label][0]:16s} {timing.median * 1e3:9.1f} "
            f"{wall / timing.median:6.2f} {cpu / timing.cpu:6.2f}  {timing.told}"
        )
    return lines


def _settle_peer(peer: Peer, images: Tensor, sweeps: int, tolerance: float | None) -> Settle:
    return lambda: [tuple(states) for states in peer.settle(images, tolerance, sweeps)]


def _by_sweeps(peer: Peer, images: Tensor) -> Settings:
    return [(f"{sweeps} sweeps", _settle_peer(peer, images, sweeps, None)) for sweeps in SWEEPS]


def _by_their_tolerance(peer: Peer, images: Tensor) -> Settings:
    return [(f"tolerance {t:.0e}", _settle_peer(peer, images, SWEEPS[-1], t)) for t in TOLERANCES]


def main() -> None:
    """Prints the tables."""
    checkout = os.environ.get("PEER")
    if not checkout:
        raise SystemExit("PEER is not set: name a checkout of rain-neuromorphics/hybrid_bp_ep_official, PEER=DIR")
    batch, rounds = int(os.environ.get("BATCH", "16")), int(os.environ.get("ROUNDS", "2"))
    for name in sys.argv[1:] or DEFAULT:
        print("\n".join(table(name, batch, rounds, Path(checkout))), flush=True)


if __name__ == "__main__":
    main()

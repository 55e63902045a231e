"""Our free states and EP gradients against the ff-EBM authors' code, float64, on every splitting configuration.

usage: python -m benchmarks.peer_states CHECKOUT [EXPERIMENT ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.nets import build_named
from benchmarks.peer import FILES, Peer
from hil.counterparts.seam import Settled
from hil.learning.gradients.followed import scores_and_loss
from hil.learning.loss import task
from hil.learning.model import energy_blocks, observed

BATCH = 2


def compare(checkout: Path, name: str) -> tuple[float, float, float]:
    """Largest difference of any free state, and of the gradients in norm: all, and the worst parameter."""
    experiment, model, classes, _ = build_named(name, ["run.dtype=float64"])
    peer = Peer.like(checkout, name, model, experiment, classes)
    torch.manual_seed(1)
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % classes
    seen: dict[str, Settled] = {}

    def first_of(block: str) -> Callable[[Settled], None]:
        def keep(settled: Settled) -> None:
            seen.setdefault(block, settled)

        return keep

    model.train()
    with observed(model, {block: first_of(block) for block in energy_blocks(model)}):
        scores_and_loss(model, task("cross_entropy").loss, images, labels)[1].backward()
    theirs = peer.settle(images)
    states = max(
        float((a - b).abs().max())
        for block, other in zip(seen.values(), theirs, strict=True)
        for a, b in zip(block.free, other, strict=True)
    )
    peer.step(images, labels)
    ours = [p.grad for p in model.parameters() if p.grad is not None]
    other = peer.gradients()
    norms = [(float((a - b).norm()), float(b.norm())) for a, b in zip(ours, other, strict=True)]
    whole = sum(d**2 for d, _ in norms) ** 0.5 / sum(n**2 for _, n in norms) ** 0.5
    return states, whole, max(d / n for d, n in norms)


def main(checkout: str, *names: str) -> None:
    torch.set_default_dtype(torch.float64)
    print(f"{'experiment':28s} {'states':>9s} {'gradient':>9s} {'worst parameter':>16s}")
    for name in names or [n for n in FILES if n.startswith("cifar10-")]:
        states, whole, worst = compare(Path(checkout), name)
        print(f"{name:28s} {states:9.1e} {whole:9.1e} {worst:16.1e}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

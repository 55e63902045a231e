"""`python -m benchmarks [EXPERIMENT ...]`: tables on standard output; `PEER=DIR` adds the authors' code.

Without arguments the tables of `benchmarks.resistive` and `benchmarks.effects` follow.

Settings from the environment: PEER, a checkout of rain-neuromorphics/hybrid_bp_ep_official; BATCH; ROUNDS.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from benchmarks import effects, resistive, settle_states, training_step

DEFAULT = (
    "cifar10-6layer-3block",
    "cifar10-12layer-6block",
    "cifar100-15layer",
    "imagenet32-15layer",
)


def peak_flops() -> float:
    """Best rate of float32 3x3 convolutions, channels-last, FLOP/s of all threads."""
    best = 0.0
    for channels, size in ((128, 32), (128, 16), (256, 16)):
        x = torch.rand(32, channels, size, size).contiguous(memory_format=torch.channels_last)
        w = torch.rand(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last)
        for _ in range(6):
            began = time.process_time()  # other processes do not count
            F.conv2d(x, w, padding=1)
            seconds = (time.process_time() - began) / torch.get_num_threads()
            best = max(best, 2 * 9 * channels**2 * 32 * size**2 / seconds)
    return best


def main() -> None:
    """Prints the tables."""
    checkout = Path(os.environ["PEER"]) if os.environ.get("PEER") else None
    batch, rounds = int(os.environ.get("BATCH", "16")), int(os.environ.get("ROUNDS", "2"))
    peak = peak_flops()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, peak {peak / 1e9:.0f} GFLOP/s in convolutions"
    )
    for name in sys.argv[1:] or DEFAULT:
        print("\n".join(settle_states.table(name, batch, rounds, checkout)), flush=True)
        print("\n".join(training_step.table(name, batch, rounds, checkout, peak)), flush=True)
    if not sys.argv[1:]:
        resistive.main()
        print("\n".join([*effects.table(), *effects.wires_table()]))


if __name__ == "__main__":
    main()

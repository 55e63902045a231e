"""A training step of deep Hopfield networks, 784-H-10, beside rain-neuromorphics/energy-based-learning.

`PEER_RN=DIR python -m benchmarks.hopfield`: DIR is a checkout of theirs; without it ours alone. Settings from the
environment: ROUNDS; THREADS, 1 unless said. Weights, sweeps (15 free, 15 nudged twice), nudge (0.2) and SGD are
those of their `papers/fast-drn/dhn.py`, the rate is lower, for the images are noise; a step is what their `Trainer`
does, without its statistics.

CPU time of this process: other work on the machine does not count, but for what it does to the caches.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.clock import cpu_seconds
from benchmarks.energy_based import Trained, importable
from emulator.network import Stop
from hil.counterparts.opening.bench import open_bench
from hil.experiments.schema import Experiment
from hil.learning.loss import task
from hil.learning.model import build

HIDDEN, BATCHES = (512, 1024), (16, 32)
SWEEPS, NUDGE, RATE = 15, 0.2, 1e-3


def ours(hidden: int, stop: Stop) -> nn.Module:
    """The network as an experiment has it: the input's weights on the host, the rest on the reference."""
    document = {
        "data": {"name": "mnist"},
        "blocks": [
            {
                "feedforward": [{"kind": "flatten"}, {"kind": "linear", "units": hidden}],
                "energy": {"couplings": [{"kind": "dense", "units": 10}], "slope": 1.0},
            }
        ],
        "readout": "none",
        "loss": "mse",
        "estimator": {"kind": "centered", "beta": NUDGE},
    }
    bench = open_bench("reference:", stop=stop, nudged_stop=stop)
    return build(Experiment.model_validate(document), bench, (1, 28, 28), 10)


def step_of(model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """A step of ours."""
    optimizer, loss = torch.optim.SGD(model.parameters(), RATE), task("mse").loss

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss(model(images), labels).backward()
        optimizer.step()

    return step


def peer_of(checkout: Path, model: nn.Module, hidden: int) -> Trained:
    """Their network with the weights of one of ours."""
    importable(checkout)
    from model.hopfield.minimizer import FixedPointMinimizer
    from model.hopfield.network import DeepHopfieldEnergy

    energy = DeepHopfieldEnergy([(1, 28, 28), (hidden,), (10,)], [0.7, 0.7])
    trained = Trained(energy, FixedPointMinimizer, SWEEPS, NUDGE, RATE)
    mine = list(model.parameters())
    with torch.no_grad():
        for theirs in energy.params():
            size = theirs.state.numel()
            (match,) = (p for p in mine if p.numel() == size and (p.dim() > 1) == (theirs.state.dim() > 1))
            theirs.state.copy_(match.t().reshape(theirs.state.shape))
    return trained


def table(hidden: int, batch: int, rounds: int, checkout: Path | None) -> list[str]:
    """Lines of one size and batch."""
    torch.manual_seed(0)
    images, labels = torch.rand(batch, 1, 28, 28), torch.arange(batch) % 10
    model, tolerant = ours(hidden, Stop(SWEEPS, 0.0)), ours(hidden, Stop(SWEEPS, 1e-3))
    tolerant.load_state_dict(model.state_dict())
    steps: dict[str, Callable[[], object]] = {}
    note = []
    if checkout is not None:
        peer = peer_of(checkout, model, hidden)
        apart = (peer.outputs(images) - model(images).detach()).abs().max()
        note = [f"  outputs after {SWEEPS} sweeps, ours less theirs: {float(apart):.1e}"]
        steps["theirs"] = lambda: peer.step(images, labels)
    steps[f"ours, {SWEEPS} sweeps"] = step_of(model, images, labels)
    steps["ours, tolerance 1e-3"] = step_of(tolerant, images, labels)
    spent_s = cpu_seconds(steps, rounds * 10)
    first = next(iter(steps))
    lines = [f"784-{hidden}-10, batch {batch}: images a CPU second, CPU ms a step, times faster", *note]
    for label, seconds in spent_s.items():
        lines.append(f"  {label:22s} {batch / seconds:8.0f} {seconds * 1e3:8.2f} {spent_s[first] / seconds:6.2f}")
    return lines


def main() -> None:
    """Prints the tables."""
    rounds = int(os.environ.get("ROUNDS", "3"))
    checkout = Path(os.environ["PEER_RN"]) if os.environ.get("PEER_RN") else None
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for hidden in HIDDEN:
        for batch in BATCHES:
            print("\n".join(table(hidden, batch, rounds, checkout)), flush=True)


if __name__ == "__main__":
    main()

import gc

import pytest
import torch
from torch.autograd.profiler import profile  # `torch.profiler` imports its compiler, seconds
from torch.nn.functional import cross_entropy

from emulator.network import Stop
from hil.counterparts.opening.bench import open_bench
from hil.experiments.schema import Experiment
from hil.learning.model import build
from hil.training.optimize import optimizer

BLOCKS = [
    {
        "feedforward": [{"kind": "conv", "channels": 8}, {"kind": "batch_norm"}],
        "energy": {"couplings": [{"kind": "conv", "channels": 8, "pool": True}, {"kind": "dense", "units": 16}]},
    },
]


@pytest.fixture(scope="module", autouse=True)
def _what_was_there_before_is_not_searched():
    """Garbage of the steps is younger; a look at all that a whole session has imported takes a second each time."""
    gc.collect()
    gc.freeze()


def stepper(address, batch):
    experiment = Experiment.model_validate({"data": {"name": "digits"}, "blocks": BLOCKS})
    torch.manual_seed(0)
    model = build(experiment, open_bench(address, stop=Stop(5, 1e-30)), (1, 8, 8), 10)
    update = optimizer(experiment.optimizer, model.parameters())
    images, labels = torch.rand(batch, 1, 8, 8), torch.arange(batch) % 10

    def step():
        update.zero_grad()
        cross_entropy(model(images), labels).backward()
        update.step()

    return step


def allocated(step, steps):
    """Peak and final number of bytes of tensors beyond those at the start."""
    gc.collect()
    with profile(profile_memory=True) as profiler:
        for _ in range(steps):
            step()
        gc.collect()
    present = peak = 0
    events = [e for e in profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):  # backward runs in a thread of its own
        present += event.nbytes()
        peak = max(peak, present)
    return peak, present


def least_peak(step, looks=6):
    """What a step needs. How many sweeps a settle of an emulated chip takes, and how many rows move to the end, depends
    on the images and on the last bit of the processor's arithmetic: some steps hold a settle's rows twice."""
    step()
    allocated(step, 1)  # the profiler's first look at a step is off by tens of percent, later ones are exact
    return min(allocated(step, 1)[0] for _ in range(looks))


@pytest.mark.parametrize("address", ["reference:", "emulator:mixed-8bit?seed=1"])
def test_memory_of_a_step_grows_linearly_with_the_batch(address):
    small, middle, large = (least_peak(stepper(address, batch)) for batch in (8, 16, 32))
    assert 0 < large - middle <= 2.2 * (middle - small)


@pytest.mark.parametrize("address", ["reference:", "emulator:mixed-8bit?seed=1"])
def test_memory_does_not_grow_over_steps(address):
    step = stepper(address, 16)
    peak = least_peak(step)
    _, left = allocated(step, 5)
    assert least_peak(step) <= 1.05 * peak
    assert abs(left) <= 0.05 * peak

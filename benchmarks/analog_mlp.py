"""A training step of a perceptron, 784-512-10, every weight in cells: ours, aihwkit's, CrossSim's; and torch's own.

Theirs is back-propagation: one product a layer forward, one backward, one update. Ours is equilibrium propagation: a
free settle and two nudged ones, ten sweeps and more of both products each. So what is compared is what a step costs,
not a product; on a chip a settle is no product at all.

aihwkit and CrossSim are imported from where `benchmarks.peers` is told; nothing of them is part of this project.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.nets import Built
from benchmarks.training_step import training_step
from hil.counterparts.opening.bench import open_bench
from hil.experiments.schema import Experiment
from hil.learning.model import build
from hil.training.stopping import stops

INPUTS, HIDDEN, OUTPUTS, BATCH = 784, 512, 10, 32
RATE = 1e-4
WARM = 40
"""Steps before the clock starts: what a settle dissipates is reckoned for the first ones, later seldom."""
Step = Callable[[], object]


def batch() -> tuple[Tensor, Tensor]:
    """Images of noise, (batch, 1, 28, 28), and labels."""
    torch.manual_seed(0)
    return torch.rand(BATCH, 1, 28, 28), torch.arange(BATCH) % OUTPUTS


def ours(device: str) -> Step:
    """784-512-10 on a counterpart, settled to 1e-3."""
    document = {
        "device": device,
        "data": {"name": "mnist"},
        "slope": 0.5,
        "readout": "none",
        "blocks": [
            {
                "feedforward": [{"kind": "flatten"}],
                "energy": {"couplings": [{"kind": "dense", "units": HIDDEN}, {"kind": "dense", "units": OUTPUTS}]},
            }
        ],
        "estimator": {"largest": 0.5},
        "settle": {"max_iterations": 50, "tolerance": 1e-3},
        "optimizer": {"kind": "sgd", "lr": RATE},
    }
    experiment = Experiment.model_validate(document)
    free, nudged = stops(experiment.settle)
    bench = open_bench(device, stop=free, nudged_stop=nudged)
    torch.manual_seed(0)
    model = build(experiment, bench, (1, 28, 28), OUTPUTS)
    step = training_step(Built(experiment, model, OUTPUTS, bench), *batch())
    for _ in range(WARM):
        step()
    return step


def back_propagated(hidden: nn.Module, output: nn.Module, optimizer: Any, after: Callable[[nn.Module], object]) -> Step:
    """A step of a perceptron of other people's layers."""
    model, loss = nn.Sequential(nn.Flatten(), hidden, nn.Sigmoid(), output), nn.CrossEntropyLoss()
    images, labels = batch()
    steps = optimizer(model)
    model.train()

    def step() -> None:
        steps.zero_grad()
        loss(model(images), labels).backward()
        steps.step()
        after(model)

    return step


def plain() -> Step:
    """torch's own layers: what the arithmetic of back-propagation takes."""
    layers = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, OUTPUTS)
    return back_propagated(*layers, lambda model: torch.optim.SGD(model.parameters(), RATE), lambda _: None)


def aihwkit(folder: Path, preset: str) -> Step:
    """aihwkit's tiles with a preset's devices, by name; `FloatingPointRPUConfig` has none. Updates are its pulses."""
    _importable(folder)
    from aihwkit.nn import AnalogLinear  # type: ignore[import-not-found]
    from aihwkit.optim import AnalogSGD  # type: ignore[import-not-found]
    from aihwkit.simulator import configs, presets  # type: ignore[import-not-found]

    def tile(inputs: int, outputs: int) -> nn.Module:
        config = getattr(configs, preset, None) or getattr(presets, preset)
        made: nn.Module = AnalogLinear(inputs, outputs, rpu_config=config())
        return made

    def optimizer(model: nn.Module) -> Any:
        steps = AnalogSGD(model.parameters(), lr=RATE)
        steps.regroup_param_groups(model)
        return steps

    return back_propagated(tile(INPUTS, HIDDEN), tile(HIDDEN, OUTPUTS), optimizer, lambda _: None)


def crosssim(checkout: Path, *, effects: bool) -> Step:
    """CrossSim's layers; with effects 8-bit converters, 0.5 % programming error and 0.5 % read noise, else ideal.

    Its gradients are ideal, and its arrays are programmed anew after each step.
    """
    _importable(checkout)
    from simulator import CrossSimParameters  # type: ignore[import-not-found]
    from simulator.algorithms.dnn.torch.convert import synchronize  # type: ignore[import-not-found]
    from simulator.algorithms.dnn.torch.linear import AnalogLinear  # type: ignore[import-not-found]

    params = CrossSimParameters()
    if effects:
        for converter, model in ((params.xbar.adc.mvm, "QuantizerADC"), (params.xbar.dac.mvm, "QuantizerDAC")):
            converter.model, converter.bits = model, 8
        params.xbar.adc.mvm.adc_range_option = "MAX"
        for error in (params.xbar.device.programming_error, params.xbar.device.read_noise):
            error.enable, error.model, error.magnitude = True, "NormalIndependentDevice", 0.005
    layers = AnalogLinear(params, INPUTS, HIDDEN), AnalogLinear(params, HIDDEN, OUTPUTS)
    return back_propagated(*layers, lambda model: torch.optim.SGD(model.parameters(), RATE), synchronize)


def _importable(folder: Path) -> None:
    """Behind everything that is installed here."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

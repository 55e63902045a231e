"""How often the host waits for a GPU: few times a settle, never once an iteration."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from emulator import network
from emulator.chip import Chip
from emulator.looks import between_looks
from emulator.network import Stop
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.topology import Conv, Dense, Layer, Topology
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.opening.bench import open_bench
from hil.learning.block import EnergyBlock
from hil.learning.gradients.baseline import Implicit


def block(bench, **more):
    torch.manual_seed(1)
    return EnergyBlock(dense_chain([7, 6, 5]), bench, observer=lambda settled: None, **more).to("cuda")


def waits(gpu, work, *args):
    before = gpu.waits
    work(*args)
    return gpu.waits - before


@pytest.mark.parametrize("address", ["reference:", "reference:?arithmetic=mixed", "reference:?over_relaxation=1.2"])
def test_a_settle_looks_at_its_inputs_once_and_at_the_residual_every_eight_sweeps(gpu, address):
    for sweeps, looks in ((8, 1), (24, 3), (27, 4)):
        settling = block(open_bench(address, stop=Stop(sweeps, 1e-30)))
        drive, nudge = torch.rand(3, 7, device="cuda"), torch.rand(3, 5, device="cuda")
        settling.program()
        free = settling.settle(drive)
        assert not free.phases[0].settled.all()
        assert waits(gpu, settling.settle, drive) == 1 + looks
        assert waits(gpu, settling.settle, drive, [nudge, -nudge], free.free) == 1 + looks


class Calls(TorchDispatchMode):
    """Every tensor call made, with the shapes it was made on: what a graph would record."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = tree_flatten((args, kwargs))[0]
        self.made.append((func, *(tuple(x.shape) if isinstance(x, torch.Tensor) else x for x in given)))
        return func(*args, **(kwargs or {}))


CONVOLUTIONAL = Topology(
    layers=(Layer(shape=(3, 8, 8)), Layer(shape=(4, 4, 4)), Layer(shape=(5,))),
    couplings=(Conv(pre=0, post=1, kernel=3, padding=1, pool=True), Dense(pre=1, post=2)),
)


@pytest.mark.parametrize("topology", [dense_chain([7, 6, 5]), CONVOLUTIONAL], ids=["dense", "pooled"])
@pytest.mark.parametrize("nudged", [False, True], ids=["free", "nudged"])
def test_sweeps_between_two_looks_are_the_same_calls_again_and_wait_for_nothing(gpu, monkeypatch, topology, nudged):
    stretches, waited = [], []

    def recorded(sweep, measured):
        before = gpu.waits
        with Calls() as calls:
            made = between_looks(sweep, measured)
        stretches.append(calls.made)
        waited.append(gpu.waits - before)
        return made

    torch.manual_seed(1)
    settling = EnergyBlock(topology, open_bench("reference:", stop=Stop(32, 1e-30)), observer=lambda settled: None)
    settling.to("cuda").program()
    drive = torch.rand(3, *topology.layers[0].shape, device="cuda")
    nudge = torch.rand(3, 5, device="cuda")
    free = settling.settle(drive).free
    monkeypatch.setattr(network, "between_looks", recorded)
    if nudged:
        settling.settle(drive, [nudge, -nudge], free)
    else:
        settling.settle(drive)
    assert len(stretches) == 4 and all(len(calls) > 8 * 3 for calls in stretches)
    assert stretches[1] == stretches[2] == stretches[3]
    assert waited == [0, 0, 0, 0]


TAU_S = 1e-6


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"max_iterations": 8}, {"max_iterations": 24}),
        ({"mode": "transient", "time_s": TAU_S}, {"mode": "transient", "time_s": 3 * TAU_S}),
    ],
    ids=["equilibrium", "transient"],
)
def test_an_emulated_chip_is_looked_at_every_eight_sweeps_or_steps(gpu, short, long):
    counts, sheet = [], load("mixed-8bit")
    neurons = sheet.neurons.model_copy(update={"node_capacitance_f": TAU_S / sheet.neurons.transimpedance_ohm})
    for bounds in (short, long):
        settle = sheet.settle.model_copy(update={"tolerance": 1e-30, **bounds})
        changed = sheet.model_copy(update={"settle": settle, "neurons": neurons})
        settling = block(EmulatorBench(Chip(changed, 0, "cuda"), "mixed-8bit"))
        drive = torch.rand(3, 7, device="cuda")
        settling.program()
        settling.settle(drive)
        counts.append(waits(gpu, settling.settle, drive))
    assert counts[1] - counts[0] == 2


def test_an_adjoint_is_looked_at_every_eight_iterations(gpu):
    counts = []
    for bound in (8, 24):
        rule = Implicit(tolerance=1e-30, max_iterations=bound, unsolved="keep")
        settling = block(open_bench("reference:", stop=Stop(8, 0.0)), estimator=rule)
        settling.program()
        output = settling(torch.rand(3, 7, device="cuda"))
        counts.append(waits(gpu, output.sum().backward))
    assert counts[1] - counts[0] == 2

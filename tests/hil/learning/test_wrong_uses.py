"""Wrong uses of the Python API, sixty and more: one sentence each, none silent."""

import re
import warnings
from dataclasses import dataclass

import pytest
import torch

import hil
from emulator.network import Stop
from firmware_specs.chains import resistive_chain
from hil import Conv, Dense, Energy, EnergyBlock, Estimator, Layer, Topology, conv_chain, dense_chain, open_bench
from hil.learning.gradients.baseline import Implicit, Unrolled
from hil.learning.gradients.coupled import Coupled
from hil.learning.inputs import SettlingWarning

BLOCK = dense_chain([4, 3])


def block(**options):
    return EnergyBlock(BLOCK, open_bench("reference:"), **options)


def drive(*shape, **options):
    return torch.ones(*shape, **options)


def closed():
    with open_bench("reference:") as bench:
        pass
    return bench


def after_close():
    with open_bench("reference:") as bench:
        made = EnergyBlock(BLOCK, bench)
    return made(drive(2, 4))


def with_weight(value):
    made = block()
    with torch.no_grad():
        made.weight_0[0, 0] = value
    return made(drive(2, 4))


def reevaluated():
    made = block(estimator=Estimator(nudge="reevaluated"))
    made(drive(2, 4)).sum().backward()


def flat_hopfield_source():
    return Topology(source=(4,), layers=(Layer(shape=(3,)),))


def settled(drive=None, nudges=(), start=None):
    made = block()
    made.program()
    return made.settle(torch.ones(2, 4) if drive is None else drive, nudges, start)


def replaced(address, name, *shape):
    made = EnergyBlock(BLOCK, open_bench(address))
    setattr(made, name, torch.nn.Parameter(torch.zeros(shape)))
    return made(drive(2, 4))


def exchanged(name, value):
    setattr(block(), name, value)


def batched():
    v = drive(2, 4, requires_grad=True)
    return torch.autograd.grad(block()(v), v, torch.ones(5, 2, 3), is_grads_batched=True)


@dataclass(frozen=True, kw_only=True)
class Springs(Energy):
    """A unit a weight, each drawn to what drives it."""

    @property
    def layers(self):
        return ((3,),)

    def initial(self):
        return {"w": torch.ones(3, 4)}

    def energy(self, parameters, drive, states):
        return (states[0] ** 2).sum(1) / 2 - (states[0] * (drive @ parameters["w"].T)).sum(1)


def energy(drive_shape=(4,), **wrong):
    kind = dataclass(frozen=True, kw_only=True)(type("Mine", (Springs,), wrong))
    block = EnergyBlock(kind(drive_shape=drive_shape), open_bench("reference:"))
    return block(drive(2, 4)).sum().backward()


def of_states(function):
    return energy(energy=lambda self, parameters, drive, states: function(states[0]))


USES = [
    (lambda: EnergyBlock([4, 3], open_bench("reference:")), "topology: [4, 3] is no topology"),
    (lambda: EnergyBlock(None, open_bench("reference:")), "topology: None is no topology"),
    (lambda: EnergyBlock(BLOCK, "reference:"), "'reference:' is an address: open it"),
    (lambda: EnergyBlock(BLOCK, None), "bench: None is no open bench"),
    (lambda: EnergyBlock(BLOCK, open_bench), "is no open bench"),
    (lambda: EnergyBlock(BLOCK, closed()), "reference: is closed; open it again"),
    (lambda: block(estimator="centered"), "estimator: 'centered' is no rule"),
    (lambda: block(estimator=Estimator), "is no rule: expected e.g. Estimator(kind='centered')"),
    (lambda: block(estimator=0.1), "estimator: 0.1 is no rule"),
    (lambda: block(reads=0), "reads: 0, expected a whole number of at least 1"),
    (lambda: block(reads=1.5), "reads: 1.5, expected a whole number"),
    (lambda: block(reads=True), "reads: True, expected a whole number"),
    (lambda: block(unsettled="ignore"), "unsettled: 'ignore', expected one of count, leave_out, refuse"),
    (lambda: block(beta=0.1), "unexpected keyword argument 'beta'"),
    (lambda: Estimator("centred"), "kind must be one of centered, positive, negative, random_sign, got 'centred'"),
    (lambda: Estimator(beta=0), "beta must be positive and finite, got 0"),
    (lambda: Estimator(beta=-0.1), "the sign belongs to the kind of estimator"),
    (lambda: Estimator(beta=float("nan")), "beta must be positive and finite, got nan"),
    (lambda: Estimator(beta=float("inf")), "beta must be positive and finite, got inf"),
    (lambda: Estimator(jumps="drop"), "jumps must be one of keep, one_sided, got 'drop'"),
    (lambda: Estimator(nudge="follow"), "nudge must be one of constant, reevaluated, got 'follow'"),
    (lambda: Estimator(points=3), "points must be 2, 4, 6 or 8"),
    (lambda: Estimator("positive", points=4), "points must be 2, 4, 6 or 8, and 2 unless centered"),
    (lambda: Estimator(range_fraction=2), "range_fraction must be in (0, 1], got 2"),
    (lambda: Estimator(largest=0), "largest must be positive and finite, got 0"),
    (lambda: Estimator("positive", jumps="one_sided"), "jumps = 'one_sided' needs a centered estimate"),
    (lambda: Estimator(nudge="reevaluated", largest=1.0), "goes with neither largest nor jumps"),
    (reevaluated, "follows the loss, which backward() does not know"),
    (lambda: Implicit(tolerance=2), "0 < tolerance < 1"),
    (lambda: Unrolled(sweeps=0), "sweeps must be at least 1, got 0"),
    (lambda: Coupled(eta=0), "eta must be positive and finite, got 0"),
    (lambda: block()(drive(2, 5)), "drive: shape (2, 5), expected (batch, *(4,))"),
    (lambda: block()(drive(4)), "drive: shape (4,), expected (batch, *(4,))"),
    (lambda: block()(drive(2, 2, 2, 2)), "drive: shape (2, 2, 2, 2)"),
    (lambda: block()(drive(0, 4)), "drive: an empty batch"),
    (lambda: block()(drive(2, 4, dtype=torch.int64)), "torch.int64, expected floating point"),
    (lambda: block()(drive(2, 4, dtype=torch.bool)), "torch.bool, expected floating point"),
    (lambda: block()(drive(2, 4, dtype=torch.complex64)), "torch.complex64, expected floating point"),
    (lambda: block()(drive(2, 4, dtype=torch.float64)), "the block computes in torch.float32"),
    (lambda: block().double()(drive(2, 4)), "torch.float32, the block computes in torch.float64"),
    (lambda: block()(drive(2, 4, device="meta")), "drive: on meta, the block is on cpu"),
    (lambda: block()([[1.0] * 4]), "drive: list, expected a tensor"),
    (lambda: block()(drive(2, 4) * float("nan")), "drive"),
    (lambda: block()(drive(2, 4) * float("inf")), "drive"),
    (lambda: with_weight(float("nan")), "weight_0"),
    (after_close, "reference: is closed: keep the bench open as long as its blocks are used"),
    (lambda: dense_chain(4), "units: 4, expected a list of positive whole numbers"),
    (lambda: dense_chain([]), "units: [], expected a list of positive whole numbers"),
    (lambda: dense_chain([4, 0]), "units: [4, 0], expected a list of positive whole numbers"),
    (lambda: dense_chain([4.5, 2]), "units: [4.5, 2], expected a list of positive whole numbers"),
    (lambda: dense_chain("64"), "units: '64', expected a list"),
    (lambda: resistive_chain(0, [3]), "source: [0], expected a list of positive whole numbers"),
    (lambda: conv_chain((28, 28), [4]), "shape: (28, 28), expected (channels, height, width)"),
    (lambda: conv_chain((1, 2, 2), [4, 4], pool=True), "leaves nothing behind it"),
    (lambda: Layer(4), "Layer takes its fields by name: shape=..., clamped=..., slope=..."),
    (lambda: Dense(0, 1), "Dense takes its fields by name"),
    (lambda: Conv(0, 1), "Conv takes its fields by name"),
    (lambda: Topology([Layer(shape=(4,))]), "Topology takes its fields by name"),
    (flat_hopfield_source, "'source' describes the source nodes of a resistive network"),
    (lambda: open_bench(None), "None is not an address"),
    (lambda: open_bench("mixed-8bit"), "Did you mean emulator:mixed-8bit?"),
    (lambda: open_bench("referense:"), "unknown scheme 'referense'"),
    (lambda: open_bench("reference:?arithmetic=half"), "arithmetic must be full or mixed, got 'half'"),
    (lambda: open_bench("emulator:mixed8bit"), "did you mean mixed-8bit"),
    (lambda: open_bench("emulator:mixed-8bit?sed=1"), "unknown option sed"),
    (lambda: open_bench("reference:", stop=3), "stop: 3, expected emulator.network.Stop"),
    (lambda: open_bench("reference:", nudged_stop="x"), "nudged_stop: 'x', expected emulator.network.Stop"),
    (lambda: hil.register("loses", "x", print), "'loses' is no kind of thing; did you mean losses"),
    (lambda: hil.register("losses", "mse", print), "a loss 'mse' is there already"),
    (lambda: hil.no_such_name, "module 'hil' has no attribute 'no_such_name'"),
    (lambda: block(generator=3), "generator: 3, expected a torch.Generator or None"),
    (lambda: block(observer=3), "observer: 3, expected a function"),
    (lambda: block(pulsed="yes"), "pulsed: 'yes', expected True or False"),
    (lambda: block(beside=-1), "beside: -1, expected a whole number of at least 0"),
    (lambda: exchanged("estimator", "implicit"), "estimator: 'implicit' is no rule"),
    (lambda: exchanged("reads", 0), "reads: 0, expected a whole number of at least 1"),
    (lambda: exchanged("unsettled", "drop"), "unsettled: 'drop', expected one of"),
    (lambda: Estimator(beta="0.1"), "beta must be positive and finite, got '0.1'"),
    (lambda: Estimator(beta=True), "beta must be positive and finite, got True"),
    (lambda: Estimator(points=2.0), "points must be 2, 4, 6 or 8"),
    (lambda: Estimator(auto_range="no"), "auto_range must be True, False or None, got 'no'"),
    (lambda: Estimator(dither="no"), "dither must be True or False, got 'no'"),
    (lambda: Estimator(range_fraction="all"), "range_fraction must be in (0, 1], got 'all'"),
    (lambda: Implicit(tolerance="small"), "0 < tolerance < 1"),
    (lambda: Implicit(unsolved="drop"), "unsolved must be one of refuse, keep, got 'drop'"),
    (lambda: Unrolled(sweeps=2.5), "sweeps must be at least 1, got 2.5"),
    (lambda: Stop(0, 1e-6), "max_iterations: 0, expected a whole number of at least 1"),
    (lambda: Stop(3, float("nan")), "tolerance: nan, expected a finite number of at least 0"),
    (lambda: Stop(3, 1e-6, 0), "check_every: 0, expected a whole number of at least 1, or None"),
    (lambda: settled("x"), "drive: str, expected a tensor"),
    (lambda: settled(nudges=3), "nudges: int, expected a list"),
    (lambda: settled(nudges=torch.zeros(2, 3)), "nudges: Tensor, expected a list"),
    (lambda: settled(nudges=[torch.zeros(1, 3)]), "nudge 0: shape (1, 3), expected (2, 3)"),
    (
        lambda: settled(start=(torch.zeros(2, 9), torch.zeros(2, 3))),
        "start: [(2, 9), (2, 3)], expected a tensor a layer",
    ),
    (lambda: replaced("reference:", "weight_0", 4, 3), "weight_0: shape (4, 3), the crossbar needs (3, 4)"),
    (lambda: replaced("emulator:ideal", "weight_0", 4, 3), "weight_0: shape (4, 3), the crossbar needs (3, 4)"),
    (lambda: replaced("emulator:ideal", "bias_0", 1), "bias_0: shape (1,), the crossbar needs (3,)"),
    (lambda: block()(drive(2, 4).to_sparse()), "drive: a sparse or nested tensor"),
    (lambda: block().to("meta")(drive(2, 4)), "the block is on the meta device"),
    (batched, "an energy block cannot be transformed by torch.func"),
    (lambda: torch.fx.symbolic_trace(block()), "an energy block cannot be exported or traced"),
    (lambda: energy(drive_shape=()), "Mine.drive_shape: (), expected sizes of at least 1"),
    (lambda: energy(layers=(3,)), "Mine.layers: 3, expected sizes of at least 1"),
    (lambda: energy(rails=lambda self: ((1, 0),)), "Mine.rails: ((1, 0),), expected the lowest and highest state"),
    (lambda: energy(bounds=lambda self, name: 3), "Mine.bounds('w'): 3, expected a lowest and a highest value"),
    (lambda: energy(initial=lambda self: [torch.zeros(3)]), "Mine.initial: list, expected parameters by name"),
    (lambda: energy(initial=lambda self: {"w": [1.0]}), "Mine.initial: w is list, expected a tensor"),
    (lambda: of_states(lambda s: s**2), "Mine.energy: shape (2, 3) of two samples"),
    (lambda: of_states(lambda s: 3.0), "Mine.energy: float, expected a tensor with one number a sample"),
    (lambda: of_states(lambda s: (s.detach() ** 2).sum(1)), "does not depend on the states as autograd sees it"),
    (lambda: of_states(lambda s: (s**2).sum(1) * float("nan")), "Mine.energy: is NaN at states of 0"),
    (lambda: of_states(lambda s: (s**2).sum(1)), "depends on no parameter and no drive"),
    (lambda: hil.load_run(3), "3 names no run: the folder of one is expected"),
    (lambda: hil.load_run("nowhere"), "nowhere holds no run"),
    (lambda: hil.register("losses", "my loss", print), "'my loss' is no name for a loss"),
    (lambda: hil.register(3, "x", print), "3 is no kind of thing"),
    (lambda: hil.plugin("sub/mine.py"), "'sub/mine.py' is no name of a module; leave out the folder and .py: mine"),
    (lambda: hil.trust(""), "'' is no name of a module"),
    (lambda: dense_chain([4, 3], slope=0), "Layer: slope: Input should be greater than or equal to 0.000000001, got 0"),
    (lambda: Layer(shape=3), "Layer: shape: Input should be a valid tuple, got 3"),
    (lambda: Layer(shape=(-1,)), "Layer: shape.0: Input should be greater than 0, got -1"),
    (lambda: Layer(shape=(4,), units=3), "Layer: units: unknown key; known: clamped, rail, shape, slope"),
    (lambda: conv_chain((1, 8, 8), [4], kernel="3"), "kernel: '3', expected a positive whole number"),
    (lambda: Topology(), "Topology: layers: missing"),
    (lambda: Topology(layers=[{"shape": [4], "colour": 1}]), "colour: unknown key"),
    (lambda: Topology(layers=[Layer(shape=(4,))], couplings=[Dense(pre=0, post=5)]), "there are 1 layers"),
]


@pytest.mark.parametrize(("use", "sentence"), USES, ids=[str(n) for n in range(len(USES))])
def test_a_wrong_use_is_answered_with_a_sentence(use, sentence):
    with pytest.raises(Exception) as refused:
        use()
    said = str(refused.value)
    assert sentence in said
    assert "Traceback" not in said and len(said) < 600


def test_there_are_sixty_of_them():
    assert len(USES) >= 60


def test_samples_that_do_not_settle_are_told_once_with_their_count():
    with open_bench("reference:", stop=Stop(1, 1e-9)) as bench:
        made = EnergyBlock(dense_chain([8, 8, 8]), bench)
        with pytest.warns(SettlingWarning, match=r"free phase: 5 of 5 samples did not settle.*Said once a block"):
            made(torch.rand(5, 8))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made(torch.rand(5, 8))


def test_clipped_drives_are_told_once_with_their_count():
    with open_bench("emulator:mixed-8bit?seed=1") as bench:
        made = EnergyBlock(dense_chain([4, 3]), bench)
        with pytest.warns(SettlingWarning, match="values in 5 samples were beyond the converters"):
            made(torch.full((5, 4), 1e6))


def test_clipped_weights_are_told_with_their_count():
    with open_bench("emulator:mixed-8bit?seed=1") as bench:
        made = EnergyBlock(dense_chain([4, 3]), bench)
        with torch.no_grad():
            made.weight_0.fill_(1e6)
        with pytest.warns(SettlingWarning, match=r"12 of 30 weights and biases are beyond what the cells can hold"):
            made(torch.zeros(2, 4))


def test_an_observer_hears_instead():
    heard = []
    with open_bench("reference:", stop=Stop(1, 1e-9)) as bench, warnings.catch_warnings():
        warnings.simplefilter("error")
        EnergyBlock(dense_chain([8, 8, 8]), bench, observer=heard.append)(torch.rand(5, 8))
    assert len(heard) == 1


def test_reprs_say_what_things_are():
    with open_bench("reference:") as bench:
        made = EnergyBlock(conv_chain((1, 8, 8), [4], pool=True), bench)
        made.program()
        settled = made.settle(torch.rand(3, 1, 8, 8))
        shown = {thing: thing._repr_html_() for thing in (made, bench, made.topology, settled)}
    assert repr(made) == "EnergyBlock(energy: Crossbar, layers: 1x8x8 - 4x4x4, on: reference:, estimator: centered)"
    how = r"Settled\(samples: 3, layers: .*, free phase: 100% settled, .* sweeps, .* left\)"
    assert re.fullmatch(how, repr(settled))
    assert repr(bench) == "ReferenceBench(address: reference:, closed: True)"
    assert all(html.startswith("<table><caption>") and "<td>" in html for html in shown.values())
    assert "1x8x8 - 4x4x4" in made.topology._repr_html_()


def test_public_names_are_listed_and_all_there():
    assert set(dir(hil)) == set(hil.__all__)
    assert all(getattr(hil, name) is not None for name in hil.__all__)

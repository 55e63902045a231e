"""Sixty wrong uses of the Python API: one sentence each, none silent."""

import re
import warnings

import pytest
import torch

import hil
from emulator.network import Stop
from firmware_specs.topology import resistive_chain
from hil import Conv, Dense, EnergyBlock, Estimator, Layer, Topology, conv_chain, dense_chain, open_bench
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

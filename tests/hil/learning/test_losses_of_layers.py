"""Losses of layers in an experiment: gradients against implicit differentiation and torch's own, and who refuses."""

import pytest
import torch
from torch.nn import functional

from emulator.chip import Chip
from firmware_specs.datasheet import load as load_sheet
from hil import open_bench
from hil.counterparts.product import ProductBench
from hil.counterparts.reference import ReferenceBench
from hil.experiments.experiment_file import ExperimentError, load
from hil.experiments.schema import Experiment
from hil.learning.estimator import Estimator
from hil.learning.gradients import gradcheck
from hil.learning.gradients.baseline import Implicit
from hil.learning.layer_losses import run
from hil.learning.model import ModelError, build
from hil.training.cosines import Cosines

LOSSES = [{"layer": 0, "share": 0.3}, {"layer": 1, "share": 0.5}]


def experiment(losses=LOSSES, blocks=1, **more):
    dense = {"feedforward": [{"kind": "flatten"}], "energy": {"couplings": [{"kind": "dense", "units": 12}] * 2}}
    last = dense | {"losses": losses}
    document = {"data": {"name": "digits"}, "blocks": [dense] * (blocks - 1) + [last], "slope": 0.5} | more
    return Experiment.model_validate(document)


def samples(tmp_path, asked, beta=1e-3):
    given = gradcheck.samples(asked, tmp_path, 6)
    return gradcheck.differentiable(asked, Estimator(beta=beta), given)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"blocks": 2},
        {"slope": 1.0, "rail": 6.0},
        {"losses": [{"layer": 2, "share": 0.5}], "blocks": 2},
    ],
    ids=["one block", "behind another block", "ReLU6", "of a last layer"],
)
def test_gradients_of_an_experiment_with_losses_of_layers_are_exact_on_the_reference(more, tmp_path):
    asked = experiment(**more)
    given = samples(tmp_path, asked)
    with ReferenceBench(gradcheck.EXACT) as bench:
        result = gradcheck.check(asked, bench, Estimator(beta=1e-3), given)
    assert any("readouts" in name for name in result.parameters)
    assert result.min_cosine > 0.9999
    assert result.max_norm_error < 0.01


def test_a_chip_that_multiplies_gives_the_same_gradients(multiplying_exactly, tmp_path):
    asked, sheet = experiment(), multiplying_exactly(load_sheet("arc-two-32x32-like"), 1e-8, 300)
    sheet = sheet.model_copy(update={"fabric": sheet.fabric.model_copy(update={"arrays": 40})})
    given = samples(tmp_path, asked, 1e-2)
    rule = Estimator(beta=1e-2, auto_range=False)
    result = gradcheck.check(asked, ProductBench(Chip(sheet, 1, dtype=torch.float64), "test"), rule, given)
    assert result.min_cosine > 0.999


def test_the_whole_loss_is_that_of_the_output_and_the_shares_of_the_layers(tmp_path):
    """By torch's own differentiation, of a block without couplings: its one linear layer is its drive."""
    block = {"feedforward": [{"kind": "flatten"}], "energy": {"couplings": []}, "losses": [{"layer": 0, "share": 0.25}]}
    asked = Experiment.model_validate({"data": {"name": "digits"}, "blocks": [block]})
    given = gradcheck.samples(asked, tmp_path, 6)
    found = gradcheck.gradients(asked, ReferenceBench(gradcheck.EXACT), Estimator(beta=1e-3), given)
    model = gradcheck.initial_model(asked, ReferenceBench(gradcheck.EXACT), given)
    named = dict(model.named_parameters())
    flat = given.images.flatten(1)
    assert len(named) == 4
    scores = {
        part: functional.linear(flat, *[v for n, v in named.items() if part in n]) for part in ("readouts", "readout.")
    }
    loss = functional.cross_entropy(scores["readout."], given.labels)
    loss = loss + 0.25 * functional.cross_entropy(scores["readouts"], given.labels)
    exact = torch.autograd.grad(loss, list(named.values()))
    for name, gradient in zip(named, exact, strict=True):
        assert torch.allclose(found[name], gradient, atol=1e-12), name


def test_without_a_readout_of_its_own_a_layer_holds_the_scores():
    asked = experiment([{"layer": 1, "readout": "none"}], readout="none")
    model = build(asked, open_bench("reference:"), (1, 8, 8), 12)
    assert not [name for name, _ in model.named_parameters() if "readout" in name]
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 12)


def test_a_last_layer_may_have_a_loss_on_a_chip_that_settles_and_earlier_ones_may_not():
    first = experiment([{"layer": 2, "share": 0.5}]).blocks[0]
    asked = experiment([], blocks=2)
    asked = asked.model_copy(update={"blocks": (first, asked.blocks[1])})
    model = build(asked, open_bench("emulator:mixed-8bit"), (1, 8, 8), 10)
    images, labels = torch.rand(4, 1, 8, 8), torch.arange(4)
    run(model, functional.cross_entropy, images, labels)[1].backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters() if p.requires_grad)
    with pytest.raises(ModelError, match=r"blocks\.0\.losses: emulator:mixed-8bit has a nudge line at its last layer"):
        build(experiment(), open_bench("emulator:mixed-8bit"), (1, 8, 8), 10)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"losses": [{"layer": 3}]}, r"blocks\.0\.losses\.0\.layer: 3, the layers are 0 \.\. 2"),
        ({"losses": [{"layer": 1, "readout": "none"}]}, r"losses\.0\.readout = 'none': layer 1 has shape \(12,\)"),
        ({"estimator": {"kind": "coupled"}}, r"losses: estimator 'coupled' nudges the last layer only"),
        ({"estimator": {"nudge": "reevaluated"}}, r"set estimator.nudge = 'constant'"),
        ({"estimator": {"reciprocity": "measured"}}, r"estimator.reciprocity = 'measured' nudges the last layer only"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_before_anything_is_trained(changes, said):
    with pytest.raises(ModelError, match=said):
        build(experiment(**changes), open_bench("reference:"), (1, 8, 8), 10)


def test_a_share_of_nothing_is_refused_by_the_file(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('base = "digits"\n[[blocks]]\nenergy = {}\nlosses = [{ layer = 0, share = 0.0 }]\n')
    with pytest.raises(ExperimentError, match=r"blocks.0.losses.0.share"):
        load(str(file))


def test_cosines_beside_a_step_look_at_losses_of_layers_too():
    bench = open_bench("reference:", stop=gradcheck.EXACT)
    model = build(experiment(estimator={"beta": 1e-3}), bench, (1, 8, 8), 10).double()
    cosines = Cosines(model, 1)
    draw = torch.Generator().manual_seed(3)
    with cosines.of(0):
        images = torch.rand(4, 1, 8, 8, generator=draw, dtype=torch.float64)
        run(model, functional.cross_entropy, images, torch.arange(4))[1].backward()
    assert cosines.take()["cosine"] > 0.999


def test_implicit_differentiation_trains_with_them_as_well(tmp_path):
    asked = experiment()
    given = samples(tmp_path, asked)
    pair = [
        gradcheck.gradients(asked, ReferenceBench(gradcheck.EXACT), r, given)
        for r in (Implicit(), Estimator(beta=1e-3))
    ]
    a, b = (torch.cat([g.flatten() for g in each.values()]) for each in pair)
    assert float(functional.cosine_similarity(a, b, 0)) > 0.9999

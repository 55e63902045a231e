"""Experiments whose losses look at hidden layers: what is trained, what is tested, and what is refused."""

import json

import pytest
import torch
from torch.nn import functional

from emulator.network import Stop
from hil import open_bench
from hil.cli import main
from hil.experiments.experiment_file import ExperimentError
from hil.experiments.experiment_file import load as load_experiment
from hil.learning.gradients.baseline import Implicit
from hil.learning.gradients.followed import scores_and_loss
from hil.learning.loss import task
from hil.learning.model import ModelError, build, set_rule

BLOCKS = [
    "blocks=[{losses=[{layer=0,share=0.3},{layer=1,share=0.5}],feedforward=[{kind='flatten'},{kind='linear',units=9}],"
    "energy={couplings=[{kind='dense',units=7},{kind='dense',units=5}]}},"
    "{feedforward=[{kind='linear',units=8}],energy={couplings=[{kind='dense',units=6}]}}]"
]
EXACT = Stop(3000, 1e-13)


def model_of(rule=None, more=(), device="reference:"):
    experiment = load_experiment("digits", [*BLOCKS, "run.dtype='float64'", "estimator.beta=1e-3", *more])
    bench = open_bench(device, **({"stop": EXACT} if device == "reference:" else {}))
    model = build(experiment, bench, (1, 8, 8), 10)
    if rule is not None:
        set_rule(model, rule)
    return model


def batch():
    draw = torch.Generator().manual_seed(5)
    return torch.rand(12, 1, 8, 8, dtype=torch.float64, generator=draw), torch.arange(12) % 10


def gradient(model):
    images, labels = batch()
    scores, mean = scores_and_loss(model, task("cross_entropy").loss, images, labels)
    mean.backward()
    return scores, mean, {name: p.grad for name, p in model.named_parameters()}


def test_the_loss_adds_what_each_layer_is_told_to_count():
    model = model_of()
    images, labels = batch()
    scores, mean, _ = gradient(model)
    block = model.block_1
    with torch.no_grad():
        states = block.energy.layers(block.feedforward(images))
        parts = [functional.cross_entropy(block.readouts[str(n)](states[n].flatten(1)), labels) for n in (0, 1)]
        outputs = model(images)  # forward alone: what is tested knows nothing of them
        wanted = functional.cross_entropy(outputs, labels) + 0.3 * parts[0] + 0.5 * parts[1]
    assert torch.allclose(scores, outputs, atol=1e-9)
    assert float(mean.detach()) == pytest.approx(float(wanted), abs=1e-9)


def test_gradients_of_all_losses_are_those_of_implicit_differentiation_and_reach_every_parameter():
    _, _, found = gradient(model_of())
    _, _, exact = gradient(model_of(Implicit(tolerance=1e-12)))
    assert {name.rsplit(".", 1)[0] for name in found} >= {"block_1.readouts.0.1", "block_1.readouts.1.1"}
    assert found.keys() == exact.keys() and all(g is not None and bool(g.any()) for g in found.values())
    a, b = (torch.cat([g.flatten() for g in which.values()]) for which in (found, exact))
    assert float(functional.cosine_similarity(a, b, 0)) > 0.9999
    assert float(a.norm() / b.norm()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ("[{layer=3}]", r"blocks\.0\.losses\.0: layer 3, the block has layers 0 \.\. 2"),
        ("[{layer=1},{layer=1}]", r"losses\.1: another loss looks at layer 1 already"),
    ],
)
def test_a_layer_that_is_not_there_or_taken_is_named(losses, said):
    changed = [BLOCKS[0].replace("[{layer=0,share=0.3},{layer=1,share=0.5}]", losses)]
    experiment = load_experiment("digits", changed)
    with pytest.raises(ModelError, match=said):
        build(experiment, open_bench("reference:"), (1, 8, 8), 10)


def test_what_cannot_be_nudged_layer_by_layer_is_refused_in_a_sentence(tmp_path, capsys):
    with pytest.raises(ExperimentError, match=r"losses\.0\.share"):
        load_experiment("digits", [BLOCKS[0].replace("share=0.3", "share=0")])
    for more in ("estimator.nudge='reevaluated'", "update.kind='device'"):
        with pytest.raises(ModelError, match=r"blocks\.0\.losses: .*constant nudges"):
            model_of(more=[more], device="emulator:self-updating" if "device" in more else "reference:")
    told = ["train", "digits", "--set", BLOCKS[0], "--run-dir", str(tmp_path / "run"), "--device", "emulator:ideal"]
    with pytest.raises(SystemExit) as ended:
        main(told)
    assert ended.value.code == 2
    assert "last layer only" in capsys.readouterr().err


def test_such_an_experiment_trains_by_the_command_line_and_is_checked_by_gradcheck(tmp_path):
    more = ["--set", BLOCKS[0], "--set", "data.train_samples=64", "--set", "data.test_samples=16"]
    more += ["--set", "run.epochs=1"]
    for command in (
        ["train", "digits", *more, "--run-dir", str(tmp_path / "run")],
        ["gradcheck", "digits", *more, "--json", str(tmp_path / "check.json")],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
    checked = json.loads((tmp_path / "check.json").read_text())["parameters"]
    assert any(name.startswith("block_1.readouts") for name in checked)

"""Things of one's own in a module beside the experiment: found, held to what their kind asks for, written down."""

import subprocess
import sys

import pytest
import torch

from firmware_specs import registry
from firmware_specs.registry import UnfitThing, UnknownName
from hil import EnergyBlock, dense_chain, open_bench
from hil.cli import main
from hil.experiments import experiment_file
from hil.learning.loss import task
from hil.training.optimize import learning_rate, optimizer

TEXT = '''
from dataclasses import dataclass
import torch
from pydantic import BaseModel

def two(a, b): """Two arguments."""
def four(experiment, epoch, batch, batches): return experiment.optimizer.lr / (1 + epoch)
def nothing(experiment, epoch, batch, batches): return None
def negative(experiment, epoch, batch, batches): return -1.0
def not_finite(experiment, epoch, batch, batches): return torch.tensor(float("nan"))
def no_mean(scores, labels): return scores.sum(1)
def no_tensor(scores, labels): return 1.0
def detached(scores, labels): return scores.detach().sum()
def no_optimizer(settings, groups): return groups
def with_closure(settings, groups):
    from hil.training.optimize import SGD
    class Closing(SGD):
        def step(self, closure): return closure()
    return Closing(groups, 0.1)
def simulator(address):
    from hil.counterparts.reference import ReferenceBench
    return lambda told: ReferenceBench(told.stop, told.nudged_stop, address=address)
class Nameless(BaseModel, extra="forbid"):
    gain: float = 1.0
    def build(self, shape): return None
@dataclass(frozen=True)
class Half:
    beta: float = 0.1
    def gradients(self, site, drive, parameters, free, loss_gradient): return None
class NoSection:
    def gradients(self, site, drive, parameters, free, loss_gradient): return None
'''
EXPERIMENT = """
[data]
name = "digits"
[[blocks]]
feedforward = [{kind = "flatten"}, {kind = "LAYER"}, {kind = "linear", units = 8}]
energy = {kind = "crossbar", couplings = [{kind = "dense", units = 8}]}
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder that a person works in, with a module in it; Python does not look there by itself."""
    (tmp_path / "own_thing.py").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_thing", None)


@pytest.fixture
def own(beside):
    registry.plugin("own_thing")
    return beside


def with_experiment(**sets):
    return experiment_file.load("digits", [f"{key.replace('__', '.')}={value}" for key, value in sets.items()])


def test_the_command_finds_a_module_in_the_current_folder(beside):
    (beside / "json.py").write_text("raise RuntimeError('shadows')", encoding="utf-8")
    (beside / "own_thing.py").write_text(
        "from hil import register\n@register('exports', 'own-card')\ndef card(datasheet, name):\n    '''A card.'''\n",
        encoding="utf-8",
    )
    script = [sys.executable, "-P", "-m", "hil"]  # as the installed `hil`, which has its own folder on the path
    done = subprocess.run([*script, "list", "exports", "--plugin", "own_thing"], capture_output=True, text=True)
    assert "own-card  A card." in done.stdout, done.stderr


def test_nothing_is_imported_from_the_current_folder_that_nobody_named(beside):
    with pytest.raises(UnknownName, match="which nobody has named"):
        registry.find("losses", "own_thing:two")
    assert "own_thing" not in sys.modules


@pytest.mark.parametrize(
    ("kind", "attribute", "why"),
    [
        ("schedules", "two", r"takes \(a, b\) and is called with \(experiment, epoch, batch, batches\)"),
        ("losses", "four", r"is called with \(scores, labels\)"),
        ("exports", "four", r"is called with \(datasheet, name\)"),
        ("counterparts", "two", r"is called with \(address\)"),
        ("laws", "two", r"is called with \(pulses, x, up\)"),
        ("optimizers", "TEXT", "has no attribute 'TEXT'"),
        ("optimizers", "__name__", "is 'own_thing', which cannot be called; expected of an optimizer: "),
        ("layers", "Half", "is Half, which has no build"),
        ("estimators", "Nameless", "is Nameless, which has no gradients"),
        ("transports", "two", "which has no open, parse, byte_s"),
        ("energies", "Half", "is Half, which has no energy, initial, layers"),
    ],
)
def test_what_cannot_be_what_its_kind_asks_for_is_refused_where_it_is_named(own, kind, attribute, why):
    with pytest.raises(UnknownName, match=why):
        registry.find(kind, f"own_thing:{attribute}")


def test_what_is_registered_is_looked_at_there(own):
    with pytest.raises(UnfitThing, match=r"'mine' takes \(a, b\)"):
        registry.register("schedules", "mine", sys.modules["own_thing"].two)


@pytest.mark.parametrize(
    ("name", "given"), [("nothing", "None"), ("negative", "-1.0"), ("not_finite", r"tensor\(nan\)")]
)
def test_a_schedule_that_gives_no_rate_is_refused(own, name, given):
    experiment = with_experiment(schedule__kind=f"own_thing:{name}")
    with pytest.raises(UnfitThing, match=f"schedule 'own_thing:{name}' gives {given}, expected a learning rate"):
        learning_rate(experiment, 0, 0, 10)


def test_a_schedule_of_ones_own_is_followed(own):
    experiment = with_experiment(schedule__kind="own_thing:four", optimizer__lr=0.01)
    assert [learning_rate(experiment, epoch, 0, 10) for epoch in (0, 1)] == [0.01, 0.005]


@pytest.mark.parametrize(
    ("name", "why"), [("no_optimizer", "gives list, expected a torch.optim"), ("with_closure", "needs a closure")]
)
def test_an_optimizer_that_is_none_is_refused(own, name, why):
    experiment = with_experiment(optimizer__kind=f"own_thing:{name}")
    with pytest.raises(UnfitThing, match=why):
        optimizer(experiment.optimizer, [torch.nn.Parameter(torch.zeros(2))])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_mean", r"a tensor of shape \(2,\), expected one number, the mean over the batch"),
        ("no_tensor", "gives 1.0, expected a tensor with one number"),
        ("detached", "does not depend on the scores as autograd sees it"),
    ],
)
def test_a_loss_that_gives_no_number_is_refused(own, name, why):
    with pytest.raises(UnfitThing, match=why):
        task(f"own_thing:{name}").loss(torch.ones(2, 3, requires_grad=True), torch.tensor([0, 1]))


def test_a_rule_that_gives_no_gradients_is_refused(own):
    with open_bench("reference:") as bench:
        block = EnergyBlock(dense_chain([4, 3]), bench, sys.modules["own_thing"].Half())
        with pytest.raises(
            UnfitThing, match=r"estimator 'Half'.* by the drive, \(2, 4\), and a dict of those by weight_0"
        ):
            block(torch.ones(2, 4)).sum().backward()


def test_what_an_experiment_names_is_written_down_and_read_back(own):
    """A rule without a `kind` must not come back as the default one."""
    (own / "mine.toml").write_text(EXPERIMENT.replace("LAYER", "own_thing:Nameless"), encoding="utf-8")
    made = experiment_file.load("mine.toml", ["estimator.kind=own_thing:Half", "estimator.beta=0.2"])
    (own / "again.toml").write_text(experiment_file.dump(made), encoding="utf-8")
    again = experiment_file.load("again.toml", [])
    assert again == made
    assert isinstance(again.estimator, sys.modules["own_thing"].Half) and again.estimator.beta == 0.2
    assert again.blocks[0].feedforward[1].kind == "own_thing:Nameless"


def test_a_rule_that_is_no_section_is_refused_in_a_sentence(own):
    with pytest.raises(experiment_file.ExperimentError, match="is NoSection, expected a dataclass or a pydantic model"):
        with_experiment(estimator__kind="own_thing:NoSection")


def test_an_address_may_begin_with_a_place(own):
    with open_bench("own_thing:simulator") as bench:
        assert bench.address == "own_thing:simulator"
    with open_bench("own_thing:simulator:x?y=1") as bench:
        assert bench.address == "own_thing:simulator:x?y=1"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("own_thing:two", "is called with (address)"),
        ("own_thing:nowhere", "has no attribute 'nowhere'"),
        ("sreial:COM3", "unknown scheme 'sreial'. Did you mean serial?"),
        ("nobody:here", "unknown scheme 'nobody'."),
    ],
)
def test_an_address_that_begins_with_no_counterpart_is_refused(beside, capsys, address, why):
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", "--device", address])
    assert (ended.value.code, why in capsys.readouterr().err) == (2, True)

"""`run.cosine_every`: measured gradients beside exact ones, step by step, without a trace in the training."""

import json
from types import SimpleNamespace

import pytest
import torch

from firmware_specs.chains import dense_chain
from hil.cli import main
from hil.learning.energies.crossbar import Crossbar
from hil.learning.gradients.baseline import AdjointError, Implicit
from hil.report.figures import Panel
from hil.training.cosines import Compared
from hil.watching.events import read

NET = """
device = "{device}"
[data]
name = "digits"
train_samples = 60
test_samples = 20
[[blocks]]
feedforward = [{{ kind = "flatten" }}, {{ kind = "linear", units = 12 }}]
[blocks.energy]
couplings = [{{ kind = "dense", units = 8 }}]
[[blocks]]
feedforward = [{{ kind = "linear", units = 12 }}]
[blocks.energy]
couplings = [{{ kind = "dense", units = 6 }}]
[settle]
max_iterations = 2000
tolerance = 1e-9
[run]
epochs = 1
batch = 10
dtype = "float64"
cosine_every = {every}
"""


def train(folder, device, every, *more):
    folder.mkdir()
    (folder / "net.toml").write_text(NET.format(device=device, every=every))
    with pytest.raises(SystemExit) as done:
        main(["train", str(folder / "net.toml"), "--run-dir", str(folder / "run"), *more])
    assert done.value.code == 0
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "step"]


def cosines(record):
    return {name: value for name, value in record.items() if name.startswith("cosine")}


def test_on_the_exact_model_both_point_the_same_way_at_the_steps_that_were_asked_for(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr("hil.report.training.Panel", lambda title, draw: titles.append(title) or Panel(title, draw))
    steps = train(tmp_path / "a", "reference:", 3)
    assert [bool(cosines(record)) for record in steps] == [True, False, False, True, False, False]
    for record in (steps[0], steps[3]):
        assert set(cosines(record)) == {"cosine", "cosine.block_1", "cosine.block_2"}
        assert min(cosines(record).values()) > 0.99
    told = [event for event in read(tmp_path / "a" / "run") if event["kind"] == "step" and "cosine" in event]
    assert told and min(event["cosine"] for event in told) > 0.99  # a mean over the steps that have it
    assert "Cosine with implicit differentiation" in titles


def test_a_chip_learns_and_is_asked_the_same_with_and_without(tmp_path):
    device = "emulator:mixed-8bit?seed=2"
    without, compared = train(tmp_path / "a", device, 0), train(tmp_path / "b", device, 2)
    assert all(not cosines(record) for record in without)
    assert [{**record, **cosines(other)} for record, other in zip(without, compared, strict=True)] == compared
    summaries = [json.loads((tmp_path / each / "run" / "summary.json").read_text()) for each in "ab"]
    assert summaries[0]["weights"] == summaries[1]["weights"]
    assert summaries[0]["ledger"]["counts"]["free"] == summaries[1]["ledger"]["counts"]["free"]
    assert all(-1 <= value < 1 for value in cosines(compared[0]).values())


def test_where_there_is_no_exact_gradient_there_is_no_cosine_and_the_training_goes_on():
    """Two layers that hold each other amid the rails by strong couplings: the adjoint grows without end."""
    site = SimpleNamespace(energy=Crossbar.of(dense_chain([3, 4, 4])))
    parameters = {"weight_0": torch.zeros(4, 3), "weight_1": 5 * torch.eye(4)}
    parameters |= {name: torch.full((4,), -2.0) for name in ("bias_0", "bias_1")}
    drive, behind = torch.zeros(2, 3), torch.ones(2, 4)
    free = tuple(torch.full((2, size), 0.5) for size in (3, 4, 4))
    found = drive, parameters
    rule = Compared(SimpleNamespace(gradients=lambda *given: found))
    with pytest.raises(AdjointError):
        Implicit(unsolved="keep").gradients(site, drive, parameters, free, behind)
    assert rule.gradients(site, drive, parameters, free, behind) is found and rule.seen == []


def test_a_nudge_that_follows_the_loss_is_left_out(tmp_path):
    steps = train(tmp_path / "a", "reference:", 1, "--set", 'estimator={nudge="reevaluated"}')
    assert all(set(cosines(record)) == {"cosine", "cosine.block_1"} for record in steps)

"""`hil benchmark`: fixed tasks, frozen cells beside, the choice of a rule, the card; and cards side by side."""

import json
import math
import re
from importlib import resources

import pytest
import torch

from firmware_specs.datasheet import load
from firmware_specs.topology import Conv, Dense, Layer, Topology
from hil import data
from hil.cli import main
from hil.counterparts.mapping import crossbar_matrix, parameters_of
from hil.experiments import experiment_file
from hil.experiments.sections import Data
from hil.learning.gradients import comparison
from hil.training.benchmark import card as cards
from hil.training.benchmark import making, rules, tasks
from hil.training.benchmark.points import Setting
from hil.training.run.documents import DocumentError
from hil.training.run.marked import RunError
from hil.training.study import point
from hil.training.study.grid import Point
from hil.training.study.quality import gradient_cosine

QUICK = """base = "xor-cells"
[data]
train_samples = 32
[run]
epochs = 1
[settle]
max_iterations = 20
[optimizer]
lr = 3e-2
"""
MINIMAL = {"format": "crossbar-hil card 1", "device": {"model": "a chip of 2024"}}


@pytest.mark.parametrize(("name", "train", "test"), [("iris", 105, 45), ("wine", 124, 54), ("xor", 256, 4)])
def test_bundled_tables_are_scaled_carry_a_constant_and_share_no_sample(name, train, test, tmp_path):
    found = data.load(Data(name=name), tmp_path)
    assert (found.shape, found.classes) == data.FORMS[name]
    assert (len(found.train), len(found.test)) == (train, test)
    both = torch.cat([found.train.images, found.test.images]).flatten(1)
    assert both.amin() == -1 and both.amax() == 1 and bool((both[:, -1] == 1).all())
    assert set(found.test.labels.tolist()) == set(range(found.classes))


def test_xor_shows_every_pattern_equally_often_and_no_line_parts_its_classes(tmp_path):
    found = data.load(Data(name="xor"), tmp_path)
    samples, counts = found.train.images.flatten(1).unique(dim=0, return_counts=True)
    assert len(samples) == 4 and len(set(counts.tolist())) == 1
    inputs, wanted = found.test.images.flatten(1).double(), 2.0 * found.test.labels.double() - 1
    assert torch.linalg.lstsq(inputs, wanted[:, None]).solution.abs().max() < 1e-12
    for (a, b, _), label in zip(found.test.images.flatten(1).tolist(), found.test.labels.tolist(), strict=True):
        assert label == (a != b)


def test_the_curve_is_tested_between_its_training_places_and_is_no_line(tmp_path):
    found = data.load(Data(name="curve"), tmp_path)
    places = [{round(float(x), 6) for x in part.images[:, 0].flatten()} for part in (found.train, found.test)]
    assert not places[0] & places[1]
    inputs, values = found.test.images.flatten(1).double(), found.test.labels.double()
    left = values - inputs @ torch.linalg.lstsq(inputs, values).solution
    assert left.var() > 0.5 * values.var()


@pytest.mark.parametrize("substrate", ["hopfield", "resistive"])
def test_all_but_one_task_leave_the_host_nothing_to_learn(substrate):
    for name, forms in tasks.TASKS.items():
        if substrate in forms and name != "mnist-dense":
            loaded = experiment_file.load(forms[substrate])
            assert loaded.readout == "none" and len(loaded.blocks) == 1
            kinds = {part.kind for part in loaded.blocks[0].feedforward}
            assert kinds <= {"flatten", "mirror", "batch_norm", "avg_pool"}


@pytest.mark.parametrize(
    ("address", "takes", "refused"),
    [
        ("emulator:ecram", ["xor", "iris", "wine", "digits"], []),
        ("emulator:resistive-board", ["xor", "iris", "wine", "digits"], ["mnist-dense"]),
        ("emulator:small.toml", ["xor", "iris"], ["wine", "digits"]),
    ],
    ids=["cells", "resistive", "small"],
)
def test_a_counterpart_gets_the_tasks_that_fit_it_and_says_why_not_the_others(
    address, takes, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ideal = (resources.files("firmware_specs.datasheets") / "ideal.toml").read_text()
    (tmp_path / "small.toml").write_text(ideal.replace("max_rows = 1048577", "max_rows = 20"))
    met = tasks.met(address)
    names = [name for name in tasks.TASKS if name in (*takes, *refused)]
    found, left_out = tasks.fitting(met, names, tmp_path)
    assert set(takes) <= set(found) and set(refused) <= set(left_out)
    assert all(len(why) > 15 for why in left_out.values())


def test_a_task_whose_data_is_not_there_is_left_out_with_the_place_it_was_looked_for(tmp_path):
    takes, left_out = tasks.fitting(tasks.met("reference:"), ["xor", "mnist-cells"], tmp_path)
    assert list(takes) == ["xor"] and str(tmp_path) in left_out["mnist-cells"]


@pytest.mark.parametrize(
    ("sheet", "kinds", "word"),
    [
        ("ideal", ["rewrite"], None),
        ("resistive-board", ["rewrite"], None),
        ("ecram", ["rewrite", "pulsed", "mixed", "coincidence"], "most=400"),
        ("pcm", ["rewrite", "pulsed", "mixed"], "refresh_every"),
        ("self-updating-resistive", ["rewrite", "device"], None),
    ],
)
def test_rules_are_those_that_the_cells_can_follow(sheet, kinds, word):
    found = rules.candidates(load(sheet))
    assert list(found) == kinds
    for update in found.values():
        assert experiment_file.load("xor-cells", [f"update={update}"]).update.kind in kinds
    assert word is None or word in found["mixed"]
    assert rules.candidates(None) == {"rewrite": rules.REWRITE}


def test_the_rule_that_did_best_is_taken():
    assert rules.best({"rewrite": 0.8, "mixed": 0.9, "pulsed": 0.9}) == "mixed"


def in_process(asked):
    return {task.folder: point.run(task) for task in asked}


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """The benchmark's first task, short."""
    path = tmp_path / "quick.toml"
    path.write_text(QUICK)
    monkeypatch.setitem(tasks.TASKS, "xor", {"hopfield": str(path)})
    return str(path)


def test_a_card_has_the_seeds_frozen_cells_and_what_the_device_spent_and_the_command_goes_on(quick, tmp_path, capsys):
    folder, address = tmp_path / "bench", "emulator:discrete-board"
    setting, update = Setting(address, folder, tmp_path), rules.BOTH_WAYS["mixed"]
    met, takes = tasks.met(address), {"xor": quick}
    made = making.made(met, setting, takes, {"iris": "why"}, [0, 1], {"mixed": update}, in_process)
    (done,) = made.tasks
    assert len(done.accuracy) == len(done.frozen) == 2 and len(done.cosine) == 2
    assert done.samples == 32 and done.update == "mixed" and not done.note
    summaries = [json.loads(p.read_text()) for p in folder.glob("points/*rule=ep*/run/summary.json")]
    counts = [summary["ledger"]["counts"] for summary in summaries]
    acts = [(c["pulses_up"] + c["pulses_down"] + c["write_pulses"]) / 32 for c in counts]
    assert done.pulses_a_sample == pytest.approx(sum(acts) / 2) and min(acts) > 0
    assert done.settle_s == pytest.approx(load("discrete-board").settle.time_s, rel=1e-6)
    assert done.most_pulses == max(summary["wear"]["most"] for summary in summaries)
    assert {"conversions to analog", "conversions to codes"} <= set(done.not_known)
    frozen = [json.loads(p.read_text()) for p in folder.glob("points/*rule=frozen*/run/summary.json")]
    assert len(frozen) == 2 and all(f["ledger"]["counts"]["nudged"] == 0 for f in frozen)
    chips = {re.search(r"seed=\d", s["device"])[0] for s in (*summaries, *frozen)}
    assert chips == {"seed=0", "seed=1"}

    asked = {"benchmark": cards.FORMAT, "device": address, "seeds": [0, 1], "tasks": ["xor"], "rule": "mixed"}
    (folder / "study.json").write_text(json.dumps(asked))
    call = ["benchmark", address, "--tasks", "xor", "--seeds", "0,1", "--rule", "mixed", "--run-dir", str(folder)]
    with pytest.raises(SystemExit) as ended:
        main([*call, "--json", str(tmp_path / "card.json")])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert "4 trainings, 4 of them done before" in said.out
    again = cards.read(folder)
    assert again.tasks == made.tasks == cards.read(tmp_path / "card.json").tasks and again.seeds == [0, 1]
    page = (folder / "card.html").read_text()
    assert "discrete-board" in page and f"{sum(done.accuracy) / 2:.2%}" in page


def test_rules_are_tried_on_samples_set_apart_with_a_seed_that_the_card_does_not_use(quick, tmp_path):
    asked = []

    def work(each):
        asked.extend(each)
        return in_process(each) if "update" in each[0].point.values else {task.folder: [] for task in each}

    setting = Setting("emulator:discrete-board?seed=5", tmp_path / "bench", tmp_path)
    known = {"rewrite": rules.REWRITE, "pulsed": rules.BOTH_WAYS["pulsed"]}
    made = making.made(tasks.met(setting.address), setting, {"xor": quick}, {}, [0], known, work)
    trials = [task for task in asked if "update" in task.point.values]
    assert set(made.tried) == set(known) and made.tried_on == "xor" and made.update == known[rules.best(made.tried)]
    assert {task.point.values["run.seed"] for task in trials} == {rules.TRIAL_SEED}
    for task in trials:
        config = (task.folder / "run" / "config.toml").read_text()
        assert "validation = 0.2" in config and "seed=5" in config


def test_a_specimen_that_the_address_names_is_the_same_for_every_seed(tmp_path):
    named, any_one = (Setting(f"emulator:pcm{more}", tmp_path, tmp_path) for more in ("?seed=3", ""))
    assert [list(s.pair("xor-cells", rules.REWRITE, 1)[0].point.values)[-1] for s in (named, any_one)] == [
        "run.seed",
        "seed",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--tasks", "xro"], "did you mean xor"),
        (["--seeds", "0,one"], "whole numbers"),
        (["--seeds", "1,1"], "each once"),
        (["--rule", "mixed"], "--rule mixed: this device's cells follow rewrite"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_sentence(more, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "emulator:ideal", "--run-dir", str(tmp_path / "b"), *more])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err and not (tmp_path / "b").exists()


def compare(tmp_path, *paths):
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, paths), "-o", str(tmp_path / "beside.html")])
    return ended.value.code


def test_cards_stand_beside_each_other_one_from_a_paper_with_little_in_it(tmp_path, capsys):
    (tmp_path / "paper.json").write_text(
        json.dumps(MINIMAL | {"tasks": [{"task": "iris", "accuracy": [0.9, 0.96]}, {"task": "new", "accuracy": [0.5]}]})
    )
    whole = {"task": "iris", "accuracy": [0.95], "frozen": [0.3], "cosine": [0.9], "pulses_a_sample": 12.5,
             "joules_a_sample": 2e-9, "settle_s": 1e-6, "most_pulses": 100, "endurance": 1e6}  # fmt: skip
    other = {"format": cards.FORMAT, "device": {"model": "<b>"}, "tasks": [whole], "left_out": {"wine": "too wide"}}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "card.json").write_text(json.dumps(other))
    assert compare(tmp_path, tmp_path / "paper.json", tmp_path / "b") == 0, capsys.readouterr().err
    page = (tmp_path / "beside.html").read_text()
    for text in ("93.00% +- 4.24", "95.00%", "30.00%", "12.5", "2 nJ", "1 us", "100, 0.0001 of its life", "too wide"):
        assert text in page
    assert "&lt;b&gt;" in page and "<b>" not in page


def test_a_card_and_a_training_are_not_compared(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps(MINIMAL))
    (tmp_path / "run").mkdir()
    assert compare(tmp_path, tmp_path / "a.json", tmp_path / "run") == 2
    assert "compare cards with cards" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"format": "another"}, "format"),
        (MINIMAL | {"tasks": [{"task": "iris", "accuracy": [95]}]}, "accuracy"),
        (MINIMAL | {"seeds": [-1]}, "seeds"),
    ],
)
def test_what_is_no_card_is_refused_with_its_file_and_key(document, named, tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DocumentError, match=re.escape(str(path))) as refused:
        cards.read(path)
    assert named in str(refused.value)
    with pytest.raises(RunError, match="there is no card"):
        cards.read(tmp_path / "none.json")


def test_what_a_crossbar_holds_is_read_back_as_weights_and_biases():
    couplings = (Conv(pre=0, post=1, bias=True), Dense(pre=1, post=2, bias=True), Dense(pre=2, post=3, bias=False))
    topology = Topology(layers=tuple(Layer(shape=s) for s in ((2, 4, 4), (3, 4, 4), (5,), (2,))), couplings=couplings)
    for number, coupling in enumerate(couplings):
        wanted = {f"weight_{number}": torch.randn(topology.weight_shape(coupling), dtype=torch.float64)}
        if coupling.bias:
            wanted[f"bias_{number}"] = torch.randn(topology.cells(coupling)[1], dtype=torch.float64)
        held = crossbar_matrix(topology, coupling, wanted, number)
        found = parameters_of(topology, coupling, held, number)
        assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_gradients_of_cells_that_pulses_move_are_judged_by_what_the_cells_hold(quick, tmp_path, monkeypatch):
    fine = {"chip.pulses.law": "constant", "chip.pulses.step": 1e-5, "chip.pulses.amplitude_v": 1.0}
    values = {"experiment": quick, **fine, "chip.pulses.width_s": 1e-6, "update": rules.BOTH_WAYS["pulsed"]}
    small = ("estimator.largest=0.01",)
    task = point.Task(quick, small, "emulator:ideal", Point(values), tmp_path / "p", tmp_path, 1)
    (row,) = point.run(task)
    assert row.note == "" and row.cosine > 0.99
    assert gradient_cosine(tmp_path / "p" / "run", tmp_path) == pytest.approx(row.cosine, abs=1e-3)
    monkeypatch.setattr(comparison, "cosine", lambda *given: math.nan)  # as of gradients that are zero
    assert gradient_cosine(tmp_path / "p" / "run", tmp_path) is None

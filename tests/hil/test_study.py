"""Studies: the grid, the chips they write, resuming, the table and the picture."""

import json
import tomllib

import pytest
import torch

from firmware_specs.datasheet import load
from hil.cli import main
from hil.counterparts.opening.bench import open_bench
from hil.learning.model import build, energy_blocks
from hil.report import study as picture
from hil.report.study import write_picture
from hil.training.run import checkpoint, folder, marked
from hil.training.run.folder import RunError
from hil.training.study import grid as study
from hil.training.study import point as study_point
from hil.training.study.grid import Axis, Point, Row, StudyError, over_seeds
from hil.training.study.pairs import pairs
from hil.training.study.table import write_table
from hil.training.update import CellUpdates

SMALL = ("data.train_samples=96", "data.test_samples=50", "run.epochs=1")


def task(tmp_path, point, device="emulator:mixed-8bit", overrides=SMALL):
    return study_point.Task("digits", overrides, device, point, tmp_path / point.name, tmp_path, 1)


def test_axes_are_lists_of_numbers_names_and_switches():
    assert study.parse_axis("adc_bits=4,6") == Axis("adc_bits", (4, 6))
    assert study.parse_axis("device=emulator:pcm,reference:").values == ("emulator:pcm", "reference:")
    assert study.parse_axis("auto_range=true,false").values == (True, False)
    assert study.parse_axis("read_noise=0.0,1e-2").values == (0.0, 0.01)


@pytest.mark.parametrize(
    "text",
    ["adc_bits", "=1,2", "adc_bits=4,,6", "adc_bits=4,4", "drift_s=-1", "drift_s=soon", "drift_s=nan", "drift_s=inf"],
)
def test_axes_of_another_form_are_refused(text):
    with pytest.raises(StudyError, match="--sweep"):
        study.parse_axis(text)


def test_the_grid_has_every_combination_and_waits_share_a_training():
    axes = [Axis("adc_bits", (4, 8)), Axis("drift_s", (100.0, 0.0)), Axis("seed", (1, 2))]
    grid = study.points(axes)
    assert [p.values for p in grid] == [{"adc_bits": a, "seed": s} for a in (4, 8) for s in (1, 2)]
    assert {p.waits_s for p in grid} == {(0.0, 100.0)}
    assert len({p.name for p in grid}) == 4
    with pytest.raises(StudyError, match="twice"):
        study.points([Axis("seed", (1,)), Axis("seed", (2,))])


def test_a_point_writes_the_chip_it_asks_for(tmp_path):
    point = Point({"adc_bits": 5, "read_noise": 0.02, "chip.cells.bits": 6, "seed": 3, "optimizer.lr": 0.01})
    experiment = study_point._experiment(task(_made(tmp_path, point), point))
    chip = tomllib.loads((tmp_path / point.name / "chip.toml").read_text())
    assert (chip["state_adc"]["bits"], chip["output_adc"]["bits"], chip["cells"]["bits"]) == (5, 5, 6)
    assert chip["read_noise"] == {"law": "relative", "sigma": 0.02}
    assert experiment.device == f"emulator:{tmp_path / point.name / 'chip.toml'}?seed=3"
    assert (experiment.run.seed, experiment.optimizer.lr) == (3, 0.01)


def _made(tmp_path, point):
    (tmp_path / point.name).mkdir()
    return tmp_path


def test_no_read_noise_is_a_value_of_the_axis(tmp_path):
    point = Point({"read_noise": 0.0})
    study_point._experiment(task(_made(tmp_path, point), point))
    assert tomllib.loads((tmp_path / point.name / "chip.toml").read_text())["read_noise"] == {"law": "none"}


def test_a_noise_axis_takes_the_place_of_another_law(tmp_path):
    point = Point({"device": "emulator:pcm", "read_noise": 0.02, "programming_noise": 0.01})
    study_point._experiment(task(_made(tmp_path, point), point))
    chip = load(str(tmp_path / point.name / "chip.toml"))
    assert (chip.read_noise.law, chip.read_noise.sigma) == ("relative", 0.02)
    assert (chip.cells.programming_noise, chip.programming.sigma_coefficients_s) == (0.01, ())


def test_a_grid_of_three_axes_is_drawn_in_panels(tmp_path, monkeypatch):
    drawn, draw = [], picture._draw

    def drawing(plot, along, lines, rows):
        drawn.append((along.key, lines, len(rows)))
        draw(plot, along, lines, rows)

    monkeypatch.setattr(picture, "_draw", drawing)
    axes = [Axis("adc_bits", (4, 6, 8)), Axis("read_noise", (0.0, 0.1)), Axis("drift_s", (0.0, 10.0))]
    rows = [row for point in study.points(axes) for row in point.rows([0.5, 0.4])]
    picture.write_picture(tmp_path / "study.png", "three", axes, rows)
    assert drawn == [("adc_bits", ["read_noise"], 6)] * 2
    assert (tmp_path / "study.png").stat().st_size > 0


def test_chip_keys_need_an_emulated_chip(tmp_path):
    rows = study_point.run(task(tmp_path, Point({"adc_bits": 5}), "reference:"))
    assert rows[0].accuracy is None
    assert "keys of an emulated chip" in rows[0].note


@pytest.mark.parametrize(
    ("axis", "why"),
    [
        ("optimizer.lrr=0.1,0.2", "optimizer.lrr: unknown key"),
        ("seed=x,y", "run.seed"),
        ("rule=backprop,ep", "'backprop' is not an estimator"),
        ("experiment=digits,digit", "did you mean digits"),
        ("device=emulator:mixed-8bit,emulator:mixed8bit", "did you mean mixed-8bit"),
        ("chip.cells.bitz=4,6", "cells.bitz: unknown key"),
        ("chip.cellz.bits=4,6", "cellz: unknown key"),
        ("chip.cells=4,6", "expected chip.SECTION.KEY"),
        ("drift_s=0,10", "only an emulated chip"),
    ],
)
def test_a_grid_that_names_what_is_not_there_is_refused_before_its_first_training(axis, why, tmp_path, capsys):
    device = "reference:" if axis.startswith("drift_s") else "emulator:mixed-8bit"
    call = ["study", "digits", "--device", device, "--sweep", axis, "--run-dir", str(tmp_path / "study")]
    with pytest.raises(SystemExit) as ended:
        main(call)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_refused_datasheet_is_a_row_that_says_so(tmp_path):
    rows = study_point.run(task(tmp_path, Point({"chip.cells.g_max_s": 0.0}, (0.0, 10.0))))
    assert [row.accuracy for row in rows] == [None, None]
    assert "chip.toml: cells.g_max_s" in rows[0].note


def test_a_point_trains_waits_and_tests_and_its_training_is_not_repeated(tmp_path):
    point = Point({"device": "emulator:ecram"}, (0.0, 1e6))
    first = study_point.run(task(tmp_path, point))
    fresh, drifted = (row.accuracy for row in first)
    assert fresh > 0.15
    assert drifted < fresh  # ten time constants of the leak: nothing is left of the weights
    assert [row.values["drift_s"] for row in first] == [0.0, 1e6]
    summary = tmp_path / point.name / "run" / "summary.json"
    before = summary.stat().st_mtime_ns, json.loads(summary.read_text())["weights"]
    (tmp_path / point.name / "point.json").unlink()
    again = study_point.run(task(tmp_path, point))
    assert [row.accuracy for row in again] == [fresh, drifted]
    assert json.loads(summary.read_text())["weights"] == before[1]


def test_the_command_goes_on_where_it_was_and_leaves_a_table_and_a_picture(tmp_path, capsys):
    folder = tmp_path / "study"
    done = Point({"adc_bits": 4})
    arguments = ["study", "digits", "--device", "emulator:mixed-8bit", "--sweep", "adc_bits=4,8", "--jobs", "1"]
    arguments += ["--run-dir", str(folder), "--json", str(tmp_path / "table.json")]
    for override in SMALL:
        arguments += ["--set", override]
    (folder / "points" / done.name).mkdir(parents=True)
    (folder / "points" / done.name / "point.json").write_text(json.dumps([vars(Row(done.values, 0.5, 1.0))]))
    document = {"experiment": "digits", "device": "emulator:mixed-8bit", "set": list(SMALL), "sweep": ["adc_bits=4,8"]}
    (folder / "study.json").write_text(json.dumps(document))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "2 trainings, 1 of them done before" in said
    rows = json.loads((tmp_path / "table.json").read_text())
    assert [row["values"]["adc_bits"] for row in rows] == [4, 8]
    assert rows[0]["accuracy"] == 0.5
    assert 0 < rows[1]["accuracy"] <= 1
    assert (folder / "table.md").read_text().startswith("| adc_bits | test accuracy |")
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")


def begin(path, document, **more):
    with study.opened(path, document, **({"overwrite": False} | more)):
        return sorted(p.name for p in path.rglob("*") if p.is_file() and p.name not in (".crossbar-hil", ".lock"))


def test_another_study_in_the_folder_is_refused(tmp_path):
    begin(tmp_path / "a", {"sweep": ["x=1"]})
    begin(tmp_path / "a", {"sweep": ["x=1"]})
    with pytest.raises(StudyError, match="other settings"):
        begin(tmp_path / "a", {"sweep": ["x=2"]})
    begin(tmp_path / "a", {"sweep": ["x=2"]}, overwrite=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").touch()
    (tmp_path / "b" / "study.json").write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(StudyError, match="not a study's folder"):
            begin(tmp_path / "b", {"sweep": []}, overwrite=overwrite)
    with study.opened(tmp_path / "c", {}, overwrite=False), pytest.raises(RunError, match="is being written by"):
        begin(tmp_path / "c", {})


def test_a_study_that_replaces_another_trains_its_points_anew_and_leaves_other_files(tmp_path):
    begin(tmp_path / "a", {"sweep": ["x=1"]})
    point = tmp_path / "a" / "points" / "x=1"
    (point / "run" / "checkpoints").mkdir(parents=True)
    marked.mark(point / "run", folder.RUN)
    for name in ("run/config.toml", "run/checkpoints/step_000000009.json", "point.json", "log.txt", "notes.txt"):
        (point / name).write_text("{}")
    assert begin(tmp_path / "a", {"sweep": ["x=1"], "set": ["run.epochs=9"]}, overwrite=True) == [
        "notes.txt",
        "study.json",
    ]


@pytest.mark.parametrize(
    "text", ["", "[3]", "[{}]", '[{"values": 3, "accuracy": 1}]', '[{"values": {"x": []}, "accuracy": 1}]']
)
def test_a_point_that_does_not_read_back_is_trained_again(text, tmp_path):
    (tmp_path / "point.json").write_text(text)
    assert study.rows_in(tmp_path) is None


def test_a_point_may_name_another_experiment_and_another_rule(tmp_path):
    split = tmp_path / "split.toml"
    split.write_text('base = "digits"\n[run]\nbatch = 16\n')
    values = {"experiment": str(split), "rule": "implicit", "seed": 3}
    loaded = study_point._experiment(task(tmp_path, Point(values), device="reference:"))
    assert loaded.run.batch == 16
    assert loaded.run.seed == 3
    assert loaded.estimator.kind == "implicit"
    as_it_is = study_point._experiment(task(tmp_path, Point({"rule": "ep"}), device="reference:"))
    assert as_it_is.estimator.kind == "centered"


def test_seeds_are_gathered_into_means_and_deviations(tmp_path):
    axes = [study.parse_axis(text) for text in ("experiment=a,b", "rule=ep,implicit", "seed=0,1,2")]
    rows = [
        Row(
            point.values,
            None if point.values == {"experiment": "b", "rule": "ep", "seed": 2} else 0.5 + 0.1 * index,
            2.0 + index,
        )
        for index, point in enumerate(study.points(axes)[:6])
    ]
    rows += [
        Row({"experiment": "b", "rule": "ep", "seed": 0}, 0.5),
        Row({"experiment": "b", "rule": "ep", "seed": 1}, None),
    ]
    first, second, third = over_seeds(rows)
    assert (first.values, first.mean, first.mean_s) == ({"experiment": "a", "rule": "ep"}, pytest.approx(0.6), 3.0)
    assert first.deviation == second.deviation == pytest.approx(0.1)
    assert (first.deviation_s, second.mean_s) == (1.0, 6.0)
    assert (third.accuracies, third.deviation, third.seconds, third.mean_s) == ((0.5,), 0.0, (), None)
    write_table(tmp_path, axes, rows)
    assert "| a | implicit | 3 | 90.00% | 10.00% | 6 s | 1.0 s |" in (tmp_path / "table.md").read_text()
    assert "| a | ep less implicit | 3 | -30.00 | 0.00 |" in (tmp_path / "table.md").read_text()
    write_picture(tmp_path / "study.png", "splits", axes, rows)
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


def test_rules_are_compared_seed_by_seed_where_both_finished():
    accuracies = {("ep", 0): 0.31, ("ep", 1): 0.33, ("ep", 2): None, ("implicit", 0): 0.30, ("implicit", 2): 0.4}
    accuracies["implicit", 1] = 0.30
    rows = [Row({"rule": rule, "seed": seed}, accuracy) for (rule, seed), accuracy in accuracies.items()]
    (pair,) = pairs(rows)
    assert pair.rules == ("ep", "implicit")
    assert pair.differences == pytest.approx((0.01, 0.03))
    assert (pair.mean, pair.error) == (pytest.approx(0.02), pytest.approx(0.01))
    assert pairs([Row({"rule": "ep"}, 0.5)]) == []


def test_a_study_says_how_good_its_gradients_are_and_what_the_host_learns_alone(tmp_path):
    device, exact, found = "emulator:mixed-8bit", {}, {}
    for rule in ("ep", "frozen"):
        (found[rule],) = study_point.run(task(tmp_path / rule, Point({"rule": rule, "adc_bits": 1}), device))
        tensors = checkpoint.newest(found_run(tmp_path / rule) / "checkpoints").tensors
        exact[rule] = {k: v for k, v in tensors.items() if ".energy." in k and k.startswith("model.")}
    assert 0.2 < found["ep"].cosine < 0.97
    assert found["frozen"].cosine is None and found["frozen"].accuracy is not None
    (fine,) = study_point.run(task(tmp_path / "fine", Point({"rule": "ep"}), "reference:"))
    assert fine.cosine > 0.99
    start = {k: v for k, v in exact["frozen"].items() if "weight" in k}
    assert start and all(not torch.equal(v, exact["ep"][k]) for k, v in start.items())
    write_table(tmp_path, [Axis("rule", ("ep", "frozen"))], list(found.values()))
    assert "gradient cosine" in (tmp_path / "table.md").read_text()


def found_run(folder):
    (run,) = folder.glob("*/run")
    return run


def test_a_frozen_array_keeps_its_first_weights_and_is_asked_for_by_name_in_an_experiment(tmp_path):
    loaded = study_point._experiment(task(tmp_path, Point({"rule": "frozen"}), device="reference:"))
    assert loaded.update.kind == "frozen"
    with open_bench("reference:") as bench:
        model = build(loaded, bench, (1, 8, 8), 10)
        cells = {id(p) for block in energy_blocks(model).values() for p in block.parameters()}
        host = CellUpdates(model, loaded.update, 0).host_parameters
        assert host and not cells & {id(p) for p in host}
        assert len(host) + len(cells) == len(list(model.parameters()))

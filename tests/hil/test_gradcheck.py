import json

import pytest
import torch
import typer

from hil import data
from hil.commands import gradcheck as command
from hil.counterparts.reference import ReferenceBench
from hil.data import DataError
from hil.experiments import experiment_file
from hil.learning.estimator import Estimator
from hil.learning.gradients import gradcheck


@pytest.fixture
def unseen(monkeypatch):
    """The picture and what is computed for it alone, most of what a check costs, are looked at in other tests."""
    monkeypatch.setattr("hil.report.gradcheck.write_picture", lambda *_: None)
    monkeypatch.setattr(gradcheck, "curves", lambda *_: None)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("name", ["digits-three-dense", "digits-three-conv"])
def test_measured_gradients_are_the_exact_ones_for_every_parameter_through_three_blocks(name, tmp_path):
    out = tmp_path / "check.json"
    command.command(name, json=out, picture=tmp_path / "p.svg", min_cosine=0.9999, max_norm_error=0.01)
    document = json.loads(out.read_text())
    blocks = {parameter.split(".")[0] for parameter in document["parameters"]}
    assert blocks == {"block_1", "block_2", "block_3", "readout"}
    kinds = {parameter.split(".")[1] for parameter in document["parameters"]}
    assert kinds >= {"feedforward", "energy"}
    assert document["min_cosine"] == min(p["cosine"] for p in document["parameters"].values()) >= 0.9999
    assert document["max_norm_error"] == max(abs(p["norm_ratio"] - 1) for p in document["parameters"].values()) <= 0.01
    assert document["settled"] == 1.0


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("setting", ["estimator.jumps='one_sided'", "estimator.points=4"])
def test_an_estimate_of_more_than_two_phases_is_checked_like_any_other(setting, tmp_path):
    command.command(
        "digits-three-conv", samples=8, set_=[setting], json=tmp_path / "check.json", picture=tmp_path / "p.svg",
        min_cosine=0.9999, max_norm_error=0.01,
    )  # fmt: skip


def test_a_check_leaves_a_picture_of_every_block(tmp_path):
    picture = tmp_path / "check.png"
    command.command("digits-three-dense", samples=2, json=tmp_path / "check.json", picture=picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["digits-three-dense", "digits-three-conv"])
def test_truncated_to_any_number_of_sweeps_propagation_is_back_propagation_through_the_last_sweeps(name):
    experiment = experiment_file.load(name)
    given = gradcheck.samples(experiment, None, 8)
    curves = gradcheck.curves(experiment, Estimator(beta=1e-5), given, [2, 3, 5, 9])
    for measured, unrolled in zip(curves.propagation, curves.unrolled, strict=True):
        for parameter in unrolled:
            agreement = gradcheck.agreement(measured[parameter], unrolled[parameter])
            assert agreement.cosine == pytest.approx(1, abs=1e-8)
            assert agreement.norm_ratio == pytest.approx(1, abs=1e-5)


@pytest.mark.usefixtures("unseen")
def test_a_gradient_that_is_too_far_off_fails_when_asked(tmp_path):
    out = tmp_path / "check.json"
    with pytest.raises(typer.Exit) as stopped:
        command.command(
            "digits", "emulator:mixed-8bit?seed=1", samples=16, json=out, picture=tmp_path / "p.svg", min_cosine=0.99999
        )
    assert stopped.value.exit_code == 1
    document = json.loads(out.read_text())
    assert 0.5 < document["min_cosine"] < 0.99999
    assert document["device"] == "emulator:mixed-8bit?seed=1"


def test_the_ideal_chip_gives_the_exact_gradient():
    experiment = experiment_file.load("digits")
    from hil.counterparts.opening.bench import open_bench

    with open_bench("emulator:ideal", dtype=torch.float64) as bench:
        result = gradcheck.check(experiment, bench, Estimator(beta=0.05), gradcheck.samples(experiment, None, 16))
    assert result.min_cosine > 0.999
    assert result.max_norm_error < 0.02


@pytest.mark.usefixtures("unseen")
def test_samples_at_a_kink_are_left_out_counted_and_kept_on_request(tmp_path):
    figures = {}
    for every in (False, True):
        out = tmp_path / f"{every}.json"
        command.command(
            "digits-three-dense", beta=0.01, json=out, picture=tmp_path / "p.svg", every_sample=every, samples=32
        )
        figures[every] = json.loads(out.read_text())
    assert 0 < figures[False]["left_out"] < 16
    assert figures[True]["left_out"] == 0
    assert figures[False]["max_norm_error"] < 1e-6 < figures[True]["max_norm_error"]


def test_absent_data_is_replaced_by_random_images_and_said_so(tmp_path):
    given = gradcheck.samples(experiment_file.load("mnist-conv"), tmp_path, 4)
    assert given.images.shape == (4, 1, 28, 28)
    assert given.note.startswith("4 random images: train-images-idx3-ubyte[.gz] is missing")


def test_an_unknown_data_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="'nist' is not a data set"):
        gradcheck.samples(experiment_file.load("digits", ["data.name=nist"]), tmp_path, 4)


def test_the_form_of_a_data_set_is_known_without_its_files():
    assert all(data.source(name) for name in data.FORMS)
    digits = data.source("digits")(None)
    assert data.FORMS["digits"] == (digits.shape, digits.classes)


def test_agreement_of_vanishing_gradients():
    zero, one = torch.zeros(3), torch.ones(3)
    assert gradcheck.agreement(zero, zero) == gradcheck.Agreement(1.0, 1.0)
    assert gradcheck.agreement(one, zero) == gradcheck.Agreement(0.0, 0.0)
    assert gradcheck.agreement(zero, one) == gradcheck.Agreement(0.0, 0.0)
    assert gradcheck.agreement(-2 * one, one).cosine == pytest.approx(-1)
    assert gradcheck.agreement(-2 * one, one).norm_ratio == pytest.approx(2)


def test_a_gradient_that_is_rounding_alone_is_zero():
    rounding, whole = torch.full((3,), 1e-15), torch.ones(3)
    assert gradcheck.agreement(-rounding, rounding, 1e-9) == gradcheck.Agreement(1.0, 1.0)
    assert gradcheck.agreement(whole, rounding, 1e-9) == gradcheck.Agreement(0.0, 0.0)


@pytest.mark.usefixtures("unseen")
def test_random_images_through_batch_norm_show_no_false_alarm(tmp_path):
    out = tmp_path / "check.json"
    command.command("mnist-dense", data_root=tmp_path, samples=32, json=out, picture=tmp_path / "p.svg")
    document = json.loads(out.read_text())
    assert document["data"].startswith("32 random images")
    assert document["min_cosine"] > 0.9999
    assert document["max_norm_error"] < 0.01


@pytest.mark.parametrize("kind", ["implicit", "unrolled"])
def test_an_experiment_can_train_with_a_baseline(kind):
    experiment = experiment_file.load("digits", [f"estimator.kind={kind}"])
    assert experiment.estimator.kind == kind


def test_an_unknown_kind_of_estimator_is_refused_with_the_known_ones():
    with pytest.raises(
        experiment_file.ExperimentError,
        match=r"estimator.kind: 'adjoint' is not an estimator; known: centered, .*implicit",
    ):
        experiment_file.load("digits", ["estimator.kind=adjoint"])


@pytest.mark.parametrize("name", ["dchn-digits", "residual-digits"])
def test_shipped_hopfield_nets_of_other_papers_learn_the_exact_gradient(name, tmp_path):
    experiment = experiment_file.load(name)
    given = gradcheck.samples(experiment, tmp_path, 4)
    with ReferenceBench(gradcheck.EXACT) as bench:
        result = gradcheck.check(experiment, bench, Estimator(beta=1e-5), given)
    assert len(result.parameters) == {"dchn-digits": 8, "residual-digits": 13}[name]
    assert result.left_out < 4
    assert result.min_cosine > 1 - 1e-6
    assert result.max_norm_error < 1e-4

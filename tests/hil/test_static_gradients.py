import json

import pytest
import torch

from hil.cli import main
from hil.experiments.experiment_file import dump
from hil.experiments.schema import Experiment

EXPERIMENT = {
    "data": {"name": "digits"},
    "slope": 0.5,
    "blocks": [
        {
            "feedforward": [{"kind": "conv", "channels": 3, "bias": False}, {"kind": "batch_norm"}],
            "energy": {"couplings": [{"kind": "conv", "channels": 4}]},
        },
        {
            "feedforward": [{"kind": "conv", "channels": 4}, {"kind": "max_pool"}],
            "energy": {"couplings": [{"kind": "dense", "units": 6}]},
        },
    ],
    "estimator": {"beta": 1e-4, "nudge": "reevaluated"},
    "settle": {"max_iterations": 500, "tolerance": 1e-12},
    "run": {"batch": 4, "dtype": "float64"},
}


@pytest.fixture
def analysed(tmp_path):
    (tmp_path / "small.toml").write_text(dump(Experiment.model_validate(EXPERIMENT)))

    def run(*more):
        with pytest.raises(SystemExit) as done:
            main(["gradients", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out"), *more])
        assert done.value.code == 0
        return json.loads((tmp_path / "out" / "gradients.json").read_text())

    return run, tmp_path


def test_equilibrium_propagation_agrees_with_implicit_differentiation_in_every_parameter(analysed):
    run, folder = analysed
    found = run("--sweeps", "2,30")
    assert len(found["at_rest"]) == 9
    assert all(row["cosine"] > 0.9995 and abs(row["ratio"] - 1) < 0.01 for row in found["at_rest"])
    assert all(row["cosine"] > 0.999 for row in found["sweeps"]["30"])
    page = (folder / "out" / "gradients.html").read_text()
    assert page.count("<svg") == 2
    assert "smallest cosine" in page


def test_the_analysis_sees_a_wrong_gradient(analysed):
    run, _ = analysed
    coarse = run("--set", "estimator.beta=20.0")
    assert min(row["cosine"] for row in coarse["at_rest"]) < 0.99
    assert torch.get_default_dtype() == torch.float32


def test_shipped_digits_are_compared_in_their_own_float32(tmp_path):
    with pytest.raises(SystemExit) as done:
        main(["gradients", "digits", "--out", str(tmp_path)])
    assert done.value.code == 0
    rows = json.loads((tmp_path / "gradients.json").read_text())["at_rest"]
    assert min(row["cosine"] for row in rows) > 0.999

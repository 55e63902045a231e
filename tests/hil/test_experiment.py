import pytest

from hil.experiments import shipped
from hil.experiments.experiment_file import ExperimentError, differences, dump, load
from hil.experiments.parts import ConvPart
from hil.experiments.sections import GoeInit

SMALL = """
[data]
name = "digits"
[[blocks]]
feedforward = [{ kind = "flatten" }, { kind = "linear", units = 8 }]
energy = { couplings = [{ kind = "dense", units = 4 }] }
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("name", shipped())
def test_shipped_experiments_are_accepted_and_survive_being_written_out(name, tmp_path):
    experiment = load(name)
    path = tmp_path / "config.toml"
    path.write_text(dump(experiment))
    assert load(path) == experiment


def test_overrides_reach_tables_lists_and_missing_sections(file):
    experiment = load(
        file,
        [
            "optimizer.lr=0.5",
            "blocks.0.energy.slope=0.25",
            "device=emulator:ideal?seed=3",
            "estimator.auto_range=false",
            'blocks.0.energy.couplings=[{kind="conv", channels=2, pool=true}]',
            'init={kind="goe", variance=1e-4}',
        ],
    )
    assert experiment.optimizer.lr == 0.5
    assert experiment.blocks[0].energy.slope == 0.25
    assert experiment.device == "emulator:ideal?seed=3"
    assert experiment.estimator.auto_range is False
    assert experiment.blocks[0].energy.couplings == (ConvPart(kind="conv", channels=2, pool=True),)
    assert experiment.init == GoeInit(kind="goe", variance=1e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL + "[run]\nepoch = 3\n", "small.toml: run.epoch: unknown key"),
        (SMALL + "[run]\nepochs = 0\n", "small.toml: run.epochs: Input should be greater than 0, got 0"),
        (SMALL + "[estimator]\nbeta = -0.1\n", "beta must be positive"),
        (SMALL + "[estimator]\nbetta = 0.1\n", "estimator.betta"),
        (
            SMALL + '[optimizer]\nkind = "rmsprop"\n',
            "kind: 'rmsprop' is not an optimizer; known: adam",
        ),
        (SMALL + "[optimizer]\nlr = nan\n", "optimizer.lr: Input should be"),
        (SMALL + '[schedule]\nkind = "cosine"\nlr_min = 1.0\n', "schedule.lr_min must not be above optimizer.lr"),
        (SMALL.replace('"linear"', '"lineal"'), "lineal"),
        ('[data]\nname = "digits"\n', "blocks: missing"),
        ("[data\n", "not TOML"),
    ],
)
def test_a_bad_experiment_is_refused_with_file_key_and_expectation(file, text, expected):
    file.write_text(text)
    with pytest.raises(ExperimentError) as caught:
        load(file)
    assert expected in str(caught.value)
    assert "small.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr", "expected key=value"),
        ("blocks.3.energy.slope=1", "expected an index 0 .. 0, got '3'"),
        ("data.name.first=1", "'digits' is a value and has no key 'first'"),
        ("optimizer.speed=1", "optimizer.speed: unknown key; known: kind, lr, max_norm, momentum, weight_decay"),
        ("epochs=1", "epochs: unknown key; did you mean run.epochs?"),
        ("estimator.betta=1", "estimator.betta: unknown key; did you mean beta?"),
        ("blocks.0.energy.couplings.0.unit=4", "couplings.0.unit: unknown key; did you mean units?"),
        ("blocks.0.feedforward.0.kind=lineal", "feedforward.0.kind: 'lineal' is not a layer; did you mean linear?"),
    ],
)
def test_a_bad_override_is_refused_and_named(file, override, expected):
    with pytest.raises(ExperimentError) as caught:
        load(file, [override])
    assert expected in str(caught.value)
    assert f"--set {override}" in str(caught.value)


def test_an_unknown_experiment_names_the_shipped_ones():
    with pytest.raises(ExperimentError, match=r"nothing: neither a shipped experiment nor .*; shipped: .*digits"):
        load("nothing")
    with pytest.raises(ExperimentError, match=r"digit: .*; did you mean digits or "):
        load("digit")


def test_only_overrides_that_a_problem_concerns_are_named(file):
    with pytest.raises(ExperimentError) as caught:
        load(file, ["run.epochs=2", "run.batch=none"])
    assert str(caught.value).startswith(f"{file} with --set run.batch=none: run.batch: ")


def test_what_a_bad_part_leaves_missing_is_not_said_again(file):
    with pytest.raises(ExperimentError) as caught:
        load(file, ["blocks.0.energy.slope=-1"])
    assert str(caught.value).endswith("blocks.0.energy.slope: Input should be greater than 0, got -1")


def test_differences_name_every_changed_key(file):
    assert differences(load(file), load(file, ["run.seed=1", "estimator.beta=0.2"])) == [
        "estimator.beta: 0.1 -> 0.2",
        "run.seed: 0 -> 1",
    ]

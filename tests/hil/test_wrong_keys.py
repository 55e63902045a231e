"""A key that an experiment does not have is refused before torch is loaded, in the words of the models."""

import copy

import pytest
from pydantic import ValidationError

from firmware_specs.refusals import explain
from firmware_specs.registry import names
from hil.experiments import experiment_file, shipped
from hil.experiments.schema import Experiment
from hil.experiments.sections import Data, Early, Run, Settling, UniformInit, wrong_values
from hil.experiments.wrong_keys import wrong_keys

WRONG = ("nothing", "lrr", "units", "epochs", "toleranc", "device_", "Kind")
DENSE = {"kind": "dense", "units": 4}
LAYERS = {
    "conv": {"channels": 4},
    "linear": {"units": 4},
}


def refused(document):
    try:
        Experiment.model_validate(document)
    except ValidationError as error:
        return explain(error, document, Experiment)
    return []


def tables(node, path=()):
    """Places of all tables in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [*([path] if isinstance(node, dict) else []), *(p for key, at in items for p in tables(at, (*path, key)))]


def changed(document, path, change):
    copied = copy.deepcopy(document)
    at = copied
    for part in path:
        at = at[part]
    change(at)
    return copied


def everything():
    """Documents in which every shipped kind of every section stands, with no other settings than it needs."""
    rest = {"data": {"name": "digits"}, "run": {}, "settle": {}, "optimizer": {}, "schedule": {}}
    energy = {"couplings": [DENSE, {"kind": "conv", "channels": 2}], "skips": [{"pre": 0, "post": 2}]}
    block = {"feedforward": [{"kind": kind, **LAYERS.get(kind, {})} for kind in names("layers")], "energy": energy}
    yield rest | {"blocks": [block, {"energy": {"kind": "predictive_coding", "units": [4]}, "losses": [{"layer": 0}]}]}
    block = {"energy": {"couplings": [DENSE]}}
    for section, kinds in (
        ("estimator", names("estimators")),
        ("update", names("updates")),
        ("baseline", ("implicit", "unrolled")),
        ("init", ("uniform", "goe")),
    ):
        for kind in kinds:
            yield rest | {"blocks": [block], section: {"kind": kind}}
    yield rest | {"blocks": [block], "estimator": {}, "update": {}, "baseline": {}, "init": {}}


DOCUMENTS = [
    *everything(),
    *(experiment_file._document(name, ())[0] for name in ("dchn-digits", "mnist-resistive", "digits-three-conv")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_a_wrong_key_is_told_in_the_words_of_the_models(document):
    assert not wrong_keys(document) or wrong_keys(document) == refused(document)
    told = 0
    before = refused(document)
    for path in tables(document):
        for key in WRONG:
            wrong = changed(document, path, lambda table, key=key: table.setdefault(key, 1))
            found = wrong_keys(wrong)
            if found != wrong_keys(document):
                told += 1
                assert [line for line in refused(wrong) if line not in before] == [
                    line for line in found if line not in before
                ]
    assert told >= len(WRONG) - 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_a_key_that_is_missing_is_told_in_the_words_of_the_models(document):
    told = set()
    for path in tables(document):
        at = document
        for part in path:
            at = at[part]
        for key in at:
            shorter = changed(document, path, lambda table, key=key: table.pop(key))
            assert set(wrong_keys(shorter)) <= set(refused(shorter))
            told |= set(wrong_keys(shorter))
    assert {"data: missing", "blocks: missing", "data.name: missing"} <= told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"init": {"gain": 0.3}}, "init.kind: missing; known: goe, uniform"),
        ({"baseline": {"max_iterations": 3}}, "baseline.kind: missing; known: implicit, unrolled"),
        (
            {"blocks": [{"energy": {"couplings": [{"units": 4}]}}]},
            "blocks.0.energy.couplings.0.kind: missing; known: conv, dense",
        ),
    ],
)
def test_a_table_without_its_kind_is_answered_with_the_kinds_there_are(change, said):
    assert refused(
        {"title": "t", "data": {"name": "digits"}, "blocks": [{"energy": {"couplings": [DENSE]}}]} | change
    ) == [said]


def test_what_is_shipped_has_no_wrong_key():
    for name in shipped():
        experiment = experiment_file.load(name)
        assert not wrong_keys(experiment.model_dump(mode="json", exclude_none=True))


def test_what_may_be_of_another_package_is_left_to_it():
    document = {
        "data": {"name": "digits"},
        "blocks": [{"feedforward": [{"kind": "theirs", "depth": 3}], "energy": {"kind": "of:theirs", "wells": 2}}],
        "update": {"kind": "theirs", "mood": 1},
    }
    assert wrong_keys(document) == []
    assert wrong_keys({**document, "mood": 1})[0].startswith("mood: unknown key; ")


VALUES = (-1, 0, 2, 1.5, 1e40, float("nan"), True, "text", [], [1], {}, None)


@pytest.mark.parametrize("section", ["data", "run", "settle", "init", None])
def test_a_wrong_value_is_told_in_the_words_of_the_models(section):
    document = experiment_file._document("digits", ())[0] | {"init": {"kind": "uniform", "gain": 1.0}}
    document |= {"readout": "linear", "slope": 1.0, "rail": 1.0, "title": "", "device": "reference:"}
    model = {"data": Data, "run": Run, "settle": Settling, "init": UniformInit, None: Early}[section]
    told = 0
    for key in model.model_fields:
        for value in VALUES:
            wrong = changed(document, () if section is None else (section,), lambda t, k=key, v=value: t.update({k: v}))
            found, whole = wrong_values(wrong), refused(wrong)
            told += bool(found)
            assert set(found) <= set(whole)
            place = key if section is None else f"{section}.{key}"
            assert found or not any(line.startswith(f"{place}: ") for line in whole), whole
    assert told > len(model.model_fields)


def test_the_sections_told_early_are_those_of_an_experiment():
    for name, field in Early.model_fields.items():
        whole = Experiment.model_fields[name]
        assert (field.annotation, field.metadata) == (whole.annotation, whole.metadata)


def test_every_command_that_takes_an_experiment_refuses_a_wrong_key_before_torch_is_loaded(
    tmp_path, refused_without_torch
):
    file = tmp_path / "mine.toml"
    file.write_text('base = "digits"\n[optimizer]\nlrr = 0.1\n', "utf-8")
    asked = [
        ["train", str(file)],
        ["train", "digits", "--set", "optimizer.lrr=0.1"],
        ["gradcheck", str(file)],
        ["gradients", str(file)],
        ["study", str(file), "--sweep", "seed=0"],
        ["calibrate", "--experiment", str(file), "--device", "emulator:mixed-8bit", "--out", "found.toml"],
        ["netlist", str(file), "-o", "found.cir"],
    ]
    said = refused_without_torch(asked, 2)
    assert said.count("optimizer.lrr: unknown key; did you mean lr?") == len(asked)
    assert said.count("with --set optimizer.lrr=0.1") == 1
    assert {found.name for found in tmp_path.iterdir()} == {"mine.toml"}


def test_addresses_folders_and_names_are_refused_before_torch_is_loaded(tmp_path, refused_without_torch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    asked = {
        "train digits --device emulatr:mixed-8bit": "unknown scheme 'emulatr'",
        "train digits --device emulator:no-sheet": "no-sheet: neither a shipped datasheet",
        "train digits --device emulator:mixed-8bit?seed=x": "seed must be an integer",
        "train digits --set run.epochs=-1": "run.epochs: Input should be greater than 0, got -1",
        "train no-such": "no-such: neither a shipped experiment",
        "train digits --run-dir full": "full exists and is not a run folder",
        "train digits --resume --run-dir none": "none holds no run to resume",
        "train digits --init none --run-dir new": "none holds no run",
        "evaluate none": "none holds no run",
        "compare none other": "none holds no run",
        "study digits --sweep seed": "--sweep seed: expected key=a,b,c",
        "conform --device emulator:no-sheet": "no-sheet: neither a shipped datasheet",
        "characterize --device emulatr:x --out found": "unknown scheme 'emulatr'",
        "gradcheck digits --device emulatr:x": "unknown scheme 'emulatr'",
    }
    said = refused_without_torch([words.split() for words in asked], 2).splitlines()
    for words, sentence in asked.items():
        assert any(sentence in line for line in said), (words, said)
    assert {found.name for found in tmp_path.rglob("*")} == {"full", "mine"}

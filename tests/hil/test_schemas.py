"""JSON schemas: they take every shipped file, refuse what the models refuse, and have a text for every key."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from hil.cli import main
from hil.schemas import KINDS, schema, text_of

ROOT = Path(__file__).parents[2]
FILES = {
    "experiment": sorted((ROOT / "hil" / "experiments").glob("*.toml")),
    "datasheet": [
        *sorted((ROOT / "firmware_specs" / "datasheets").glob("*.toml")),
        ROOT / "firmware_specs" / "firmware" / "board.toml",
    ],
    "rack": [path for path in sorted((ROOT / "firmware_specs" / "racks").glob("*.toml")) if path.stem != "instruments"],
}


@pytest.fixture(scope="module")
def schemas():
    return {kind: schema(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", FILES)
def test_every_shipped_file_points_at_its_schema_and_is_taken_by_it(kind, schemas):
    validator = jsonschema.Draft202012Validator(schemas[kind])
    assert FILES[kind]
    for path in FILES[kind]:
        text = path.read_text("utf-8")
        directive = text.partition("\n")[0].removeprefix("#:schema ")
        assert (path.parent / directive).resolve() == ROOT / "hil" / "schemas" / f"{kind}.schema.json", path
        found = [
            f"{path.name}: {error.json_path}: {error.message}" for error in validator.iter_errors(tomllib.loads(text))
        ]
        assert not found, found


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_beside_the_module_is_what_the_models_say(kind):
    kept = (ROOT / "hil" / "schemas" / f"{kind}.schema.json").read_text("utf-8")
    assert kept == text_of(kind), "a key or its text has changed: python tools/schemas.py"
    jsonschema.Draft202012Validator.check_schema(json.loads(kept))


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_and_every_section_has_a_text(kind, schemas):
    parts = {"": schemas[kind], **schemas[kind].get("$defs", {})}
    without = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if not value.get("description")
    ]
    assert not without
    assert not [name for name, part in parts.items() if "properties" in part and not part.get("description")]


BAD = {
    "a key that is not there": ("settle", "tolernce", 1e-4),
    "text for a number": ("optimizer", "lr", "fast"),
    "below its range": ("settle", "max_iterations", 0),
    "a word that is none of the choices": (None, "substrate", "liquid"),
}


@pytest.mark.parametrize("section, key, value", BAD.values(), ids=BAD)
def test_schema_and_model_refuse_the_same(section, key, value, schemas):
    document = tomllib.loads((ROOT / "hil" / "experiments" / "digits.toml").read_text("utf-8"))
    table = document["blocks"][0]["energy"] if section is None else document[section]
    table[key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schemas["experiment"])
    with pytest.raises(ValidationError):
        KINDS["experiment"].model().model_validate(document)


def test_a_layer_of_ours_is_checked_and_one_of_another_package_is_left_to_it(schemas):
    document = tomllib.loads((ROOT / "hil" / "experiments" / "digits.toml").read_text("utf-8"))
    document["blocks"][0]["feedforward"] = [{"kind": "conv", "chanels": 16}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schemas["experiment"])
    document["blocks"][0]["feedforward"] = [{"kind": "mine", "anything": 16}]
    jsonschema.validate(document, schemas["experiment"])


def test_the_command_prints_it_writes_it_and_knows_close_names(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["plan"], ["plan", "--out", "plan.json"]):
        with pytest.raises(SystemExit) as ended:
            main(["schema", *arguments])
        assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(Path("plan.json").read_text("utf-8"))
    with pytest.raises(SystemExit) as ended:
        main(["schema", "expriment"])
    assert ended.value.code == 2
    assert "experiment" in capsys.readouterr().err


def complete(words, capsys, monkeypatch):
    monkeypatch.setenv("_HIL_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"hil {words}")
    with pytest.raises(SystemExit):
        main([])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "words, found, not_found",
    [
        ("tra", "train", "twin"),
        ("train dig", "digits-three-dense", "iris"),
        ("emulate resist", "resistive-board", "mixed-8bit"),
        ("train --device emulator:mix", "emulator:mixed-8bit", "emulator:reram"),
        ("train --bench lab.toml --device ", "left", "reference:"),
        ("conform --device bench:lab.toml#r", "bench:lab.toml#right", "left"),
        ("emulate --instrument keithley-24", "keithley-2450", "keysight"),
        ("schema ben", "bench", "rack"),
        ("train --device v", "visa:", "serial:"),
        ("export pcm --to cr", "crosssim", "aihwkit"),
    ],
)
def test_a_shell_completes(words, found, not_found, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = '[devices.left]\naddress = "reference:"\n[devices.right]\naddress = "reference:"\n'
    Path("lab.toml").write_text(text, "utf-8")
    said = complete(words, capsys, monkeypatch)
    said = said.replace("\\\\:", ":")  # as zsh wants its colons
    assert found in said and not_found not in said.replace(found, "")


def test_completing_an_experiment_does_not_wait_for_torch():
    asked = {"_HIL_COMPLETE": "complete_bash", "COMP_WORDS": "hil train dig", "COMP_CWORD": "2"}
    told = (
        "import sys, atexit; atexit.register(lambda: print('torch' in sys.modules)); from hil.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, env=os.environ | asked)
    found = ["digits", *(f"digits-{kind}" for kind in ("cells", "resistive", "three-conv", "three-dense"))]
    assert done.stdout.split() == [*found, "False"], done.stderr


def test_init_writes_a_bench_and_an_experiment_that_train(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["init", "mine", "--device", "emulator:discrete-board?seed=3", "--data", "iris", "--units", "8"])
    assert ended.value.code == 0
    for kind in ("bench", "experiment"):
        text = Path("mine", f"{kind}.toml").read_text("utf-8")
        assert text.startswith(f"#:schema ./{kind}.schema.json\n")
        jsonschema.validate(tomllib.loads(text), json.loads(Path("mine", f"{kind}.schema.json").read_text("utf-8")))
    monkeypatch.chdir("mine")
    with pytest.raises(SystemExit) as ended:
        main(["train", "experiment.toml", "--run-dir", "run", "--set", "run.epochs=1"])
    assert ended.value.code in (0, None), capsys.readouterr().err
    assert json.loads(Path("run", "summary.json").read_text())["device"].startswith("bench:")


@pytest.mark.parametrize(
    "device", ["serial:/dev/ttyUSB0?baud=115200", "visa:TCPIP::10.0.0.2::5025::SOCKET", "rack:r.toml"]
)
def test_init_writes_what_a_real_device_needs(device, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["init", str(tmp_path), "--device", device])
    assert ended.value.code == 0
    entry = tomllib.loads((tmp_path / "bench.toml").read_text("utf-8"))["devices"]["chip"]
    assert entry["address"] == device and entry["watchdog_s"] == 2.0


def test_init_replaces_nothing_and_refuses_what_is_no_answer(tmp_path, capsys):
    (tmp_path / "bench.toml").write_text("mine", "utf-8")
    for arguments in ([str(tmp_path)], [str(tmp_path / "new"), "--device", "toaster:1"]):
        with pytest.raises(SystemExit) as ended:
            main(["init", *arguments])
        assert ended.value.code == 2
    assert (tmp_path / "bench.toml").read_text("utf-8") == "mine" and not (tmp_path / "new").exists()
    assert "is there already" in (said := capsys.readouterr().err) and "address" in said

"""JSON schemas: they take every shipped file, refuse what the models refuse, and have a text for every key."""

import io
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from firmware_specs.datasheet.load import text_of as datasheet_text
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
    assert "is there already" in (said := capsys.readouterr().err) and "Addresses: " in said


class Person(io.StringIO):
    """Somebody at a terminal who answers line by line."""

    def isatty(self):
        return True


def test_init_asks_again_what_it_cannot_take_and_writes_what_was_meant(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = ["toaster:1", "emulator:nosuch", "emulator:ideal", "nosuch", "csv:nowhere.csv", "wine", "many", "0", "5"]
    monkeypatch.setattr(sys, "stdin", Person("\n".join([*said, ""])))
    with pytest.raises(SystemExit) as ended:
        main(["init", "mine"])
    told = capsys.readouterr().out
    assert ended.value.code == 0, told
    for refused in ("toaster", "nosuch: neither", "'nosuch' is not a data set", "nowhere.csv", "'many'", "'0'"):
        assert refused in told
    experiment = tomllib.loads(Path("mine", "experiment.toml").read_text("utf-8"))
    assert experiment["data"]["name"] == "wine"
    assert experiment["blocks"][0]["energy"]["couplings"] == [{"kind": "dense", "units": 5}]
    assert (
        tomllib.loads(Path("mine", "bench.toml").read_text("utf-8"))["devices"]["chip"]["address"] == "emulator:ideal"
    )


@pytest.mark.parametrize("option, wrong", [("--data", "nosuch"), ("--data", "csv:no.csv"), ("--device", "emulator:no")])
def test_init_writes_nothing_that_cannot_run(option, wrong, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["init", str(tmp_path / "mine"), option, wrong])
    assert ended.value.code == 2 and not (tmp_path / "mine").exists()
    assert "no" in capsys.readouterr().err


def trains(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train", "experiment.toml", "--set", "run.epochs=1", "--set", "data.train_samples=64"])
    assert ended.value.code in (0, None), capsys.readouterr().err
    return json.loads(Path("runs", "experiment", "summary.json").read_text())


def test_init_minds_that_a_chip_is_resistive_and_that_values_are_learned(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["init", "--device", "emulator:resistive-ideal", "--data", "curve", "--units", "4"])
    assert "mean_squared_error" in trains(capsys)["test"]


def test_init_finds_files_that_were_named_from_where_it_was_called(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("chip.toml").write_text(datasheet_text("ideal"), "utf-8")
    rows = [f"{i % 7},{i % 3},{'ab'[i % 2]}" for i in range(100)]
    Path("mine.csv").write_text("\n".join(["u,v,kind", *rows]), "utf-8")
    with pytest.raises(SystemExit):
        main(["init", "new", "--device", "emulator:chip.toml?seed=2", "--data", "csv:mine.csv?target=kind"])
    monkeypatch.chdir("new")
    assert "accuracy" in trains(capsys)["test"]


def test_init_writes_a_network_that_a_bare_crossbar_can_hold(tmp_path):
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path), "--device", "rack:r.toml?allow_no_watchdog=1"])
    entry = tomllib.loads((tmp_path / "bench.toml").read_text("utf-8"))["devices"]["chip"]
    assert (entry["address"], entry["allow_no_watchdog"]) == ("rack:r.toml", True)
    experiment = tomllib.loads((tmp_path / "experiment.toml").read_text("utf-8"))
    (block,) = experiment["blocks"]
    assert block["energy"]["substrate"] == "resistive" and "slope" not in block["energy"]
    assert [(one["units"], one["bias"]) for one in block["energy"]["couplings"]] == [(12, False), (3, False)]


def test_init_says_to_download_what_has_to_be(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path), "--data", "mnist"])
    assert capsys.readouterr().out.endswith("&& hil data fetch mnist && hil train experiment.toml\n")

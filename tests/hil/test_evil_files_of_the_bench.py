"""The other files that may come from anybody: calibrations, laboratories, recordings, attributes, what lies in a run.

As in `test_evil_files.py`: every key meets a few evil values in the suite, all of them in `make soak`, and what is
accepted is used.
"""

import contextlib
import hashlib
import importlib.util
import json
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import pyvisa
import tomli_w
import torch
import xarray as xr
from safetensors.torch import save_file

from drivers.errors import CalibrationExpired, DeviceError, ProtocolViolation
from drivers.recording import FlightRecorder, Replay
from emulator.circuits.duts import DutError
from emulator.circuits.laboratory import Laboratory
from firmware_specs.chains import dense_chain
from firmware_specs.labs import LabError, load_lab, single
from hil.counterparts.opening.bench import open_bench
from hil.data.dataset import DataError
from hil.measuring.calibrate import file as calibration
from hil.measuring.imports import mapping
from hil.measuring.imports.readings import ImportRefused
from hil.training.run.marked import RunError


def beside(name):
    spec = importlib.util.spec_from_file_location(f"evil_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


evil = beside("test_evil_files")
chip = evil.chip
FEW_AND_ALL = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
TOPOLOGY = dense_chain([6, 4, 3])


def in_our_words(read, *kinds):
    """What it gives, or None for a refusal of these kinds, whose message is short and printable."""
    try:
        return read()
    except kinds as refusal:
        text = str(refusal)
        assert len(text) < 14_000 and text.replace("\n", " ").isprintable(), text[:200]
        return None


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    from hil.counterparts.opening.wire import open_crossbar
    from hil.measuring.calibrate.measure import measure_array

    path = tmp_path_factory.mktemp("calibrated") / "cal.toml"
    with open_crossbar("emulator:mixed-8bit?seed=3") as crossbar:
        calibration.write(path, calibration.Identified("c1", 7.0), crossbar, [measure_array(crossbar, 0, TOPOLOGY)])
    return path


@FEW_AND_ALL
def test_calibrations(every, calibrated, tmp_path):
    """What is accepted corrects a settle, with finite states, or is refused where it is used."""
    document = calibration.read(calibrated).model_dump(exclude_none=True)
    document["calibration"]["made"] = datetime.now(UTC).replace(microsecond=0)
    lab = tmp_path / "lab.toml"
    lab.write_text('[devices.a]\naddress = "emulator:mixed-8bit?seed=3"\ncalibration = "cal.toml"\n')
    accepted = 0
    for key, value, changed in evil.attacks(document, every):
        print(key, repr(value)[:60])
        try:
            (tmp_path / "cal.toml").write_text(tomli_w.dumps(changed))
        except (TypeError, ValueError):
            continue
        found = in_our_words(lambda: calibration.read(tmp_path / "cal.toml"), CalibrationExpired)
        if found is not None:
            assert "\x1b" not in found._repr_html_()
            accepted += in_our_words(lambda: settles(lab), CalibrationExpired) is not None
    assert accepted


def settles(lab):
    with warnings.catch_warnings(), open_bench(f"bench:{lab}#a") as bench:
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers near the ends of their range
        array = bench.place(TOPOLOGY)
        weights = {f"weight_{i}": torch.zeros(c, r) for i, (r, c) in enumerate([(6, 4), (4, 3)])}
        array.program(weights | {f"bias_{i}": torch.zeros(c) for i, c in enumerate([4, 3])})
        states = array.settle(torch.rand(2, 6)).free
        assert not any(state.isnan().any() for state in states)
        return True


LAB = {
    "instruments": {
        "smu": {"model": "keithley-2450", "address": "GPIB0::24::INSTR", "serial": "1"},
        "switch": {"model": "keithley-707b"},
    },
    "wires": {"smu.1": "a", "switch.row1": "b"},
    "parts": [{"dut": "resistor:1e3", "between": ["a", "gnd"]}, {"dut": "cell:reram,start=0.5", "between": ["a", "b"]}],
    "relays": {"switch.1A01": ["a", "b"]},
    "line_frequency_hz": 50, "contact_ohm": 0.1, "seed": 3, "real_time": False,
}  # fmt: skip


@FEW_AND_ALL
def test_laboratories(every, tmp_path):
    """What is accepted is a laboratory whose instruments can be asked who they are."""
    plain = single("keithley-2450", "resistor:1e3").model_dump(mode="json", exclude_none=True)
    path = tmp_path / "lab.toml"
    asked = 0
    for document in (LAB, plain):
        for key, value, changed in evil.attacks(document, every):
            print(key, repr(value)[:60])
            try:
                path.write_text(tomli_w.dumps(changed))
            except (TypeError, ValueError):
                continue
            lab = in_our_words(lambda: load_lab(path), LabError)
            made = None if lab is None else in_our_words(lambda: Laboratory(lab), DutError, LabError, ValueError)  # noqa: B023
            if made is not None:
                asked += any(b"," in made.feed(name)(b"*IDN?\n") for name in lab.instruments)
    assert asked > 4


def test_a_laboratory_that_is_none_is_refused_by_the_back_end_in_its_words(tmp_path):
    path = tmp_path / "lab.toml"
    for text in ("", "x", "instruments = 3", "[instruments.a]\nmodel = 'x'", "\x00", "[" * 10_000):
        path.write_text(text)
        with contextlib.suppress(LabError), contextlib.closing(pyvisa.ResourceManager(f"{path}@hil")) as manager:
            assert not manager.list_resources("?*")


def recorded(tmp_path):
    recorder = FlightRecorder()
    recorder.note(">", b"*IDN?\n")
    recorder.note("<", b"maker,model,1,2\n")
    recorder.note("!", b"an error")
    recorder.save(tmp_path / "flight.log", "visa:GPIB0::1::INSTR")
    return (tmp_path / "flight.log").read_bytes()


def test_recordings(tmp_path):
    """Every field of every line, cut files, other bytes: a replay, or one sentence that names the line."""
    whole = recorded(tmp_path)
    lines = whole.split(b"\n")
    values = [
        b"",
        b"x",
        b"-1",
        b"nan",
        b"1e999",
        b"\x1b[2J",
        b"\xff\xfe",
        b"0" * 5001,
        b">",
        b"<",
        b"!",
        b"\x00",
        b"\r",
    ]
    cases = [
        b"",
        b"\n",
        whole[:40],
        whole[:-7],
        whole * 3,
        b"\x00" * 100,
        whole + b"\n\n\n",
        whole.replace(b"\n", b"\r\n"),
    ]
    for at, line in enumerate(lines):
        fields = line.split(b" ")
        for field in range(len(fields)):
            for value in values:
                changed = b" ".join([*fields[:field], value, *fields[field + 1 :]])
                cases.append(b"\n".join([*lines[:at], changed, *lines[at + 1 :]]))
    path, read = tmp_path / "evil.log", 0
    for content in cases:
        path.write_bytes(content)
        replay = in_our_words(lambda: Replay.load(path), ProtocolViolation)
        if replay is not None:
            read += 1
            with contextlib.suppress(DeviceError):
                replay.write(b"*IDN?\n", 1e9)
                assert replay.read_until(b"\n", 100, 1e9) == b"maker,model,1,2\n"
    assert read > 10
    for nothing in (tmp_path, tmp_path / "missing"):
        assert in_our_words(lambda: Replay.load(nothing), ProtocolViolation) is None  # noqa: B023


COLUMNS = {
    "format": "table",
    "columns": {
        "conductance": {"name": "G", "unit": "uS"},
        "cell": {"name": "cell"},
        "time": {"name": "t", "unit": "s"},
    },
    "constants": {"read_v": 0.1},
    "source": {"who": "x"},
}


@FEW_AND_ALL
def test_mappings_of_other_people_s_tables(every, tmp_path):
    path = tmp_path / "map.toml"
    for key, value, changed in evil.attacks(COLUMNS, every):
        print(key, repr(value)[:60])
        with contextlib.suppress(TypeError, ValueError):
            path.write_text(tomli_w.dumps(changed))
            in_our_words(lambda: mapping.load(path), ImportRefused)


ATTRIBUTES = [
    *(0, -1, 2**62, 1e300, np.nan, np.inf),
    "",
    "x",
    "\x1b[2J",
    "\u202e",
    "a" * 10_000,
    np.zeros(0),
    np.arange(9.0),
]


@FEW_AND_ALL
def test_attributes_of_netcdf_files(every, chip, tmp_path):
    """Of the file and of every variable, replaced, missing, and more of them than there should be."""
    folder = tmp_path / "chip"
    shutil.copytree(chip, folder)
    number = 0
    held = {path: path.read_bytes() for path in sorted(folder.glob("*.nc"))}
    for path in held:
        path.unlink()
    for path, whole in held.items():  # one beside none of the others: reading them all again shows nothing new
        path.write_bytes(whole)
        data = xr.load_dataset(path, engine="h5netcdf")
        places = [("", key) for key in [*data.attrs, "more"]]
        places += [(name, key) for name in data.variables for key in [*data[name].attrs, "units", "more"]]
        for name, key in places:
            number += 1
            if not every and number % 19:
                continue
            for value in ATTRIBUTES if every else [ATTRIBUTES[number % len(ATTRIBUTES)]]:
                changed = data.copy()
                (changed if not name else changed[name]).attrs[key] = value
                print(path.name, name, key, repr(value)[:40])
                with contextlib.suppress(TypeError, ValueError):
                    path.unlink()
                    changed.to_netcdf(path, engine="h5netcdf")
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        evil.in_our_words(
                            evil.read_and_report if number % 190 == 0 else evil.characterization.load, folder
                        )
        path.unlink(missing_ok=True)
    report = folder / "report.html"
    assert number > 20 and (not report.exists() or "\x1b" not in report.read_text())


TENSORS = {
    "empty": {}, "scalar": {"x": torch.tensor(1.0)}, "nan": {"model.blocks.0.weight": torch.full((3, 3), torch.nan)},
    "other names": {"model.\x1b[2J": torch.zeros(2)}, "huge name": {"model." + "a" * 5000: torch.zeros(1)},
    "half": {"model.blocks.0.weight": torch.zeros(2, dtype=torch.float16)},
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from hil.cli import main

    run = tmp_path_factory.mktemp("trained") / "run"
    small = ["--set", "run.epochs=1", "--set", "data.train_samples=64", "--set", "data.test_samples=16"]
    with pytest.raises(SystemExit) as done:
        main(["train", "digits", "--device", "reference:", "--run-dir", str(run), *small])
    assert done.value.code == 0
    return run


OTHERS = ("config.toml", ".crossbar-hil", "provenance.json", "summary.json", "evaluation.json", "metrics.jsonl")


@FEW_AND_ALL
def test_a_run_whose_files_are_others_is_read_by_every_reader_or_refused(every, trained, tmp_path):
    """Each file cut, empty, noise, a folder or a link to nowhere; tensors of another model."""
    import hil
    from hil.training.run.folder import find

    whole = {name: (trained / name).read_bytes() for name in OTHERS if (trained / name).exists()}
    assert len(whole) >= 4
    run = tmp_path / "run"

    def readers(shown):
        reads = [lambda: hil.load_run(run).close(), lambda: evil.write_training_report(find(run))]
        for read in reads if shown else reads[:1]:
            in_our_words(read, RunError, DeviceError, DataError, evil.ExperimentError)

    for number, (name, content) in enumerate(whole.items()):
        cases = [content[: len(content) // 2], b"", b"\xff\x00" * 50, b"[" * 50_000, "folder", "link"]
        for case in cases if every else cases[number % 3 :: 3]:
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(trained, run)
            (run / name).unlink()
            if case == "folder":
                (run / name).mkdir()
            elif case == "link":
                (run / name).symlink_to(tmp_path / "nowhere")
            else:
                (run / name).write_bytes(case)
            print(name, str(case)[:30])
            readers(every or (number, case) == (2, b"\xff\x00" * 50))
    for tensors in TENSORS.values():
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(trained, run)
        for path in (run / "checkpoints").glob("*.safetensors"):
            save_file(tensors, path)
            facts = json.loads(path.with_suffix(".json").read_text())
            facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            path.with_suffix(".json").write_text(json.dumps(facts))
        readers(every)

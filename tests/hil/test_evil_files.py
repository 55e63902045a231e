"""Every key of every file format against evil values: one refusal in our words, or a value that is right.

In the suite every key meets one of the values, another one each time the keys are counted on; `make soak` has all of
them meet. What is accepted is used: a datasheet makes a chip that settles.
"""

import contextlib
import copy
import json
import math
import shutil
import warnings
from functools import cache

import numpy as np
import pytest
import tomli_w
import torch
import xarray as xr

from drivers.errors import CalibrationExpired
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.refused import Refused
from emulator.resistive import FloatingNodeError
from firmware_specs import datasheet
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.codes import ErrorCode, Opcode
from firmware_specs.datasheet import DatasheetError
from firmware_specs.racks import RackError, load_rack, shipped_racks
from hil.counterparts.opening import bench_file
from hil.counterparts.opening.bench_file import BenchFileError
from hil.experiments import experiment_file
from hil.experiments.experiment_file import ExperimentError
from hil.measuring.calibrate import file as calibration
from hil.measuring.characterize import plan as plans
from hil.measuring.characterize import probe
from hil.measuring.characterize import run as characterization
from hil.measuring.characterize.plan import PlanError
from hil.measuring.characterize.told import ChipError
from hil.report.characterization import write_report
from hil.report.training import write_report as write_training_report
from hil.training.run import checkpoint, documents, metrics
from hil.training.run.folder import RunFolder
from hil.training.run.marked import RunError
from hil.training.study import grid

EVIL = [
    *(0, -1, 1, 2**31, 2**63, 10**30, 1e300, 5e-324, math.nan, math.inf, -math.inf, True),
    *(
        "",
        "x",
        "\x1b[2J\x1b]0;x\x07",
        "\u202e/etc/passwd",
        "a" * 10_000,
        [],
        [-1],
        [[[]]],
        ["x"] * 3,
        {},
        {"kind": "x"},
    ),
]
FEW = 1
REFUSALS = (
    *(DatasheetError, RackError, BenchFileError, ExperimentError, PlanError, CalibrationExpired, ChipError, RunError),
)


def paths(node, at=()):
    """Every key, and the first two places of every list."""
    items = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    for key, value in items:
        yield (*at, key)
        yield from paths(value, (*at, key))


def with_value(document, path, value):
    changed = node = copy.deepcopy(document)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


def attacks(document, every):
    """Documents with one key replaced; one value a key, by turns, unless all are wanted."""
    for number, path in enumerate(paths(document)):
        values = EVIL if every else [EVIL[(FEW * number + n) % len(EVIL)] for n in range(FEW)]
        for value in values:
            yield path, value, with_value(document, path, value)


def in_our_words(read, *arguments):
    """What it gives, or None for a refusal, whose message is short and printable."""
    try:
        return read(*arguments)
    except REFUSALS as refusal:
        text = str(refusal)
        assert len(text) < 14_000 and text.replace("\n", " ").isprintable()
        return None


BENCH = {
    "devices": {
        "a": {
            "address": "serial:/dev/x?baud=9600", "datasheet": "ideal", "serial": "s", "usb": ["1234:abcd"],
            "limits": dict.fromkeys(bench_file.LimitsEntry.model_fields, 1.0), "calibration": "x.toml",
            "allow_calibration": "y", "watchdog_s": 2.0, "timeout_s": 2.0, "visa_library": "@py",
            "allow_no_watchdog": True,
        }
    }
}  # fmt: skip


def plain(model):
    return model.model_dump(mode="json", exclude_none=True)


TOML = {
    "bench file": (lambda: BENCH, bench_file.load),
    "rack": (lambda: plain(load_rack(shipped_racks()[0])), load_rack),
    "experiment": (lambda: plain(experiment_file.load("digits")), experiment_file.load),
    "experiment with convolutions": (
        lambda: plain(experiment_file.load("cifar10-6layer-2block")),
        experiment_file.load,
    ),
    "plan": (lambda: plain(plans.usual()), plans.load),
}


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
@pytest.mark.parametrize("kind", TOML)
def test_toml_files(kind, every, tmp_path):
    make, read = TOML[kind]
    path = tmp_path / "evil.toml"
    for key, value, document in attacks(make(), every):
        try:
            path.write_text(tomli_w.dumps(document))
        except (TypeError, ValueError):
            continue
        print(key, repr(value)[:60])
        in_our_words(read, path)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
@pytest.mark.parametrize("name", ["mixed-8bit", "resistive-ideal", "arc-two-32x32-like", "ecram"])
def test_datasheets(name, every):
    sheets = 0
    for key, value, document in attacks(plain(datasheet.load(name)), every):
        print(key, repr(value)[:60])
        text = tomli_w.dumps(document)
        sheet = parse(text)
        if sheet is not None:
            sheets += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # numbers near the ends of their range
                used(sheet)
    assert sheets > 10


def parse(text):
    from firmware_specs.datasheet.load import parse as read

    return in_our_words(read, text, "evil.toml")


def used(sheet):
    device = Device(Chip(sheet, 1))
    machine = Machine(device)
    for opcode in (Opcode.IDENTIFY, Opcode.FABRIC, Opcode.CONVERTERS, Opcode.PARAMETERS, Opcode.LIMITS, Opcode.STATUS):
        try:
            machine.execute(opcode, b"", "door")
        except Refused as refused:
            assert refused.code != ErrorCode.INTERNAL, refused
    if sheet.fabric.layers or sheet.product is not None or sheet.settle.max_iterations > 1000:
        return
    device.chip.configure(0, resistive_chain(4, [3, 2]) if sheet.resistive else dense_chain([4, 3]))
    with contextlib.suppress(FloatingNodeError):
        device.chip.settle(0, torch.zeros(2, 4), [], None, 1, None)


def json_files(document, every):
    for key, value, changed in attacks(document, every):
        print(key, repr(value)[:60])
        yield json.dumps(changed).encode()
    yield from (
        b"",
        b"\x00",
        b"[",
        b"[" * 100_000,
        b'"x"',
        b"null",
        b"NaN",
        b"\xff",
        json.dumps(document).encode()[:-3],
    )


RUN = {
    "provenance.json": {
        "sessions": [{"started": "x", "counterpart": {"datasheet": {"identity": {}}}, "code": {"v": 1}}],
    },
    "evaluation.json": {
        "confusion": [[3, 0], [1, 2]],
        "states": {"block_0.energy.1": {"edges": [0.0, 0.5, 1.0], "counts": [1, 2]}},
        "iterations": {"block_0.energy": {"3": 4, "5": 1}},
    },
    "summary.json": {
        "title": "t", "device": "d", "finished": True, "steps": 3, "test_accuracy": 0.5, "images_per_second": 9.0,
    },
    "metrics.jsonl": {"kind": "step", "step": 1, "epoch": 0, "loss": 1.0, "accuracy": 0.5, "lr": 0.1, "settled": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
@pytest.mark.parametrize("name", RUN)
def test_files_of_a_run(name, every, tmp_path):
    shapes = {
        "provenance.json": documents.Provenance,
        "evaluation.json": documents.Tested,
        "summary.json": documents.Summary,
    }
    path = tmp_path / name
    for number, content in enumerate(json_files(RUN[name], every)):
        path.write_bytes(content + b"\n")
        if name in shapes:
            in_our_words(documents.read, path, shapes[name])
        else:
            assert all(isinstance(r["step"], int) for r in metrics.read(path))
        if number % (40 if not every else 4) == 0:
            write_training_report(RunFolder(tmp_path))
            assert "\x1b" not in (tmp_path / "report.html").read_text()


def test_facts_of_a_checkpoint():
    whole = checkpoint.Checkpoint(
        {"model.x": torch.zeros(2)}, {"position": {"step": 1, "epoch": 0, "batch": 1}, "metrics_bytes": 3}
    )
    facts = dict(whole.facts) | {"sha256": "0" * 64}
    for content in json_files(facts, True):
        assert checkpoint.parse(content, b"tensors") is None


@pytest.mark.parametrize("name", ["study.json", "points/a/point.json"])
def test_files_of_a_study(name, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    good = (
        [{"values": {"x": 1}, "accuracy": 0.5, "seconds": 1.0, "note": ""}] if "point" in name else {"sweep": ["x=1"]}
    )
    for content in json_files(good, True):
        path.write_bytes(content)
        rows = grid.rows_in(path.parent) if "point" in name else None
        assert rows is None or all(isinstance(row.values, dict) for row in rows)
        if name == "study.json":
            with pytest.raises(RunError), grid.opened(tmp_path, {"sweep": ["x=2"]}, overwrite=False):
                pass


@cache
def measured(folder):
    """A small characterization of an emulated chip."""
    from hil.counterparts.opening.wire import open_crossbar

    plan = plans.Plan(rows=4, columns=4, found=plans.Found(), programming=plans.Programming(levels=(0.2, 0.8, 0.5)))
    with open_crossbar("emulator:mixed-8bit?seed=2") as crossbar:
        characterization.characterize(crossbar, plan, folder / "chip")
    return folder / "chip"


@pytest.fixture(scope="module")
def chip(tmp_path_factory):
    return measured(tmp_path_factory.mktemp("chips"))


def read_and_report(folder):
    found = characterization.load(folder)
    plans.of(folder)
    write_report(found, folder / "report.html")
    return found


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "all"])
@pytest.mark.parametrize("name", ["figures.json", "provenance.json"])
def test_json_of_a_characterization(name, every, chip, tmp_path):
    folder = tmp_path / "chip"
    shutil.copytree(chip, folder)
    document = json.loads((folder / name).read_text())
    cheap = [lambda: plans.of(folder) if name == "provenance.json" else characterization.load(folder)]
    for number, content in enumerate(json_files(document, every)):
        (folder / name).write_bytes(content)
        for read in cheap if number % 300 else [lambda: read_and_report(folder)]:
            in_our_words(read)


def test_data_of_a_characterization(chip, tmp_path):
    folder = tmp_path / "chip"
    shutil.copytree(chip, folder)
    path = folder / "programming.nc"
    whole = path.read_bytes()
    data = xr.load_dataset(path, engine="h5netcdf")
    cases = [whole[: len(whole) // 2], b"", b"hello", whole[:100] + bytes(200) + whole[300:]]
    first = next(iter(data.data_vars))
    cases += [data.drop_vars(first), data.isel(step=[]), data.rename({"row": "line"}), data.astype("U5")]
    cases += [data * np.nan, data * np.inf, data.assign_attrs(dict.fromkeys(data.attrs, "\x1b[2J"))]
    for case in cases:
        if isinstance(case, bytes):
            path.write_bytes(case)
        else:
            path.unlink()
            with contextlib.suppress(AttributeError):  # xarray 2025.8 does not write times without any: a missing file
                case.to_netcdf(path, engine="h5netcdf")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            in_our_words(read_and_report, folder)


def test_a_netcdf_file_that_leads_elsewhere_or_claims_any_size_is_refused(chip, tmp_path):
    import h5py

    from hil.measuring import netcdf

    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789abcdef")
    cases = {
        "another file": lambda f: f.create_dataset("x", (2,), "f8", external=[(str(secret), 0, 16)]),
        "MiB of values": lambda f: f.create_dataset("x", (1 << 40,), "u1", chunks=(1 << 20,)),
        "is a link": lambda f: f.__setitem__("x", h5py.ExternalLink(str(chip / "found.nc"), "/level")),
        "is no variable": lambda f: f.create_group("x"),
    }
    for words, write in cases.items():
        path = tmp_path / "evil.nc"
        with h5py.File(path, "w") as file:
            write(file)
        with pytest.raises(ValueError, match=words):
            netcdf.load(path)


@pytest.mark.parametrize("damage", ["last", "middle", "empty", "gap", "intent"])
def test_a_journal_entry_that_does_not_read_back_is_measured_again(damage, chip, tmp_path):
    from hil.counterparts.opening.wire import open_crossbar

    folder = tmp_path / "chip"
    shutil.copytree(chip, folder)
    journal = folder / "journal" / "programming"
    entries = sorted(journal.glob("*.npz"))
    chosen = entries[-1] if damage in ("last", "empty") else entries[0]
    match damage:
        case "last" | "middle":
            chosen.write_bytes(chosen.read_bytes()[:-30])
        case "empty":
            chosen.write_bytes(b"")
        case "gap":
            chosen.unlink()
        case "intent":
            entries[-1].unlink()
            (journal / "intent.json").write_text('{"step": ')
    plan = plans.of(folder)
    with open_crossbar("emulator:mixed-8bit?seed=2") as crossbar:
        if damage == "intent":
            with pytest.raises(ChipError, match="whether its pulses went out is not known"):
                characterization.characterize(crossbar, plan, folder)
            return
        try:
            again = characterization.characterize(crossbar, plan, folder)
        except ChipError as refused:  # an emulated chip in process has forgotten what its cells went through
            assert "its cells are not as they were left" in str(refused)
            return
    assert again.notes and "measured again" in again.notes[0]
    assert again.data["programming"].sizes["step"] == len(entries)


def test_readings_that_never_change_cost_their_figures_and_no_more(chip, tmp_path, monkeypatch):
    from hil.counterparts.opening.wire import open_crossbar

    read = probe.Probe.read
    monkeypatch.setattr(probe.Probe, "read", lambda self, reads: np.full_like(read(self, reads), 0.5))
    with warnings.catch_warnings(), open_crossbar("emulator:mixed-8bit?seed=2") as crossbar:
        warnings.simplefilter("ignore", RuntimeWarning)
        found = characterization.characterize(crossbar, plans.of(chip), tmp_path / "chip")
    assert "programming" in found.data
    assert all(math.isfinite(f.measured.value) for f in found.figures)
    assert characterization.load(tmp_path / "chip").skipped == found.skipped


def test_a_training_run_is_no_characterization(tmp_path, capsys):
    from hil.cli import main

    run = tmp_path / "run"
    run.mkdir()
    (run / "provenance.json").write_text('{"sessions": []}')
    (tmp_path / "file").write_text("x")
    for out in (run, tmp_path / "file"):
        before = sorted(p.name for p in tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as done:
            main(["characterize", "--device", "emulator:ideal", "--out", str(out)])
        assert done.value.code == 2
        assert capsys.readouterr().err.startswith("hil: ")
        assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_calibration_whose_file_names_lead_elsewhere_is_refused(tmp_path):
    for text in ("", "x", "calibration = 3", "[calibration]\nid = 'x'", "arrays = []", "\x00", "[" * 10_000):
        (tmp_path / "cal.toml").write_text(text)
        with pytest.raises(CalibrationExpired):
            calibration.read(tmp_path / "cal.toml")

"""Devices of aihwkit and back: the same laws; where aihwkit is beside us, the same pulses."""

import numpy as np
import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.cli import main
from hil.measuring.exchange import to_aihwkit, to_crosssim
from hil.measuring.exchange.from_aihwkit import presets, pulses_of, sheet_of
from hil.measuring.exchange.noise_models import NOISE_MODELS
from hil.measuring.twins.measured import TwinError

SIDE = 24


@pytest.mark.parametrize("name", [*presets(), *NOISE_MODELS])
def test_every_preset_becomes_a_datasheet_that_says_where_it_is_from(name):
    sheet = sheet_of(name).datasheet
    assert "aihwkit" in sheet.identity.source and name in sheet.identity.model
    if name in NOISE_MODELS:
        assert sheet.programming.sigma_coefficients_s
    else:
        assert sheet.pulses.law != "none"


def test_what_presets_say_is_taken_over():
    keys, _ = pulses_of(presets()["ReRamArrayOM"])
    assert keys["step"] == pytest.approx(0.0949 / 2) and keys["step_d2d"] == 0.7829
    assert keys["step_spread"] == "log_normal" and keys["write_noise"] == pytest.approx(1.4113)
    assert keys["spread_up"] == [0.4158, 0.4158] and keys["up"] == [2.0, 0.0]
    keys, _ = pulses_of(presets()["ReRamES"])
    assert (1 + keys["asymmetry"]) / (1 - keys["asymmetry"]) == pytest.approx(1 / (1 - 0.259359))
    sheet = sheet_of("EcRam").datasheet.pulses
    assert sheet.zero == pytest.approx(0.8276 / 2) and sheet.slope_down == 0.5085
    with pytest.raises(TwinError, match="known: ReRamES, ReRamSB"):
        sheet_of("ReRamSBB")


def test_an_exported_file_is_python_that_cannot_be_escaped(tmp_path):
    plain = load("reram").model_dump(exclude_unset=True)
    plain["identity"]["model"] = 'x"""\nimport os #\\'
    sheet = Datasheet.model_validate(plain)
    for export in (to_aihwkit.export, to_crosssim.export):
        text = export(sheet, "my twin-3")
        compile(text, "exported", "exec")
        assert "\nimport os" not in text
    path = tmp_path / "device.py"
    with pytest.raises(SystemExit) as stop:
        main(["export", "ecram", "--to", "aihwkit", "-o", str(path)])
    assert stop.value.code == 0 and "PiecewiseStepDevice" in path.read_text()
    with pytest.raises(SystemExit) as stop:
        main(["import", "aihwkit", "Hermes", "-o", str(tmp_path / "hermes.toml")])
    assert stop.value.code == 0 and load(tmp_path / "hermes.toml").cells.g_max_s == pytest.approx(20.7e-6)


def working_aihwkit():
    """aihwkit's device presets, where it is installed and fits the torch that is."""
    devices = pytest.importorskip(
        "aihwkit.simulator.presets.devices", reason="aihwkit is not installed (pip install --no-deps aihwkit)"
    )
    from aihwkit.simulator.configs import SingleRPUConfig
    from aihwkit.simulator.tiles import AnalogTile

    try:
        AnalogTile(2, 3, SingleRPUConfig(device=devices.IdealizedPresetDevice())).set_weights(torch.zeros(2, 3))
    except RuntimeError as error:
        pytest.skip(f"aihwkit was built for another torch than {torch.__version__}: {error}")
    return devices


def ours(sheet, ups, downs):
    """Mean and spread of weights in -1 .. 1 after pulses from the middle."""
    plain = sheet.model_dump(exclude_unset=True)
    chip = Chip(Datasheet.model_validate(plain), 3, dtype=torch.float64)
    chip.configure(0, dense_chain([SIDE, SIDE], bias=False))
    cells = sheet.cells
    chip.program(0, [torch.full((2, SIDE, SIDE), (cells.g_min_s + cells.g_max_s) / 2, dtype=torch.float64)])
    track = []
    for up, count in ((True, ups), (False, downs)):
        chip.pulse(0, 0, EVERYWHERE, count, up)
        w = 2 * (chip.conductances_s(0)[0].numpy() - cells.g_min_s) / cells.span_s - 1
        track.append((w.mean(), w.std()))
    return track


def theirs(device, ups, downs):
    """The same of an aihwkit tile, one pulse an update."""
    from aihwkit.simulator.configs import SingleRPUConfig
    from aihwkit.simulator.parameters.enums import PulseType
    from aihwkit.simulator.tiles import AnalogTile

    config = SingleRPUConfig(device=device)
    config.update.pulse_type = PulseType.DETERMINISTIC_IMPLICIT
    config.update.desired_bl = 1
    config.update.update_bl_management = config.update.update_management = False
    tile = AnalogTile(2 * SIDE, SIDE, config)
    tile.tile.set_learning_rate(1.0)
    tile.set_weights(torch.zeros(2 * SIDE, SIDE))
    strength = float(np.sqrt(device.dw_min)) * 1.0001
    track = []
    for sign, count in ((-1.0, ups), (1.0, downs)):
        for _ in range(count):
            tile.tile.update(torch.full((1, SIDE), strength), sign * torch.full((1, 2 * SIDE), strength), False)
        w = tile.tile.get_weights().double().numpy()
        track.append((float(w.mean()), float(w.std())))
    return track


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["GokmenVlasov", "ReRamArrayOM"])
def test_pulse_trajectories_are_those_of_aihwkit(name):
    devices = working_aihwkit()
    device = getattr(devices, f"{name}PresetDevice")()
    if hasattr(device, "subtract_symmetry_point"):
        device.subtract_symmetry_point, device.reference_std = False, 0.0
    sheet, count = sheet_of(name).datasheet, {"GokmenVlasov": 150, "ReRamArrayOM": 4}[name]
    for (our_mean, our_spread), (mean, spread) in zip(
        ours(sheet, count, count), theirs(device, count, count), strict=True
    ):
        assert our_mean == pytest.approx(mean, abs=0.05 * abs(mean) + 0.02)
        assert our_spread == pytest.approx(spread, rel=0.2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["ecram", "mixed-8bit-table"])
def test_exported_devices_do_there_what_they_do_here(name):
    working_aihwkit()
    sheet = load("ecram")
    if name.endswith("table"):
        law = {"law": "table", "step": 0.01, "levels": [0, 0.5, 1], "up": [0.5, 1, 0.7], "down": [1, 1.2, 0.4],
               "spread_up": [0.3, 0.3, 0.3], "spread_down": [0.3, 0.3, 0.3]}  # fmt: skip
        sheet = Datasheet.model_validate(sheet.model_dump(exclude_unset=True) | {"pulses": law})
    made: dict = {}
    exec(to_aihwkit.export(sheet, name), made)
    count = 150 if name == "ecram" else 25
    quiet = {"faults": {}, "drift": {}, "programming": {}, "endurance": {}}
    bare = Datasheet.model_validate({k: v for k, v in sheet.model_dump(exclude_unset=True).items() if k not in quiet})
    for (our_mean, our_spread), (mean, spread) in zip(
        ours(bare, count, count), theirs(made["device"], count, count), strict=True
    ):
        assert our_mean == pytest.approx(mean, abs=0.03)
        assert our_spread == pytest.approx(spread, rel=0.25)


def test_crosssim_reads_with_the_noise_of_the_datasheet():
    pytest.importorskip(
        "simulator.devices.idevice", reason="CrossSim is in no package index: put it on the path to compare"
    )
    from types import SimpleNamespace

    made: dict = {}
    sheet = load("reram")
    exec(to_crosssim.export(sheet, "reram"), made)
    from simulator.backend import ComputeBackend

    ComputeBackend(use_gpu=False)
    parameters = SimpleNamespace(
        Gmin_norm=0.0, Gmax_norm=1.0, Grange_norm=1.0, clip_conductance=False, cell_bits=0, time=0.0
    )
    device = made["Reram"](parameters, SimpleNamespace(magnitude=0.0))
    x = np.full((200, 200), 0.5)
    g = (sheet.cells.g_min_s + 0.5 * sheet.cells.span_s) / sheet.cells.g_max_s
    assert (device.read_noise(x) - x).std() == pytest.approx(to_crosssim.read_spread(sheet, np.array([g]))[0], rel=0.03)
    assert (device.programming_error(x) - x).std() == pytest.approx(
        sheet.programming.sigma_s(g) / sheet.cells.span_s, rel=0.03
    )
    folds = np.log(100.0)
    relaxed = device.drift_error(x, 100.0)
    drift = sheet.drift
    assert (relaxed - x).mean() * sheet.cells.span_s == pytest.approx(drift.mean_slope_s * folds, abs=3e-8)

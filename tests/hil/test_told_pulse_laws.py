"""A board that tells its pulse law needs no datasheet to be trained by pulses; what it tells is not believed unread."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from drivers.doors import Options
from drivers.errors import ProtocolViolation
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from firmware_specs import device_numbers
from firmware_specs.codes import PULSE_LAWS, Parameter
from firmware_specs.datasheet import load
from firmware_specs.datasheet.pulses import Pulses
from hil.cli import build_app
from hil.counterparts.described import completed, datasheet_of
from hil.counterparts.opening.wire import crossbar_of

LAWS = {
    "constant": {},
    "linear": {"slope_up": 0.4, "slope_down": 0.2, "zero": 0.4, "asymmetry": 0.1},
    "soft_bounds": {"threshold_v": 0.7},
    "exponential": {"amplitude_up": 0.05, "amplitude_down": 0.1, "gamma_up": 2.0, "gamma_down": 1.5, "shift": 0.1},
    "power": {"gamma_up": 1.5, "gamma_down": 0.5, "one_sided": True},
}
NOMINAL = {"step": 0.003, "amplitude_v": 2.5, "width_s": 2e-6}


def sheet(law, **numbers):
    return load("mixed-8bit").model_copy(update={"pulses": Pulses(law=law, **NOMINAL | numbers)})


@pytest.fixture(scope="module")
def info():
    with crossbar_of(Machine(Device(Chip(sheet("constant"), 1))), Options(), "board") as crossbar:
        return crossbar.info


def telling(info, parameters):
    return replace(info, parameters=parameters)


def test_every_law_is_understood_as_it_is_told(info):
    assert set(LAWS) == set(PULSE_LAWS) - {"none"}
    for law, numbers in LAWS.items():
        told = sheet(law, **numbers)
        understood = datasheet_of(telling(info, device_numbers.parameters(told)), "board")
        assert understood.pulses == told.pulses, law


def test_what_is_not_told_has_the_values_of_the_text_and_no_law_is_none(info):
    numbers = device_numbers.parameters(sheet("linear"))
    few = {n: v for n, v in numbers.items() if n < Parameter.PULSE_THRESHOLD_V}
    assert datasheet_of(telling(info, few), "board").pulses == sheet("linear").pulses
    silent = {n: v for n, v in numbers.items() if n < Parameter.PULSE_LAW}
    assert datasheet_of(telling(info, silent), "board").pulses.law == "none"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({Parameter.PULSE_LAW: 6.0}, "pulse_law, is 6: laws are 1 to 5"),
        ({Parameter.PULSE_LAW: 0.0}, "pulse_law, is 0"),
        ({Parameter.PULSE_LAW: 1.5}, "pulse_law, is 1.5"),
        ({Parameter.PULSE_STEP: None}, "not parameter 15, pulse_step"),
        ({Parameter.PULSE_WIDTH_S: None}, "not parameter 17, pulse_width_s"),
        ({Parameter.PULSE_STEP: 2.0}, "step"),
        ({Parameter.PULSE_WIDTH_S: -1.0}, "width_s"),
        ({Parameter.PULSE_ZERO: 0.0}, "zero"),
        ({Parameter.PULSE_ASYMMETRY: -1.0}, "asymmetry"),
    ],
)
def test_a_law_that_cannot_be_is_refused_with_what_is_wrong(info, wrong, words):
    numbers = device_numbers.parameters(sheet("linear")) | wrong
    with pytest.raises(ProtocolViolation, match=words):
        datasheet_of(telling(info, {n: v for n, v in numbers.items() if v is not None}), "board")


def test_a_law_on_file_counts_before_the_nominal_one_and_a_file_without_takes_the_device_s():
    told, measured = sheet("constant"), sheet("linear", slope_up=0.3)
    assert completed(None, told).pulses == told.pulses
    assert completed(measured, told).pulses == measured.pulses
    assert completed(load("mixed-8bit").model_copy(update={"pulses": Pulses()}), told).pulses == told.pulses


def test_a_board_without_a_datasheet_is_trained_by_its_own_pulses(c_boards, tmp_path):
    board = c_boards.make("host", "OPTIMIZED=-O2", name="pulsed") / "board"
    lab = tmp_path / "lab.toml"
    with c_boards.running(board) as address:
        lab.write_text(f'[devices.board]\naddress = "{address}"\nwatchdog_s = 30.0\n')  # a host may stand still
        few = ["run.epochs=2", "data.train_samples=320", "data.test_samples=120", "run.eval_batch=120"]
        arguments = ["train", "digits", "--device", f"bench:{lab}#board", "--run-dir", str(tmp_path / "run")]
        arguments += ["--json", str(tmp_path / "summary.json"), "--set", 'update.kind="pulsed"']
        shown = CliRunner().invoke(build_app(), [*arguments, *(word for key in few for word in ("--set", key))])
    assert shown.exit_code == 0, shown.output
    assert json.loads((tmp_path / "summary.json").read_text())["test_accuracy"] > 0.4

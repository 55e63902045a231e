"""Datasheets: the shipped ones load, and every refusal names file, key and what was expected."""

import tomllib

import pytest

from firmware_specs.datasheet import Datasheet, DatasheetError, load, shipped
from firmware_specs.datasheet.converters import Adc, Dac

BOARD = """
[identity]
vendor = "me"
model = "bench-1"
[fabric]
[cells]
g_min_s = 1.0e-6
g_max_s = 1.0e-4
[neurons]
state_unit_v = 1.0
transimpedance_ohm = 1.0e4
linear_low_v = -2.0
linear_high_v = 2.0
[drive_dac]
bits = 8
low_a = -1.0e-4
high_a = 1.0e-4
[nudge_dac]
low_a = -1.0e-5
high_a = 1.0e-5
[state_adc]
bits = 8
low_v = 0.0
high_v = 1.0
[output_adc]
bits = 8
low_v = -2.0
high_v = 2.0
[settle]
time_s = 1.0e-5
[limits]
max_drive_a = 1.0e-4
"""


@pytest.fixture
def refused(tmp_path):
    def attempt(old: str, new: str) -> str:
        assert BOARD.count(old) >= 1
        path = tmp_path / "bench-1.toml"
        path.write_text(BOARD.replace(old, new, 1))
        with pytest.raises(DatasheetError) as caught:
            load(path)
        assert str(caught.value).startswith(str(path))
        return str(caught.value)

    return attempt


def test_the_document_the_refusals_start_from_is_accepted(tmp_path):
    path = tmp_path / "bench-1.toml"
    path.write_text(BOARD)
    assert load(path).identity.model == "bench-1"


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_datasheet_loads_and_survives_a_round_trip(name):
    sheet = load(name)
    assert Datasheet.model_validate(sheet.model_dump(mode="json")) == sheet


@pytest.mark.parametrize("name", ["ideal", "discrete-board", "mixed-8bit"])
def test_the_promised_datasheets_are_shipped(name):
    assert name in shipped()


def test_mixed_8bit_has_the_figures_it_is_named_after():
    sheet = load("mixed-8bit")
    assert [c.bits for c in (sheet.drive_dac, sheet.nudge_dac, sheet.state_adc, sheet.output_adc)] == [8] * 4
    assert sheet.neurons.gain_mismatch_sigma == 0.01
    assert sheet.neurons.offset_mismatch_sigma_v == 0.005 * sheet.neurons.state_unit_v
    assert sheet.state_adc.noise_sigma_v == 0.005 * sheet.neurons.state_unit_v


def test_discrete_board_has_12_bit_dacs_and_16_bit_adcs():
    sheet = load("discrete-board")
    assert (sheet.drive_dac.bits, sheet.nudge_dac.bits, sheet.state_adc.bits, sheet.output_adc.bits) == (12, 12, 16, 16)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[settle]", "[settle]\ntimeout_s = 1.0", "settle.timeout_s: unknown key"),
        ("[fabric]", "[frabic]", "frabic: unknown key"),
        ("time_s = 1.0e-5", "", "settle.time_s: missing"),
        ("g_min_s = 1.0e-6", "g_min_s = 2.0e-4", "g_min_s < g_max_s is needed"),
        ("g_min_s = 1.0e-6", "g_min_s = -1.0e-6", "cells.g_min_s: Input should be greater than or equal to 0"),
        ("g_min_s = 1.0e-6", "g_min_s = nan", "cells.g_min_s"),
        ("g_max_s = 1.0e-4", "g_max_s = inf", "cells.g_max_s: Input should be a finite number"),
        ("bits = 8", "bits = 40", "drive_dac.bits: Input should be less than or equal to 32"),
        ("bits = 8", "bits = 7.5", "drive_dac.bits"),
        ("low_a = -1.0e-4", "low_a = 1.0e-5", "drive_dac: low_a < 0 < high_a is needed"),
        ("low_v = 0.0", "low_v = 0.1", "state_adc: range 0.1 .. 1.0 V is narrower than the state rails, 0.0 .. 1.0 V"),
        ("high_v = 1.0", "high_v = 0.5", "state_adc: range 0.0 .. 0.5 V is narrower than the state rails"),
        ("low_v = -2.0\nhigh_v = 2.0", "low_v = -1.0\nhigh_v = 2.0", "output_adc: range -1.0 .. 2.0 V is narrower"),
        ("low_v = 0.0\nhigh_v = 1.0", "low_v = 1.0\nhigh_v = 0.0", "state_adc: low_v < high_v is needed"),
        ("high_a = 1.0e-4", "high_a = 2.0e-4", "drive_dac: reaches 0.0002 A, above limits.max_drive_a"),
        ("linear_low_v = -2.0", "linear_low_v = 0.5", "linear_low_v <= 0 and state_unit_v <= linear_high_v are needed"),
        ("high_v = 1.0", "high_v = 1.0\nnoise_sigma_v = -0.1", "state_adc.noise_sigma_v: Input should be greater"),
        ("[fabric]", "[fabric]\nlayers = [4]", "a fixed topology has at least two layers"),
        ("[fabric]", "[fabric]\narrays = 0", "fabric.arrays: Input should be greater than 0"),
        ("[fabric]", '[fabric]\ncouplings = ["pool"]', "fabric.couplings.0: Input should be 'dense' or 'conv'"),
        ("[identity]", "limits = 3\n[identity]", "not TOML"),
        ("vendor", "vendor vendor", "not TOML"),
    ],
)
def test_a_bad_datasheet_is_refused_with_file_key_and_expectation(refused, old, new, expected):
    assert expected in refused(old, new)


def test_errors_counted_in_codes_need_codes(refused):
    message = refused("low_a = -1.0e-5", "low_a = -1.0e-5\ninl_lsb = 1.0")
    assert "nudge_dac: inl_lsb: counted in LSB, but bits = 0 (an ideal converter) has none" in message


def test_all_problems_are_told_at_once(refused):
    message = refused("g_min_s = 1.0e-6\ng_max_s = 1.0e-4", "g_min_s = -1.0\ng_max = 1.0")
    assert "cells.g_min_s" in message
    assert "cells.g_max: unknown key" in message
    assert "cells.g_max_s: missing" in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", ", ".join(shipped())),
        ("zzz", ", ".join(shipped())),
        ("mixed-9bit", "did you mean mixed-8bit"),
        ("/nowhere/board.toml", "^/nowhere/board.toml: No such file"),
    ],
)
def test_an_unknown_name_is_refused_with_the_close_ones_or_all(name, said):
    with pytest.raises(DatasheetError, match=said):
        load(name)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "noise.toml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(DatasheetError, match=r"noise\.toml"):
        load(path)


def test_a_shipped_datasheet_says_where_its_figures_come_from():
    for name in shipped():
        assert tomllib.loads(_text(name))["identity"]["description"]


def _text(name: str) -> str:
    from importlib import resources

    return (resources.files("firmware_specs.datasheets") / f"{name}.toml").read_text()


def test_code_steps_are_worked_out_by_hand():
    dac = Dac(bits=3, low_a=-3.5, high_a=3.5)
    assert (dac.max_code, dac.lsb) == (7, 1.0)
    adc = Adc(bits=8, low_v=0.0, high_v=2.55)
    assert adc.max_code == 255
    assert adc.lsb == pytest.approx(0.01)
    assert Adc(low_v=0, high_v=1).max_code == 2**32 - 1


def test_a_number_too_long_to_read_is_no_toml(tmp_path):
    path = tmp_path / "long.toml"
    path.write_text(f"chips = {'9' * 5000}")
    with pytest.raises(DatasheetError, match=r"long\.toml: not TOML"):
        load(path)

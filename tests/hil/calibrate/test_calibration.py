"""Calibration: what is measured agrees with the chip, corrections bring states to their nominal values, files hold."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from drivers.errors import CalibrationExpired, OutOfRange
from emulator.chip import Chip
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.topology import Dense, Layer, Topology, dense_chain
from hil.bench import AddressError, open_bench
from hil.calibrate import file
from hil.calibrate.measure import measure_array
from hil.cli import build_app
from hil.devices.wire import crossbar_of_chip, open_crossbar

TOPOLOGY = dense_chain([24, 16, 8])
HEADER = {"id": "c1", "model": "mixed-8bit", "serial": "seed-3"}


def fine_chip(seed=3, **sections):
    """mixed-8bit with 12-bit converters, so that its mismatch shows, and what else is given."""
    sheet = load("mixed-8bit").model_dump()
    for converter in ("drive_dac", "nudge_dac", "state_adc", "output_adc"):
        sheet[converter]["bits"] = 12
    for name, changes in sections.items():
        sheet[name] |= changes
    return Chip(Datasheet.model_validate(sheet), seed)


def calibrate(tmp_path, chip, topology=TOPOLOGY, valid_days=7.0):
    with crossbar_of_chip(chip) as crossbar:
        findings = [measure_array(crossbar, 0, topology)]
        path = tmp_path / "cal.toml"
        return path, file.write(path, file.Identified("c1", valid_days), crossbar, findings), findings[0]


def neurons(chip, layer):
    """True gain and offset of a layer's units, offset at the input in state units."""
    found = chip.arrays[0].network.neurons[layer]
    return found.gain.numpy(), (-found.offset / found.gain).numpy()


def test_gain_and_offset_of_every_unit_agree_with_the_chip_within_their_uncertainties(tmp_path):
    chip = fine_chip()
    found = calibrate(tmp_path, chip)[2]
    z = []
    for layer, transfer in enumerate(found.layers):
        gain, offset = neurons(chip, layer)
        z.append((transfer.gain - gain) / transfer.gain_sigma)
        z.append((transfer.offset - offset) / transfer.offset_sigma)
    z = np.concatenate(z)
    assert np.abs(z).max() < 4.5  # the largest of 96
    assert (np.abs(z) < 2.2).mean() > 0.9


def test_channel_gain_and_offset_are_told_apart_from_the_neurons(tmp_path):
    chip = fine_chip(state_adc={"gain_error_sigma": 0.02, "low_v": -0.2, "high_v": 1.2})
    transfer = calibrate(tmp_path, chip)[2].layers[0]
    assert 0.01 < transfer.read_gain.std() < 0.03
    gain, _ = neurons(chip, 0)
    assert np.abs(transfer.gain - gain).max() < 0.01


def test_stuck_cells_are_found_where_they_are(tmp_path):
    chip = fine_chip(faults={"stuck_on": 0.02, "stuck_off": 0.02})
    found = calibrate(tmp_path, chip)[2]
    for coupling, cells in enumerate(found.cells):
        stuck = np.argwhere(chip.arrays[0].crossbars[coupling]._defects.stuck.numpy())
        assert {tuple(c) for c in cells.stuck} == {tuple(c) for c in stuck}


def test_calibrated_states_are_nearer_to_the_reference_than_raw_ones(tmp_path):
    """2 % gain and 1 % offset of channels and neurons: corrected readings lose the part that can be corrected."""
    sections = {"state_adc": {"gain_error_sigma": 0.02}, "neurons": {"offset_mismatch_sigma_v": 0.02}}
    chip = fine_chip(**sections)
    sheet_file = tmp_path / "chip.toml"
    sheet_file.write_text(_toml(chip.datasheet.model_dump(exclude_defaults=True)))
    calibrate(tmp_path, chip)
    lab = tmp_path / "lab.toml"
    address = f'address = "emulator:{sheet_file}?seed=3"\n'
    lab.write_text(f'[devices.raw]\n{address}[devices.cal]\n{address}calibration = "cal.toml"\n')
    torch.manual_seed(0)
    weights = {f"weight_{i}": torch.randn(c, r) * 0.1 for i, (r, c) in enumerate([(24, 16), (16, 8)])}
    weights |= {f"bias_{i}": torch.zeros(c) for i, c in enumerate([16, 8])}
    drive = torch.rand(64, 24)
    states = {}
    for address in ("reference:", f"bench:{lab}#raw", f"bench:{lab}#cal"):
        with open_bench(address) as bench:
            array = bench.place(TOPOLOGY)
            array.program(weights)
            states[address[-3:]] = array.settle(drive).free
    exact = states["ce:"]
    for layer in range(3):
        raw, cal = (float((states[k][layer] - exact[layer]).square().mean()) for k in ("raw", "cal"))
        assert cal < 0.8 * raw, f"layer {layer}"


def test_the_file_is_read_back_as_it_was_written(tmp_path):
    path, made, _ = calibrate(tmp_path, fine_chip())
    assert file.read(path) == made
    assert made.calibration.temperature_k == pytest.approx(300.0)
    assert made.entry(0, TOPOLOGY).layers[0].layer == 0


def test_an_array_calibrated_with_another_block_is_refused(tmp_path):
    _, made, _ = calibrate(tmp_path, fine_chip())
    with pytest.raises(CalibrationExpired, match=r"layers \[24, 16\].*Calibrate with the experiment"):
        made.entry(0, dense_chain([24, 16]))


def test_a_resistive_network_is_refused_in_words():
    source = Dense(pre=-1, post=0, bias=False)
    block = Topology(
        substrate="resistive", source=(2, 2), layers=(Layer(shape=(3,), clamped=False),), couplings=(source,)
    )
    with open_crossbar("emulator:resistive-ideal") as crossbar, pytest.raises(OutOfRange, match="no neuron circuits"):
        measure_array(crossbar, 0, block)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"serial": "seed-9"}, "it is of mixed-8bit seed-9, the device is mixed-8bit seed-3"),
        ({"made": datetime.now(UTC) - timedelta(days=8)}, "8.0 days old and holds for 7"),
        ({"made": datetime.now(UTC) + timedelta(days=1)}, "made in the future"),
    ],
)
def test_a_foreign_or_expired_calibration_refuses_unless_overridden_by_name(change, match, tmp_path):
    header = HEADER | {"made": datetime.now(UTC), "valid_days": 7.0} | change
    lines = [f"{k} = {v.isoformat() if isinstance(v, datetime) else repr(v)}" for k, v in header.items()]
    (tmp_path / "cal.toml").write_text("arrays = []\n[calibration]\n" + "\n".join(lines).replace("'", '"') + "\n")
    lab = tmp_path / "lab.toml"
    entry = '[devices.chip]\naddress = "emulator:mixed-8bit?seed=3"\ncalibration = "cal.toml"\n'
    lab.write_text(entry)
    with pytest.raises(CalibrationExpired, match=match):
        open_bench(f"bench:{lab}#chip")
    lab.write_text(entry + 'allow_calibration = "c1"\n')
    with open_bench(f"bench:{lab}#chip") as bench:
        record = bench.describe()["calibration"]
    assert record["id"] == "c1" and match.split(",")[0][:8] in record["overridden"][0]


def test_reference_has_nothing_to_calibrate(tmp_path):
    (tmp_path / "lab.toml").write_text('[devices.ref]\naddress = "reference:"\ncalibration = "cal.toml"\n')
    with pytest.raises((CalibrationExpired, AddressError)):
        open_bench(f"bench:{tmp_path / 'lab.toml'}#ref")


def test_the_command_says_what_it_found(tmp_path):
    path = tmp_path / "cal.toml"
    arguments = ["calibrate", "--device", "emulator:mixed-8bit?seed=3", "--experiment", "digits", "-o", str(path)]
    shown = CliRunner().invoke(build_app(), arguments)
    assert shown.exit_code == 0, shown.output
    assert "cells stuck" in shown.output and "units dead" in shown.output
    assert file.read(path).calibration.serial == "seed-3"


def _toml(sections):
    def value(v):
        if isinstance(v, bool):
            return str(v).lower()
        if isinstance(v, list | tuple):
            return "[" + ", ".join(value(x) for x in v) + "]"
        return repr(v).replace("'", '"')

    lines = []
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{k} = {value(v)}" for k, v in keys.items() if v is not None]
    return "\n".join(lines) + "\n"

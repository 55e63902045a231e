"""Calibration: what is measured agrees with the chip, corrections bring states to their nominal values, files hold."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import tomli_w
import torch
from typer.testing import CliRunner

from drivers.errors import CalibrationExpired
from emulator.chip import Chip
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.datasheet import Datasheet, load
from hil.cli import build_app
from hil.counterparts.opening.address import AddressError
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.calibrate import file
from hil.measuring.calibrate.measure import measure_array

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
    calibrate(tmp_path, chip)
    torch.manual_seed(0)
    weights = {f"weight_{i}": torch.randn(c, r) * 0.1 for i, (r, c) in enumerate([(24, 16), (16, 8)])}
    weights |= {f"bias_{i}": torch.zeros(c) for i, c in enumerate([16, 8])}
    states = settled_three_ways(tmp_path, chip, TOPOLOGY, weights, torch.rand(64, 24))
    for layer in range(3):
        raw, cal = (float((s[layer] - states[2][layer]).square().mean()) for s in states[:2])
        assert cal < 0.8 * raw, f"layer {layer}"


def settled_three_ways(tmp_path, chip, topology, weights, drive):
    """States as read, corrected by `cal.toml`, and exact."""
    sheet_file, lab = tmp_path / "chip.toml", tmp_path / "lab.toml"
    sheet_file.write_text(tomli_w.dumps(chip.datasheet.model_dump(exclude_defaults=True, exclude_none=True)))
    address = f'address = "emulator:{sheet_file}?seed={chip.seed}"\n'
    lab.write_text(f'[devices.raw]\n{address}[devices.cal]\n{address}calibration = "cal.toml"\n')
    states = []
    for place in (f"bench:{lab}#raw", f"bench:{lab}#cal", "reference:"):
        with open_bench(place) as bench:
            array = bench.place(topology)
            array.program(weights)
            states.append(array.settle(drive).free)
    return states


def test_the_file_is_read_back_as_it_was_written(tmp_path):
    path, made, _ = calibrate(tmp_path, fine_chip())
    assert file.read(path) == made
    assert made.calibration.temperature_k == pytest.approx(300.0)
    assert made.entry(0, TOPOLOGY).layers[0].layer == 0
    shown = made._repr_html_()
    assert made.calibration.id in shown and "<li>array 0 layer 0: gain" in shown
    first, *_, last = (line for line in shown.split("<li>") if ": gain" in line)
    assert (
        "channel gain" in first and "channels taken as nominal" in last
    )  # a linear layer has no rails to tell them by


def test_an_array_calibrated_with_another_block_is_refused(tmp_path):
    _, made, _ = calibrate(tmp_path, fine_chip())
    smaller = dense_chain([24, 16])
    steeper = dense_chain([24, 16, 8], slope=0.25)
    for array, other, why in (
        (0, smaller, r"calibrated with hopfield 24-16-8, .* is hopfield 24-16 \(other layers, couplings\)"),
        (0, steeper, r"\(other layers\)"),
        (1, TOPOLOGY, "array 1 was not calibrated"),
    ):
        with pytest.raises(CalibrationExpired, match=f"{why}.*Calibrate with the experiment"):
            made.entry(array, other)


def resistive_chip(seed=1, **changes):
    sheet = load("resistive-board").model_dump()
    for name in ("state_adc", "output_adc"):
        sheet[name] |= {"gain_error_sigma": 0.01, "offset_error_sigma_lsb": 4.0}
    sheet["drive_dac"] |= {"gain_error_sigma": 0.005}
    for name, section in changes.items():
        sheet[name] |= section
    return Chip(Datasheet.model_validate(sheet), seed)


def test_channels_and_sources_of_a_resistive_network_agree_with_the_chip(tmp_path):
    chip = resistive_chip()
    _, made, found = calibrate(tmp_path, chip, resistive_chain(12, [6, 4]))
    assert "neurons" in found.skipped and not [c for c in found.cells if len(c.stuck)]
    source = chip.arrays[0].drive.gain.numpy()
    for layer, transfer in enumerate(found.layers):
        channels = chip.arrays[0].states[layer]
        gain, offset = 1 + channels.gain.numpy(), channels.offset_lsb.numpy() * found.steps[layer]
        assert np.abs(transfer.read_gain / (1 + source.mean()) - gain).max() < 2e-3
        assert np.abs((transfer.read_offset - offset) / transfer.read_offset_sigma).max() < 4.5
    z = (found.sources.gain - (1 + source) / (1 + source.mean())) / found.sources.gain_sigma
    assert np.abs(z).max() < 4.5
    assert made.arrays[0].sources is not None and made.arrays[0].couplings[0].missed == 0


def test_a_resistive_network_on_a_bench_reads_with_the_channels_corrected(tmp_path):
    chip, topology = resistive_chip(), resistive_chain(12, [6, 4])
    calibrate(tmp_path, chip, topology)
    raw, corrected, exact = settled_three_ways(
        tmp_path,
        chip,
        topology,
        {f"weight_{i}": 0.3 + 0.2 * torch.rand(c, r) for i, (r, c) in enumerate([(12, 6), (6, 4)])}
        | {f"bias_{i}": torch.zeros(c) for i, c in enumerate([6, 4])},
        20 * torch.rand(32, 12) - 5,
    )
    errors = [float((states[0] - exact[0]).square().mean()) for states in (raw, corrected)]
    assert errors[1] < 0.3 * errors[0]  # behind it, conducting diodes are what differs, not channels


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
    assert "0 stuck" in shown.output and "settle time" in shown.output and "units dead" in shown.output
    assert file.read(path).calibration.serial == "seed-3"
    assert CliRunner().invoke(build_app(), ["report", str(path)]).exit_code == 0
    page = path.with_suffix(".html").read_text()
    assert "stuck cells" in page and "asked level" in page and "<svg" in page


def test_settle_time_is_measured_and_becomes_the_wait_of_the_device(tmp_path):
    sheet = {"neurons": {"node_capacitance_f": 3e-11}, "settle": {"mode": "transient", "tolerance": 1e-3}}
    chip = fine_chip(**sheet)
    _, made, found = calibrate(tmp_path, chip, dense_chain([8, 6]))
    assert found.settling.tau_s.agrees(3e-7)
    wait_s = made.arrays[0].settling.wait_s
    assert 2 * 3e-7 * np.log(500) < wait_s < 1e-5
    (tmp_path / "chip.toml").write_text(tomli_w.dumps(chip.datasheet.model_dump(exclude_none=True)))
    address = f"emulator:{tmp_path / 'chip.toml'}?seed={chip.seed}"
    (tmp_path / "lab.toml").write_text(f'[devices.cal]\naddress = "{address}"\ncalibration = "cal.toml"\n')
    with open_bench(f"bench:{tmp_path / 'lab.toml'}#cal") as bench:
        array = bench.place(dense_chain([8, 6]))
        array.program({"weight_0": torch.zeros(6, 8), "bias_0": torch.zeros(6)})
        seconds = []
        settle = bench.bench.chip.settle
        bench.bench.chip.settle = lambda *given: seconds.append(given[-1]) or settle(*given)
        array.settle(torch.rand(4, 8))
    assert seconds == [wait_s]


def test_dead_lines_are_told_from_stuck_cells(tmp_path):
    chip = fine_chip(faults={"open_rows": 0.1, "open_columns": 0.1})
    found = calibrate(tmp_path, chip)[2]
    for coupling, cells in enumerate(found.cells):
        lines = chip.arrays[0].crossbars[coupling]._defects.open_lines.numpy()
        assert {tuple(c) for c in cells.dead_rows} == {tuple(c) for c in np.argwhere(lines.all(axis=2))}
        assert {tuple(c) for c in cells.dead_columns} == {tuple(c) for c in np.argwhere(lines.all(axis=1))}
        assert not len(cells.stuck)


def test_the_map_of_cells_beside_the_file_holds_what_every_cell_achieved(tmp_path):
    path, made, found = calibrate(tmp_path, fine_chip())
    maps = file.maps(path, made)
    assert np.allclose(maps["achieved_0_1"], found.cells[1].achieved, atol=1e-6)
    assert np.abs(maps["achieved_0_1"] - maps["level"]).max() < made.arrays[0].couplings[1].tolerance + 1e-3
    assert made.arrays[0].couplings[1].missed == 0
    assert max(made.arrays[0].couplings[1].spread) < 0.01


def test_a_bowed_converter_is_straightened_on_the_bench(tmp_path):
    chip = fine_chip(state_adc={"bits": 10, "inl_lsb": 12.0, "low_v": -0.2, "high_v": 1.2})
    calibrate(tmp_path, chip)
    weights = {f"weight_{i}": torch.zeros(c, r) for i, (r, c) in enumerate([(24, 16), (16, 8)])}
    weights |= {f"bias_{i}": torch.zeros(c) for i, c in enumerate([16, 8])}
    raw, corrected, exact = settled_three_ways(tmp_path, chip, TOPOLOGY, weights, torch.rand(400, 24))
    bow = [(states[0] - exact[0]).mean(1) for states in (raw, corrected)]
    assert bow[1].abs().mean() < 0.5 * bow[0].abs().mean()

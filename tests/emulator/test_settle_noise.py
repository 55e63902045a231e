"""Noise of cells and nodes in a settle, and settling in time."""

import math

import pytest
import torch

from emulator import network, readout, transient
from emulator.chip import Chip
from emulator.readout import thermal_sigma_v
from emulator.settling import Phases
from emulator.wiring import Wiring
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.topology import Conv, Dense, Layer, Topology

CONV = Topology(
    layers=(Layer(shape=(2, 6, 6)), Layer(shape=(3, 3, 3), clamped=False)),
    couplings=(Conv(pre=0, post=1, pool=True),),
)


def sheet(**sections):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["settle"] |= {"tolerance": 1e-9}
    return Datasheet.model_validate(plain | {k: plain.get(k, {}) | v for k, v in sections.items()})


def programmed(datasheet, topology, seed=0, strength=0.05):
    chip = Chip(datasheet, seed, dtype=torch.float64)
    chip.configure(0, topology)
    generator = torch.Generator().manual_seed(11)
    weights = [
        torch.randn(topology.cells(c), generator=generator, dtype=torch.float64) * strength for c in topology.couplings
    ]
    ohm = datasheet.neurons.transimpedance_ohm
    chip.program(0, [torch.stack([w.clamp(min=0), (-w).clamp(min=0)]) / ohm for w in weights])
    return chip


def drive_for(chip, batch):
    shape = chip.arrays[0].topology.drive_shape
    z = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).expand(batch, *shape)
    return z / chip.datasheet.neurons.transimpedance_ohm


@pytest.mark.parametrize("topology", [dense_chain([12, 8]), CONV], ids=["dense", "conv with pooling"])
def test_noise_at_the_summing_nodes_has_the_spread_of_noise_in_every_cell(topology):
    """4 000 samples with the output-side draw against 250 networks with every cell drawn.

    Each is relaxed from the network without noise, to a thousandth of the bound on the mean: small weights have one
    equilibrium only.
    """
    law = {"law": "relative", "sigma": 0.03}
    chip, quiet = (programmed(sheet(read_noise=n), topology) for n in (law, {}))
    seen = chip.settle(0, drive_for(chip, 4000))[0].states_v[-1].flatten(1)
    generator, placed, rows = torch.Generator().manual_seed(2), chip.arrays[0], []
    z = drive_for(chip, 1) * chip.datasheet.neurons.transimpedance_ohm
    calm = network.relax(placed.network, z, stop=network.Stop(500, 1e-9)).states
    for _ in range(250):
        noisy = placed.noisy_network(generator)
        rows.append(network.relax(noisy, z, start=calm, stop=network.Stop(500, 1e-7)).states[-1].flatten(1))
    cells = torch.cat(rows)
    rest = quiet.settle(0, drive_for(chip, 1))[0].states_v[-1].flatten(1)
    scale = float(cells.std(0).mean())
    assert float((seen.mean(0) - rest).abs().max()) < 0.1 * scale
    assert float((seen.var(0).sum() / cells.var(0).sum()).sqrt()) == pytest.approx(1, abs=0.05)


def test_a_product_has_exactly_the_variance_of_its_cells():
    chip = programmed(sheet(read_noise={"law": "additive", "sigma": 0.02}), dense_chain([12, 8], bias=False))
    volts = torch.rand(12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    seen = chip.product(0, 0, volts.expand(40_000, 12))
    g, span_s = chip.conductances_s(0)[0], chip.datasheet.cells.span_s
    sigma = float((2 * (volts**2).sum()).sqrt()) * 0.02 * span_s
    assert float((seen.mean(0) - volts @ (g[0] - g[1])).abs().max()) < 5 * sigma / 200
    assert float(seen.std(0).sub(sigma).abs().max()) < 5 * sigma / math.sqrt(2 * 40_000)


@pytest.mark.parametrize(("correlation", "cancels"), [("transaction", True), ("phase", False)])
def test_noise_of_a_transaction_cancels_in_the_contrast_and_noise_of_a_phase_does_not(correlation, cancels):
    law = {"law": "relative", "sigma": 0.03, "correlation": correlation}
    chip = programmed(sheet(read_noise=law), dense_chain([12, 8]))
    nudge = torch.zeros(2000, 8, dtype=torch.float64)
    free, up = chip.settle(0, drive_for(chip, 2000), [nudge])
    spread = float(free.states_v[-1].std(0).mean())
    assert spread > 1e-3
    moved = float((up.states_v[-1] - free.states_v[-1]).std(0).mean())
    assert moved < 1e-6 if cancels else moved == pytest.approx(spread * math.sqrt(2), rel=0.1)


def test_samples_of_one_batch_meet_different_noise():
    chip = programmed(sheet(read_noise={"law": "relative", "sigma": 0.03}), dense_chain([12, 8]))
    states = chip.settle(0, drive_for(chip, 2))[0].states_v[-1]
    assert not torch.allclose(states[0], states[1])


def test_thermal_noise_of_a_node_is_kt_over_c():
    plain = sheet(neurons={"node_capacitance_f": 1e-12, "thermal_noise": True})
    assert thermal_sigma_v(plain.neurons, 300.0) == pytest.approx(64.4e-6, rel=0.01)
    chip = programmed(plain, dense_chain([12, 8]))
    chip.conditions.set_temperature(400.0)
    states = chip.settle(0, drive_for(chip, 20_000))[0].states_v[-1]
    assert float(states.std(0).mean()) == pytest.approx(64.4e-6 * math.sqrt(4 / 3), rel=0.02)


def test_averaged_reads_cut_white_noise_by_their_square_root():
    chip = programmed(sheet(output_adc={"noise_sigma_v": 1e-3}), dense_chain([12, 8]))
    one, many = (chip.settle(0, drive_for(chip, 20_000), reads=n)[0].states_v[-1].std(0).mean() for n in (1, 25))
    assert float(one / many) == pytest.approx(5, rel=0.03)


@pytest.mark.parametrize("at_once", [1, 100, 1 << 16])
def test_reads_that_are_converted_together_are_those_of_one_after_the_other(at_once, monkeypatch):
    monkeypatch.setattr(readout, "AT_ONCE", at_once)
    chip = programmed(load("ecram"), dense_chain([12, 8]))
    placed, adc = chip.arrays[0], chip.datasheet.state_adc
    volts = torch.linspace(adc.low - 0.01, adc.high + 0.01, 5 * 12, dtype=torch.float64).view(5, 12)

    def converted(generator, reads):
        return readout.Readout(placed, 300.0, generator, reads, 0.0)._convert(adc, volts, 2e-3, placed.states[0])

    one, all_seven = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    singly = [converted(one, 1) for _ in range(7)]
    mean, rails = converted(all_seven, 7)
    assert torch.equal(mean, sum(reading for reading, _ in singly) / 7)
    assert torch.equal(rails, torch.stack([at_rail for _, at_rail in singly]).amax(0)) and rails.any()


def test_a_leak_lowers_the_gain():
    chip, leaky = (programmed(sheet(neurons={"leak": x}), dense_chain([1, 1])) for x in (0.0, 0.25))
    drive = torch.full((1, 1), 0.4 / chip.datasheet.neurons.transimpedance_ohm, dtype=torch.float64)
    blank = [torch.zeros(2, 2, 1)]
    for one in (chip, leaky):
        one.program(0, blank)
    states = [float(one.settle(0, drive)[0].states_v[0]) for one in (chip, leaky)]
    assert states == pytest.approx([0.4, 0.3])


TAU_S = 1e5 * 1e-12


def waited(taus, topology=None, **more):
    settle = {"mode": "transient", "time_s": taus * TAU_S, "tolerance": 1e-6}
    return programmed(
        sheet(neurons={"node_capacitance_f": 1e-12}, settle=settle), topology or dense_chain([12, 8]), **more
    )


@pytest.mark.parametrize("taus", [0.5, 1.0, 3.0])
def test_a_single_neuron_charges_exponentially(taus):
    chip = waited(taus, dense_chain([1, 1]))
    chip.program(0, [torch.zeros(2, 2, 1)])
    drive = torch.full((1, 1), 0.4 / chip.datasheet.neurons.transimpedance_ohm, dtype=torch.float64)
    reading = chip.settle(0, drive)[0]
    assert float(reading.states_v[0]) == pytest.approx(0.4 * -math.expm1(-taus), rel=1e-9)
    assert not bool(reading.settled)
    assert reading.time_s == pytest.approx(taus * TAU_S)


def test_a_long_wait_ends_at_the_equilibrium():
    chip, calm = waited(60.0), programmed(sheet(), dense_chain([12, 8]))
    reading = chip.settle(0, drive_for(chip, 3))[0]
    expected = calm.settle(0, drive_for(chip, 3))[0]
    assert bool(reading.settled.all())
    for seen, state in zip(reading.states_v, expected.states_v, strict=True):
        assert torch.allclose(seen, state, atol=1e-6)


def test_steps_of_the_integrator_are_short_enough(monkeypatch):
    coarse = waited(2.0).settle(0, drive_for(waited(2.0), 3))[0].states_v[-1]
    monkeypatch.setattr(transient, "STEPS_PER_TAU", 256)
    fine = waited(2.0).settle(0, drive_for(waited(2.0), 3))[0].states_v[-1]
    assert float((coarse - fine).abs().max() / fine.abs().max()) < 3e-3


def test_a_short_wait_biases_states_and_shrinks_the_contrast():
    errors, contrasts = [], []
    nudge = torch.full((3, 8), 0.01 / 1e5, dtype=torch.float64)
    final = programmed(sheet(), dense_chain([12, 8])).settle(0, drive_for(waited(1.0), 3), [nudge])
    for taus in (1.0, 2.0, 4.0, 16.0):
        free, up = waited(taus).settle(0, drive_for(waited(taus), 3), [nudge])
        errors.append(float((free.states_v[-1] - final[0].states_v[-1]).abs().max()))
        moved = [(u.states_v[0] - f.states_v[0]).norm() for f, u in ((free, up), final)]
        contrasts.append(float((up.states_v[0] - final[1].states_v[0]).norm() / moved[1]))
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05 > 1e-3 > errors[-1]
    # what the first layer's contrast, which carries the gradient, is off by
    assert contrasts == sorted(contrasts, reverse=True)
    assert contrasts[0] > 1 > 0.05 > contrasts[-1]


def test_time_passes_with_every_phase_and_sample():
    chip = waited(2.0)
    chip.settle(0, drive_for(chip, 5), [torch.zeros(5, 8, dtype=torch.float64)] * 2)
    assert chip.conditions.clock_s == pytest.approx(5 * 3 * 2 * TAU_S)


def test_a_resistive_network_charges_with_the_capacitance_over_its_conductance():
    plain = load("resistive-ideal").model_dump(exclude_unset=True)
    plain["neurons"] |= {"node_capacitance_f": 1e-12}
    plain["settle"] |= {"mode": "transient", "time_s": 1e-9}
    datasheet = Datasheet.model_validate(plain)
    topology = Topology(
        substrate="resistive", source=(2,), layers=(Layer(shape=(1,), clamped=False),),
        couplings=(Dense(pre=-1, post=0, bias=False),),
    )  # fmt: skip
    chip = Chip(datasheet, dtype=torch.float64)
    chip.configure(0, topology)
    g = datasheet.cells.g_max_s / 4
    chip.program(0, [torch.full((1, 2, 1), g, dtype=torch.float64)])
    state = chip.settle(0, torch.tensor([[0.3, 0.1]], dtype=torch.float64))[0].states_v[0]
    assert float(state) == pytest.approx(0.2 * -math.expm1(-1e-9 * 2 * g / 1e-12), rel=1e-6)


def test_unchanged_physics_costs_no_second_look_at_the_cells(monkeypatch):
    chip = programmed(sheet(), dense_chain([12, 8]))
    chip.settle(0, drive_for(chip, 2))
    monkeypatch.setattr(Wiring, "network", None)
    chip.settle(0, drive_for(chip, 2))


def test_a_resistive_network_meets_one_realization_in_all_phases_of_a_transaction():
    plain = load("resistive-ideal").model_dump(exclude_unset=True)
    plain |= {"read_noise": {"law": "relative", "sigma": 0.05}}
    plain["settle"] |= {"tolerance": 1e-12}
    topology = Topology(
        substrate="resistive", source=(2,), layers=(Layer(shape=(1,), clamped=False),),
        couplings=(Dense(pre=-1, post=0, bias=False),),
    )  # fmt: skip
    chip = Chip(Datasheet.model_validate(plain), dtype=torch.float64)
    chip.configure(0, topology)
    chip.program(0, [torch.full((1, 2, 1), chip.datasheet.cells.g_max_s / 4, dtype=torch.float64)])
    drive, still = torch.tensor([[0.3, 0.1]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    free, nudged = chip.settle(0, drive, [still])
    assert torch.allclose(free.states_v[0], nudged.states_v[0], rtol=1e-12)
    assert not torch.allclose(free.states_v[0], chip.settle(0, drive)[0].states_v[0], rtol=1e-6)


@pytest.mark.parametrize("law", [{}, {"law": "relative", "sigma": 0.03}], ids=["quiet", "noisy cells"])
def test_maps_of_a_chip_keep_their_channels_side_by_side_from_sweep_to_sweep(law):
    """Whatever layout drive and nudges come in: neurons with mismatch would otherwise turn them at every update."""
    mismatch = {"gain_mismatch_sigma": 0.01, "offset_mismatch_sigma_v": 0.005}
    chip = programmed(sheet(read_noise=law, neurons=mismatch), CONV)
    chip.settle(0, drive_for(chip, 3))
    phases = Phases.begin(chip.arrays[0], 1e-5, torch.Generator().manual_seed(0))
    drive = drive_for(chip, 3) * chip.datasheet.neurons.transimpedance_ohm
    free, offsets = phases.free(drive, None)
    nudges = [torch.full((3, 3, 3, 3), level, dtype=torch.float64) for level in (0.1, -0.1)]
    for relaxed in (free, *phases.nudged(drive, nudges, free, offsets)):
        assert all(s.is_contiguous(memory_format=torch.channels_last) for s in relaxed.states)
    assert all(each.stride(0) == 1 for n in phases.network.neurons for each in (n.gain, n.offset))


def test_nudged_phases_of_one_drive_end_where_each_alone_does():
    chip = programmed(sheet(), CONV)
    z = drive_for(chip, 2)
    nudges = [torch.full((2, 3, 3, 3), a, dtype=torch.float64) / 1e4 for a in (0.1, -0.1, 0.0)]
    together = chip.settle(0, z, nudges)
    for nudge, seen in zip(nudges, together[1:], strict=True):
        alone = chip.settle(0, z, [nudge])[1]
        for one, other in zip(alone.states_v, seen.states_v, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-8)  # the tolerance is 1e-9

"""The Crossbar verbs, the same tests through every door; what the device saw is read from its own journal."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from drivers.crossbar import Crossbar
from drivers.doors import Options
from drivers.errors import BudgetSpent, DeviceFault, OutOfRange
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability, State, Trip
from firmware_specs.datasheet import load
from firmware_specs.messages import Pulse, Region

CHAIN = dense_chain([6, 4])
G_LOW, G_HIGH = 1.0e-6, 1.01e-4


def targets(seed=0):
    return [np.random.default_rng(seed).uniform(G_LOW, G_HIGH, (2, 7, 4))]


@pytest.fixture
def armed(open_crossbar):
    crossbar, device = open_crossbar(options=Options(limits={"this test": {"max_pulses_per_cell": 40.0}}))
    crossbar.configure(0, CHAIN)
    crossbar.arm()
    return crossbar, device


def test_device_says_who_it_is(open_crossbar):
    crossbar, _ = open_crossbar(seed=7)
    identity = crossbar.info.identity
    assert (identity.vendor, identity.model, identity.serial) == ("crossbar-hil", "mixed-8bit", "seed-7")
    assert crossbar.session.status().state is State.SAFE
    assert crossbar.session.self_test().passed


def test_only_changed_cells_are_written_and_counted(armed):
    crossbar, device = armed
    wanted = targets()
    assert crossbar.program(0, wanted).written == 56
    assert crossbar.program(0, wanted).written == 0
    wanted[0][1, 2, 3] += 0.4 * crossbar.g_lsb_s
    assert crossbar.program(0, wanted).written <= 1
    wanted[0][0, 0, 0] = wanted[0][1, 6, 3] = 5e-5
    assert crossbar.program(0, wanted).written == 2
    pulses = [crossbar.session.guard.spent((0, 0, plane))[0] for plane in (0, 1)]
    assert pulses[0][0, 0] == 2 and pulses[0][3, 3] == 1 and pulses[1][6, 3] == 2
    written = [event for event in device.journal.of("setpoint") if event.text.startswith("write")]
    assert len(written) in (2, 3)


def test_what_was_written_reads_back(armed):
    crossbar, _ = armed
    wanted = targets()
    crossbar.program(0, wanted)
    read = crossbar.read_conductances(0, 0, reads=16)
    assert np.abs(read - wanted[0]).max() < 5 * 0.005 * (G_HIGH - G_LOW)


def test_currents_of_cells_follow_their_conductance(armed):
    crossbar, _ = armed
    wanted = targets()
    crossbar.program(0, wanted)
    amperes = crossbar.measure(Region(0, 0, 0, 1, 2, 0, 4), [0.1, -0.1], reads=3)
    assert amperes.shape == (2, 3, 2, 4)
    expected = np.array([0.1, -0.1])[:, None, None, None] * wanted[0][0, 1:3]
    assert np.abs(amperes - expected).max() < 0.1 * 5 * 0.005 * (G_HIGH - G_LOW) + 1e-7


def test_settle_answers_every_phase_and_sample(armed):
    crossbar, _ = armed
    crossbar.program(0, targets())
    drive, nudge = np.full((3, 6), 2e-5, np.float32), np.full((3, 4), 1e-6, np.float32)
    settled = crossbar.settle(0, drive, [nudge, -nudge])
    assert [states.shape for states in settled.states_v] == [(3, 3, 6), (3, 3, 4)]
    assert settled.settled.all() and settled.clipped.shape == settled.rail_codes.shape == (3, 3)
    assert crossbar.settle(0, drive, layers=[1]).states_v[0].shape == (1, 3, 4)


def test_clipped_drives_are_counted(armed):
    crossbar, _ = armed
    crossbar.program(0, targets())
    drive = np.zeros((2, 6), np.float32)
    drive[1, :4] = 1e-2
    assert crossbar.settle(0, drive).clipped.tolist() == [[0, 4]]


def test_verbs_that_drive_are_refused_while_outputs_are_off(open_crossbar):
    crossbar, device = open_crossbar()
    crossbar.configure(0, CHAIN)
    for verb in (lambda: crossbar.program(0, targets()), lambda: crossbar.settle(0, np.zeros((1, 6)))):
        with pytest.raises(DeviceFault, match="NOT_ARMED"):
            verb()
    assert not [event for event in device.journal.of("setpoint") if event.text.startswith(("write", "settle"))]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308])
def test_no_adversarial_number_reaches_the_device(armed, bad):
    crossbar, device = armed
    crossbar.program(0, targets())
    before = len(device.journal.of("setpoint"))
    conductances = targets()
    conductances[0][0, 0, 0] = bad
    start = [np.zeros((1, 6)), np.full((1, 4), bad)]
    finite = np.isfinite(bad)
    refused = [
        lambda: crossbar.program(0, conductances),
        lambda: crossbar.measure(Region(0, 0, 0, 0, 1, 0, 1), [bad]),
    ]
    if not finite:
        refused += [
            lambda: crossbar.settle(0, np.full((1, 6), bad)),
            lambda: crossbar.settle(0, np.zeros((1, 6)), [np.full((1, 4), bad)]),
            lambda: crossbar.settle(0, np.zeros((1, 6)), start_v=start),
        ]
    for verb in refused:
        with pytest.raises(OutOfRange):
            verb()
    assert len(device.journal.of("setpoint")) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1.0, 0.0])
def test_no_adversarial_pulse_reaches_the_device(pulsed, bad):
    crossbar, device = pulsed
    before = len(device.journal.of("setpoint"))
    cell = Region(0, 0, 0, 0, 1, 0, 1)
    for given in (
        {"amplitude_v": bad, "width_s": 1e-6, "count": 1},
        {"amplitude_v": 1.0, "width_s": bad, "count": 1},
        {"amplitude_v": 1.0, "width_s": 1e-6, "count": bad},
        {"amplitude_v": 1.0, "width_s": 1e-6, "count": np.array([[bad]])},
        {"amplitude_v": 1.0, "width_s": 1e-6, "count": np.array([[1 << 20]])},
    ):
        with pytest.raises(OutOfRange):
            crossbar.pulse(cell, up=True, **given)
    assert len(device.journal.of("setpoint")) == before


def test_misshapen_values_are_refused(armed):
    crossbar, _ = armed
    for verb in (
        lambda: crossbar.program(0, [np.full((2, 7, 5), 1e-5)]),
        lambda: crossbar.program(0, []),
        lambda: crossbar.settle(0, np.zeros((1, 5))),
        lambda: crossbar.settle(0, np.zeros((0, 6))),
        lambda: crossbar.settle(0, np.zeros((1, 6), np.int64)),
        lambda: crossbar.settle(1, np.zeros((1, 6))),
    ):
        with pytest.raises(OutOfRange):
            verb()


@pytest.fixture
def pulsed(open_crossbar):
    crossbar, device = open_crossbar("pulsed", options=Options(limits={"this test": {"max_pulses_per_cell": 40.0}}))
    crossbar.configure(0, CHAIN)
    crossbar.arm()
    return crossbar, device


def test_device_that_takes_no_pulses_is_not_sent_any(open_crossbar):
    crossbar, _ = open_crossbar("ideal")
    crossbar.configure(0, CHAIN)
    crossbar.arm()
    with pytest.raises(OutOfRange, match="the device cannot PULSE"):
        crossbar.pulse(Region(0, 0, 0, 0, 1, 0, 1), up=True, amplitude_v=1.0, width_s=1e-6, count=1)


def test_pulse_budget_stops_hard_and_the_device_never_gets_more(pulsed):
    crossbar, device = pulsed
    cell = Region(0, 0, 1, 2, 1, 3, 1)
    for most in (15, 30):
        assert crossbar.pulse(cell, up=True, amplitude_v=1.0, width_s=1e-6, count=15) == most
    for _ in range(3):
        with pytest.raises(BudgetSpent, match=r"cell \(2, 3\) would have 45, beyond max_pulses_per_cell = 40 pulses"):
            crossbar.pulse(cell, up=True, amplitude_v=1.0, width_s=1e-6, count=15)
    assert crossbar.pulse(cell, up=False, amplitude_v=1.0, width_s=1e-6, count=10) == 40
    assert sum(event.values.get("pulses", 0) for event in device.journal.of("setpoint")) == 40


def test_device_refuses_what_a_host_without_our_guard_would_send(pulsed):
    crossbar, _ = pulsed
    with pytest.raises(DeviceFault, match=r"LIMIT|BUDGET"):
        crossbar.session.call(lambda d: d.pulse(Pulse(Region(0, 0, 0, 0, 1, 0, 1), True, 50.0, 1e-6, 1), 1.0))
    with pytest.raises(DeviceFault, match="BUDGET"):
        crossbar.session.call(lambda d: d.pulse(Pulse(Region(0, 0, 0, 0, 1, 0, 1), True, 1.0, 1e-6, 41), 1.0))


def test_refusal_of_a_block_that_does_not_fit_names_the_reason(open_crossbar):
    crossbar, _ = open_crossbar("mixed-8bit")
    with pytest.raises(DeviceFault, match="DOES_NOT_FIT"):
        crossbar.configure(0, dense_chain([4] * 20))
    with pytest.raises(DeviceFault, match="OUT_OF_RANGE"):
        crossbar.configure(99, CHAIN)


def test_trip_is_named_and_nothing_restarts_by_itself(armed):
    crossbar, device = armed
    crossbar.program(0, targets())
    device.trip(Trip.EMERGENCY_STOP, "button")
    for _ in range(2):
        with pytest.raises(DeviceFault, match="TRIPPED"):
            crossbar.settle(0, np.zeros((1, 6)))
    assert not device.outputs.on
    crossbar.session.clear_trip()
    with pytest.raises(DeviceFault, match="NOT_ARMED"):
        crossbar.settle(0, np.zeros((1, 6)))
    assert "button" in crossbar.session.fault_log().entries[-1].text
    crossbar.arm()
    crossbar.settle(0, np.zeros((1, 6)))


@pytest.mark.parametrize("how", ["leaving", "exception", "interrupt"])
def test_outputs_are_off_however_the_block_is_left(open_crossbar, how):
    crossbar, device = open_crossbar()
    with pytest.raises((ValueError, KeyboardInterrupt)) if how != "leaving" else nullcontext(), crossbar:
        crossbar.configure(0, CHAIN)
        crossbar.arm()
        assert device.outputs.on
        if how == "exception":
            raise ValueError("bug in the experiment")
        if how == "interrupt":
            raise KeyboardInterrupt
    assert not device.outputs.on
    assert device.outputs.state is State.SAFE


def test_limits_of_the_bench_are_set_in_the_device_too(open_crossbar):
    crossbar, device = open_crossbar(options=Options(limits={"bench": {"max_drive_a": 1e-5}}))
    assert device.active.max_drive_a == 1e-5
    crossbar.configure(0, CHAIN)
    crossbar.arm()
    crossbar.program(0, targets())
    with pytest.raises(OutOfRange, match=r"drive .* beyond max_drive_a = 1e-05 A \(bench\)"):
        crossbar.settle(0, np.full((1, 6), 2e-5))
    assert all(event.values.get("max_drive_a", 0) <= 1e-5 for event in device.journal.of("setpoint"))


def test_hot_chip_is_not_armed(open_crossbar):
    crossbar, device = open_crossbar()
    crossbar.session.call(lambda d: d.set_temperature(400.0))
    with pytest.raises(OutOfRange, match=r"chip temperature 400 is beyond max_temperature_k = 358 K"):
        crossbar.arm()
    assert not device.outputs.on
    crossbar.session.call(lambda d: d.set_temperature(300.0))
    crossbar.arm()


def test_device_without_watchdog_is_armed_only_by_name():
    for allow, refusal in ((False, "allow_no_watchdog = true"), (True, "NO_WATCHDOG")):
        endpoint = SerialEndpoint(Machine(Device(Chip(load("mixed-8bit")))), "loopback")
        dialect = Framed(FramedLink(Loopback(endpoint.feed)))
        plain = dialect.identify
        dialect.identify = lambda plain=plain: without_watchdog(plain())
        crossbar = Crossbar(Session(dialect, allow_no_watchdog=allow))
        with crossbar, pytest.raises((OutOfRange, DeviceFault), match=refusal):  # overridden, ARM is sent, and refused
            crossbar.arm()


def without_watchdog(identity):
    return replace(identity, capabilities=identity.capabilities & ~Capability.WATCHDOG)

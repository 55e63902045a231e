"""A resistive network measured through the virtual rack, against an exact solve and finite differences."""

import numpy as np
import pytest

from drivers.errors import DeviceFault, OutOfRange
from drivers.loopback import Loopback
from drivers.rack.network import NetworkSession, layout
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import facts, load_rack

SOURCES, HIDDEN, OUT = 10, 16, 3


def bench(**dut):
    rack = load_rack("bench-16x16")
    rack = rack.model_copy(update={"dut": rack.dut.model_copy(update=dut)})
    virtual = VirtualRack(rack)
    return virtual, Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box))


def exact(g, source_v, nudge_a):
    """Projected Gauss-Seidel on Kirchhoff's law; spare rows float, diodes ideal."""
    hidden, out = np.zeros(HIDDEN), np.zeros(OUT)
    low = np.where(np.arange(HIDDEN) < HIDDEN // 2, 0.0, -np.inf)
    high = np.where(np.arange(HIDDEN) < HIDDEN // 2, np.inf, 0.0)
    g_in, g_out, g_spare = g[:SOURCES], g[SOURCES : SOURCES + OUT], g[SOURCES + OUT :]
    spare = np.zeros(len(g_spare))
    for _ in range(2000):
        hidden = np.clip((source_v @ g_in + out @ g_out + spare @ g_spare) / g.sum(0), low, high)
        spare = g_spare @ hidden / g_spare.sum(1)
        out = (g_out @ hidden + nudge_a) / g_out.sum(1)
    return hidden, out


def test_node_voltages_are_those_of_the_exact_solve_within_the_meters_accuracy():
    virtual, rig = bench(diode_ohm=0.01, contact_ohm=0.01)
    draw = np.random.default_rng(1)
    used = facts("keysight-34980a").range_for("volts", 1.0)
    with rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        for _ in range(3):
            free = session.settle(draw.uniform(-0.5, 0.5, SOURCES), [draw.uniform(-5e-5, 5e-5, OUT)])[0]
            hidden, out = exact(virtual.bench.crossbar.g_s, free.source_v, np.zeros(OUT))
            # the nudge sources' zero offset is a real current into the outputs, stated by their accuracy
            slack = (
                facts("keithley-2636b").range_for("amps", 1e-4).offset / virtual.bench.crossbar.g_s[10:13].sum(1).min()
            )
            for got, want in ((free.layers_v[0], hidden), (free.layers_v[1], out)):
                assert np.all(np.abs(got - want) <= used.uncertainty(1.0) + slack)
        session.close()
    assert not virtual.bench.outputs_on()


def test_ep_through_the_rack_is_the_gradient_of_the_measured_cost():
    virtual, rig = bench()
    draw = np.random.default_rng(2)
    source_v, target = draw.uniform(-0.5, 0.5, SOURCES), draw.uniform(-0.05, 0.05, OUT)
    with rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        free = session.settle(source_v)[0]
        error = free.layers_v[1] - target
        beta = 5e-5 / np.abs(error).max()
        _, plus, minus = session.settle(source_v, [-beta * error, beta * error])

        def drops(phase):
            hidden, out = phase.layers_v
            return np.concatenate([phase.source_v[:, None] - hidden, out[:, None] - hidden]) ** 2 / 2

        gradient = (drops(plus) - drops(minus)) / (2 * beta)
        g = virtual.bench.crossbar.g_s.copy()
        cells = [tuple(c) for c in draw.permutation(np.argwhere(np.ones((SOURCES + OUT, HIDDEN))))[:40]]
        differences = []
        for cell in cells:
            costs = []
            for sign in (1, -1):
                changed = g.copy()
                changed[cell] += sign * 2e-5
                virtual.bench.crossbar.write(changed)
                virtual.bench._volts = None
                out = session.settle(source_v)[0].layers_v[1]
                costs.append(0.5 * np.sum((out - target) ** 2))
            differences.append((costs[0] - costs[1]) / 4e-5)
        session.close()
    ours = np.array([gradient[cell] for cell in cells])
    cosine = ours @ differences / np.linalg.norm(ours) / np.linalg.norm(differences)
    assert cosine >= 0.99


def test_a_nudge_that_reaches_its_compliance_trips_the_rack_and_it_stays_off():
    virtual, rig = bench()
    with rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        virtual.bench.crossbar.g_s[SOURCES : SOURCES + OUT] = 1e-9
        virtual.bench.crossbar._admittance = virtual.bench._volts = None
        with pytest.raises(DeviceFault, match="reached its compliance"):
            session.settle(np.zeros(SOURCES), [np.full(OUT, 1e-4)])
        assert not virtual.bench.outputs_on()
        assert not virtual.bench.closed
        with pytest.raises(OutOfRange, match="tripped"):
            session.settle(np.zeros(SOURCES))


@pytest.mark.parametrize(
    ("volts", "amps"), [(0.6, 0.0), (np.nan, 0.0), (0.0, 2e-4), (0.0, np.inf)], ids=["drive", "nan", "nudge", "inf"]
)
def test_drives_and_nudges_beyond_the_limits_send_nothing(volts, amps):
    virtual, rig = bench()
    with rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        before = len(virtual.log.events)
        with pytest.raises(OutOfRange, match="nothing was sent"):
            session.settle(np.full(SOURCES, volts), [np.full(OUT, amps)])
        assert len(virtual.log.events) == before


@pytest.mark.parametrize(
    ("sources", "layers", "reason"),
    [
        (14, [8, 3], "17 nodes on rows"),
        (4, [17], "17 on columns"),
        (4, [4, 4, 4], "3 layers"),
        (4, [8, 4], "4 outputs"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_with_the_reason(sources, layers, reason):
    _, rig = bench()
    with rig, pytest.raises(OutOfRange, match=reason):
        layout(rig, sources, layers, [None] * len(layers))


def test_source_currents_over_shunts_are_those_of_kirchhoffs_law():
    rack = load_rack("bench-16x16")
    shunts = {line: f"{7000 + index}" for index, line in enumerate(rack.wiring.direct, 1)}
    wiring = rack.wiring.model_copy(update={"shunts": shunts, "shunt_ohm": 10.0})
    rack = rack.model_copy(update={"wiring": wiring})
    virtual = VirtualRack(rack)
    with Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box)) as rig:
        session = NetworkSession(rig, layout(rig, SOURCES, [HIDDEN, OUT], [HIDDEN // 2, None]))
        phases = session.settle(np.random.default_rng(4).uniform(-0.5, 0.5, SOURCES), [np.full(OUT, 5e-5)])
        session.close()
    for phase in phases:
        g = virtual.bench.crossbar.g_s[:SOURCES]
        expected = (g * (phase.source_v[:, None] - phase.layers_v[0])).sum(1)
        assert np.allclose(phase.source_a, expected, rtol=0.01, atol=1e-6)

"""The numeric contract of SETTLE on a resistive network (PROTOCOL.md sections 7.5 and 7.7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import SOURCE_CURRENTS, Capability, ConverterId, Parameter
from firmware_specs.messages import Settle
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.subject import Subject

Array = NDArray[np.float64]
NOISE_SHARE = 0.03
"""Share of the source voltage within which two readings of a node agree."""


def _ready(subject: Subject) -> float:
    """The small resistive block with equal conductances, outputs on; the source voltage to use."""
    subject.needs(Capability.SETTLE, Capability.WRITE)
    if not subject.fabric.resistive:
        raise Skipped("the substrate is not resistive")
    subject.prepare()
    subject.write_all(0.5)
    dac = subject.converters[ConverterId.DRIVE_DAC]
    return 0.5 * min(dac.high, -dac.low, subject.limits.active.max_source_v)


def _settle(subject: Subject, volts: Array, *nudges_a: Array) -> list[Array]:
    """Voltages of every layer, (phases, batch, nodes)."""
    layers = tuple(range(len(subject.topology.layers)))
    reads = subject.reads(8)
    drive = subject.codes(ConverterId.DRIVE_DAC, volts)
    nudges = tuple(subject.codes(ConverterId.NUDGE_DAC, n) for n in nudges_a)
    reply = subject.settle(Settle(0, drive, nudges, layers, reads))
    unit_v = subject.parameters[Parameter.STATE_UNIT_V]
    return [subject.states(reply, i, layer, reads) * unit_v for i, layer in enumerate(layers)]


def _sources(subject: Subject, *volts: float) -> Array:
    """One sample a voltage: every source node at it."""
    return np.repeat(np.array(volts)[:, None], int(np.prod(subject.topology.drive_shape)), axis=1)


def _between_sources(subject: Subject) -> None:
    volts = _ready(subject)
    for state in _settle(subject, _sources(subject, -volts, volts)):
        bound = volts * (1 + NOISE_SHARE)
        demand(
            bool((np.abs(state[0]) <= bound).all()), f"a node at {np.abs(state).max():.4g} V between +-{volts:.4g} V"
        )


def _quiet(subject: Subject) -> None:
    volts = _ready(subject)
    highest = max(float(np.median(np.abs(s[0]))) for s in _settle(subject, _sources(subject, 0.0)))
    demand(highest <= NOISE_SHARE * volts, f"nodes at {highest:.4g} V with every source at 0 V")


def _proportional(subject: Subject) -> None:
    volts = _ready(subject)
    output = _settle(subject, _sources(subject, volts / 2, volts))[-1][0]
    half, full = np.median(output, axis=1)
    demand(
        abs(2 * half - full) <= NOISE_SHARE * volts, f"outputs {half:.4g} V and {full:.4g} V for half and full sources"
    )


def _nudge_sign(subject: Subject) -> None:
    volts = _ready(subject)
    dac = subject.converters[ConverterId.NUDGE_DAC]
    current = np.full((1, subject.topology.layers[-1].units), 0.8 * min(dac.high, -dac.low))
    output = _settle(subject, _sources(subject, volts / 2), current, -current)[-1]
    rise, fall = (float(np.median(output[i] - output[0])) for i in (1, 2))
    demand(rise > 0 > fall, f"nudges of both signs moved the outputs by {rise:+.4g} V and {fall:+.4g} V")


def _source_currents(subject: Subject) -> None:
    subject.needs(Capability.SOURCE_CURRENT)
    volts = _ready(subject)
    drive = subject.codes(ConverterId.DRIVE_DAC, _sources(subject, -volts, volts))
    reply = subject.settle(Settle(0, drive, (), (SOURCE_CURRENTS,)))
    adc = subject.converters[ConverterId.SOURCE_ADC]
    low, high = np.median(adc.low + reply.states[0][0].astype(float) * adc.lsb, axis=1)
    demand(low <= adc.lsb and high >= -adc.lsb, f"sources at -+{volts:.4g} V deliver {low:.4g} A and {high:.4g} A")


CHECKS = (
    Check("resistive.between", "7.7", "no node lies outside the voltages of the sources", _between_sources),
    Check("resistive.quiet", "7.7", "without source voltages all nodes are at 0 V", _quiet),
    Check("resistive.proportional", "7.7", "outputs are proportional to the sources", _proportional),
    Check("resistive.nudge-sign", "7.7", "a nudge current raises the outputs, its opposite lowers them", _nudge_sign),
    Check("resistive.source-currents", "7.7", "source currents have the sign of the power delivered", _source_currents),
)

"""The small Hopfield block with weights of one size, settled: what checks of the numeric contract look at."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ConverterId, Parameter
from firmware_specs.messages import Settle, SettleReply
from firmware_specs.topology import Topology
from hil.conformance.conversation import Skipped
from hil.conformance.subject import Subject

Array = NDArray[np.float64]
NOISE = 0.06
"""State units within which two readings of the same state agree on any chip worth training."""
NEAR = 0.2
"""How far a size may be from what the text says, as a share of it: gains of converters and neurons."""
READS = 4


def coupled_block(subject: Subject, strength: float) -> Topology:
    """The small Hopfield block with equal weights, outputs on.

    Args:
        subject: The device.
        strength: `w * sqrt(units * units of the next layer)`, the loop gain: below 1 the block has one equilibrium.
    """
    subject.needs(Capability.SETTLE)
    if subject.fabric.resistive:
        raise Skipped("the substrate is resistive")
    topology, share = subject.prepare(), looped_weight(subject, strength) / weight_unit(subject)
    if Capability.WRITE in subject.identity.capabilities:
        for coupling in range(len(topology.couplings)):
            subject.write(weighed(subject, np.asarray(share)), coupling)
    elif strength:
        raise Skipped("the device lacks WRITE")
    return topology


def weighed(subject: Subject, levels: Array, pair: int = 0) -> dict[int, float | Array]:
    """What planes hold for weights in units of the swing, all in one pair; the others' cells are at the low end."""
    wanted: dict[int, float | Array] = dict.fromkeys(range(subject.planes), 0.0)
    wanted[2 * pair] = np.maximum(levels, 0)
    if subject.planes > 1:
        wanted[2 * pair + 1] = np.maximum(-levels, 0)
    return wanted


def looped_weight(subject: Subject, strength: float) -> float:
    """The weight that gives the strongest pair of layers this loop gain, within the device's range."""
    sizes = [layer.units for layer in subject.topology.layers]
    pairs = max(a * b for a, b in pairwise(sizes))
    return float(np.clip(strength / np.sqrt(pairs), -0.9 * weight_unit(subject), 0.9 * weight_unit(subject)))


def weight_unit(subject: Subject) -> float:
    """Weight at the full conductance swing."""
    p = subject.parameters
    return (p[Parameter.G_MAX_S] - p[Parameter.G_MIN_S]) * p[Parameter.TRANSIMPEDANCE_OHM]


def driven(subject: Subject, *levels: float) -> Array:
    """One sample a level: every unit of layer 0 is driven with it."""
    return np.repeat(np.array(levels)[:, None], subject.topology.layers[0].units, axis=1)


def settled(subject: Subject, drive: Array, *nudges: Array, reads: int = READS) -> tuple[SettleReply, list[Array]]:
    """Settles and gives the states of every layer, (phases, batch, units)."""
    count, reads = len(subject.topology.layers), subject.reads(reads)
    request = Settle(
        0, subject.drive_codes(drive), tuple(subject.nudge_codes(n) for n in nudges), tuple(range(count)), reads
    )
    reply = subject.settle(request)
    return reply, [subject.states(reply, i, i, reads) for i in range(count)]


def nudged(subject: Subject, batch: int, share: float) -> Array:
    """A nudge of a share of the nudge DAC's range, or of half a state, on every output; model units."""
    dac = subject.converters[ConverterId.NUDGE_DAC]
    size = share * min(-dac.low / subject.current_unit_a, dac.high / subject.current_unit_a, 0.5)
    return np.full((batch, subject.topology.layers[-1].units), size)

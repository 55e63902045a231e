"""The numeric contract of SETTLE, and the temperature (PROTOCOL.md sections 7.5, 7.7 and 7.9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability, ConverterId, ErrorCode, Opcode
from firmware_specs.messages import Configure, Settle, parse_number
from firmware_specs.topology import Topology
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.coupled import NEAR, NOISE, coupled_block, driven, looped_weight, nudged, settled
from hil.conformance.subject import Subject

Array = NDArray[np.float64]
SAMPLE_BYTES = 64
"""Of a sample with its statistics, by either protocol."""
STRENGTH = 0.6


def _shape(subject: Subject) -> None:
    topology = coupled_block(subject, 0.0)
    drive = driven(subject, 0.2, 0.5)
    reply, states = settled(subject, drive, nudged(subject, 2, 0.5))
    demand(reply.settled.shape == (2, 2), f"{reply.settled.shape} settled flags, expected 2 phases x 2 samples")
    for layer, state in zip(topology.layers, states, strict=True):
        demand(state.shape == (2, 2, layer.units), f"states of shape {state.shape}, expected (2, 2, {layer.units})")
    demand(bool(reply.settled.all()), "a block without couplings did not settle")


def _transfer(subject: Subject) -> None:
    """Sizes by what errors of converters and neurons leave of them, rails by what two readings may differ.

    A median over few units of a chip whose converters bow is off by up to 0.11 in the middle of its range, and by 0.02
    at its rails (the shipped presets, 40 seeds of the worst).
    """
    topology = coupled_block(subject, 0.0)
    levels = np.array([-0.5, 0.25, 0.5, 0.75, 1.5]) / topology.layers[0].slope
    states = np.median(settled(subject, driven(subject, *levels))[1][0][0], axis=1)
    low, quarter, middle, most, high = (float(state) for state in states)
    for what, found, expected, share in (
        ("driven below its range it is at", low, 0.0, 0.0),
        ("driven to 0.5 it is at", middle, 0.5, NEAR),
        ("from 0.25 to 0.75 it moves by", most - quarter, 0.5, NEAR),
        ("driven above its range it is at", high, 1.0, 0.0),
    ):
        demand(abs(found - expected) < share * expected + NOISE, f"{what} {found:.3f}, expected {expected}")


def _order_of_samples(subject: Subject) -> None:
    coupled_block(subject, 0.0)
    up = np.median(settled(subject, driven(subject, 0.1, 0.5, 0.9))[1][0][0], axis=1)
    down = np.median(settled(subject, driven(subject, 0.9, 0.5, 0.1))[1][0][0], axis=1)
    demand(bool(np.abs(up - down[::-1]).max() < NOISE), f"samples {up} came back as {down} in reverse order")


def _order_of_units(subject: Subject) -> None:
    topology = coupled_block(subject, 0.0)
    drive = np.linspace(0.1, 0.9, topology.layers[0].units)[None] / topology.layers[0].slope
    states = settled(subject, drive)[1][0][0, 0]
    demand(bool(np.all(np.diff(states) > -NOISE)) and states[-1] > states[0], f"units driven in order read {states}")


def _order_of_layers(subject: Subject) -> None:
    topology = coupled_block(subject, 0.0)
    last = len(topology.layers) - 1
    drive = driven(subject, 0.9)
    reply = subject.settle(Settle(0, subject.drive_codes(drive), (), (last, 0)))
    sizes = [codes.shape[-1] for codes in reply.states]
    wanted = [topology.layers[last].units, topology.layers[0].units]
    demand(sizes == wanted, f"layers {last} and 0 were asked for, blocks of {sizes} units came, expected {wanted}")
    first = float(np.median(subject.states(reply, 1, 0)))
    demand(first > 0.5, f"layer 0, driven with 0.9, reads {first:.2f} at its place in the answer")


def _coupled(subject: Subject) -> None:
    subject.needs(Capability.DIFFERENTIAL)
    coupled_block(subject, STRENGTH)
    positive = float(np.median(settled(subject, driven(subject, 0.6))[1][-1][0]))
    coupled_block(subject, -STRENGTH)
    negative = float(np.median(settled(subject, driven(subject, 0.6))[1][-1][0]))
    demand(positive > NOISE > -NOISE > negative, f"outputs {positive:.3f} and {negative:.3f} for opposite weights")


def _repeatable(subject: Subject) -> None:
    coupled_block(subject, STRENGTH)
    first, second = (settled(subject, driven(subject, 0.3, 0.6))[1] for _ in range(2))
    off = max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))
    demand(off < 2 * NOISE, f"the same settle twice differs by {off:.3f}")


def _energy_falls(subject: Subject) -> None:
    topology = coupled_block(subject, STRENGTH)
    if len(topology.layers) != 2:
        raise Skipped("the check is written for two layers")
    drive = driven(subject, 0.4)
    states = [s[0, 0] for s in settled(subject, drive)[1]]
    weight = looped_weight(subject, STRENGTH)
    found = _energy(topology, weight, drive[0], states)
    rng = np.random.default_rng(7)
    for _ in range(20):
        shifted = [np.clip(states[0] + rng.normal(0, 0.3, states[0].shape), 0, 1), states[1] + rng.normal(0, 0.3)]
        other = _energy(topology, weight, drive[0], shifted)
        demand(found < other + NOISE, f"energy {found:.4f} at the measured states, {other:.4f} beside them")


def _energy(topology: Topology, weight: float, drive: Array, states: list[Array]) -> float:
    first, last = states
    leak = float(first @ first) / (2 * topology.layers[0].slope) + float(last @ last) / 2
    return leak - float(drive @ first) - weight * float(first.sum() * last.sum())


def _free_phase(subject: Subject) -> None:
    coupled_block(subject, STRENGTH)
    drive = driven(subject, 0.3, 0.6)
    alone = settled(subject, drive)[1]
    beside = settled(subject, drive, nudged(subject, 2, 0.9), nudged(subject, 2, -0.9))[1]
    off = max(float(np.median(np.abs(a[0] - b[0]))) for a, b in zip(alone, beside, strict=True))
    demand(off < NOISE, f"the free phase moves by {off:.3f} when nudged phases follow it")


def _nudge_sign(subject: Subject) -> None:
    coupled_block(subject, 0.0)
    up, down = nudged(subject, 1, 0.65), nudged(subject, 1, -0.65)  # one that is too large shall not end at the rails
    states = settled(subject, driven(subject, 0.3), up, down, reads=16)[1][-1]
    rise, fall = float(np.mean(states[1] - states[0])), float(np.mean(states[2] - states[0]))
    wanted = float(up[0, 0])
    step = subject.converters[ConverterId.OUTPUT_ADC].lsb / subject.state_unit_v
    for moved, size in ((rise, wanted), (fall, -wanted)):
        off = abs(moved - size)
        demand(off < 0.2 * wanted + step, f"a nudge of {size:+.3f} moved the outputs by {moved:+.3f}")


def _nudge_linear(subject: Subject) -> None:
    coupled_block(subject, STRENGTH)
    drive = driven(subject, 0.4)
    shares = (0.4, 0.8)
    nudges = [nudged(subject, 1, s * sign) for s in shares for sign in (1, -1)]
    states = settled(subject, drive, *nudges, reads=16)[1][-1]
    small, large = (float(np.mean(states[1 + 2 * i] - states[2 + 2 * i])) / shares[i] for i in (0, 1))
    demand(abs(small - large) < 0.3 * abs(large), f"contrast per nudge {small:.4f} at half, {large:.4f} at full nudge")


def _nudge_travels(subject: Subject) -> None:
    topology = coupled_block(subject, STRENGTH)
    share = 0.9
    states = settled(subject, driven(subject, 0.3), nudged(subject, 1, share), nudged(subject, 1, -share), reads=16)[1]
    contrast = float(np.mean(states[0][1] - states[0][2]))
    size = 2 * float(nudged(subject, 1, share)[0, 0]) * looped_weight(subject, STRENGTH) * topology.layers[-1].units
    if size < 0.01:
        raise Skipped(f"the nudge range moves layer 0 by {size:.4f} only")
    demand(contrast > 0.2 * size, f"layer 0 moved by {contrast:+.4f} under opposite nudges, expected about {size:+.4f}")


def _clipped(subject: Subject) -> None:
    topology = coupled_block(subject, 0.0)
    dac, units = subject.converters[ConverterId.DRIVE_DAC], topology.layers[0].units
    if max(abs(dac.low), abs(dac.high)) > subject.limits.active.max_drive_a:
        raise Skipped("max_drive_a keeps currents from the ends of the drive DAC")
    codes = np.repeat(subject.drive_codes(driven(subject, 0.3)), 3, axis=0)
    codes[1, 0], codes[2] = 0, dac.max_code
    codes[2, 0] = 0
    found = subject.settle(Settle(0, codes, layers=(0,))).clipped.tolist()
    demand(found == [0, 1, units], f"0, 1 and {units} drive codes at the ends of the DAC were counted as {found}")


def _nudge_range(subject: Subject) -> None:
    topology = coupled_block(subject, 0.0)
    for converter, place in ((ConverterId.DRIVE_DAC, 0), (ConverterId.NUDGE_DAC, 1)):
        largest = subject.converters[converter].max_code
        if largest in (2**8 - 1, 2**16 - 1, 2**32 - 1):
            continue
        blocks = [subject.drive_codes(driven(subject, 0.1)), subject.nudge_codes(nudged(subject, 1, 0.1))]
        blocks[place] = blocks[place].copy()
        blocks[place][0, 0] = largest + 1
        request = Settle(0, blocks[0], (blocks[1],), (len(topology.layers) - 1,))
        subject.verbs.refused(Opcode.SETTLE, request.pack(), ErrorCode.OUT_OF_RANGE)


def _not_configured(subject: Subject) -> None:
    subject.needs(Capability.SETTLE)
    subject.restart()
    subject.arm()
    request = Settle(0, subject.drive_codes(driven(subject, 0.1)), (), (0,))
    if Capability.CONFIGURABLE not in subject.identity.capabilities:
        raise Skipped("the topology is wired")
    subject.verbs.refused(Opcode.SETTLE, request.pack(), ErrorCode.NOT_CONFIGURED)


def _configured_again(subject: Subject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    subject.prepare()
    subject.write({0: 0.8})
    subject.verbs.ask(Opcode.CONFIGURE, Configure(0, subject.topology).pack())
    level = float(np.median(subject.read_levels(subject.region())))
    demand(level > 0.5, f"CONFIGURE with the present topology changed cells written with 0.8 to {level:.2f}")


def _large_batch(subject: Subject) -> None:
    coupled_block(subject, 0.0)
    units = subject.topology.layers[0].units
    each = max(8 * units, SAMPLE_BYTES)
    batch = max(1, min(2048, subject.verbs.max_request // each, subject.verbs.max_reply // each))
    levels = np.linspace(0.05, 0.95, batch)
    states = np.median(settled(subject, driven(subject, *levels), reads=1)[1][0][0], axis=1)
    off = float(np.abs(states - levels * subject.topology.layers[0].slope).max())
    demand(off < 3 * NOISE, f"a sample of a batch of {batch} is off by {off:.3f}")


def _temperature(subject: Subject) -> None:
    subject.needs(Capability.TEMPERATURE)
    kelvin = parse_number(subject.verbs.ask(Opcode.TEMPERATURE))
    demand(200 < kelvin < 500, f"{kelvin} K")


CHECKS = (
    Check("settle.shape", "7.7", "the reply has every phase, sample and layer asked for", _shape),
    Check("settle.transfer", "7.5", "a clamped neuron settles to clip(slope x drive, 0, r)", _transfer),
    Check("settle.samples", "7.7", "samples come back in their order", _order_of_samples),
    Check("settle.units", "7.5", "units come back in their order", _order_of_units),
    Check("settle.layers", "7.7", "layers come back in the order asked for", _order_of_layers),
    Check("settle.coupled", "7.5", "weights couple the layers with their sign", _coupled),
    Check("settle.repeatable", "7.7", "the same settle twice gives the same states", _repeatable),
    Check("settle.energy", "7.5", "no states beside the measured ones have less energy", _energy_falls),
    Check("settle.free-phase", "7.7", "the free phase does not depend on the nudged ones", _free_phase),
    Check(
        "settle.nudge-sign", "7.7", "a nudge adds its current to the last layer, with its sign and size", _nudge_sign
    ),
    Check("settle.nudge-linear", "7.7", "the contrast is proportional to small nudges", _nudge_linear, "optional"),
    Check("settle.nudge-travels", "7.5", "a nudge reaches earlier layers through the same weights", _nudge_travels),
    Check("settle.code-range", "7.7", "codes above a DAC's largest are OUT_OF_RANGE", _nudge_range),
    Check("settle.clipped", "7.7", "drive codes at either end of the DAC are counted", _clipped),
    Check("settle.large-batch", "7.7", "a batch of thousands of samples settles as each alone", _large_batch),
    Check("settle.not-configured", "8", "an array without topology answers NOT_CONFIGURED", _not_configured),
    Check("settle.configured-again", "7.5", "CONFIGURE with the present topology changes no cell", _configured_again),
    Check("clock.temperature", "7.9", "TEMPERATURE is a temperature", _temperature),
)

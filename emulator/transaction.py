"""One settle as an array and its converters do it: values through the DACs, the phases, readings of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from emulator import converters
from emulator.channels import Channels
from emulator.currents import States
from emulator.network import Relaxed
from emulator.placed import PlacedArray
from emulator.readout import Reading, Readout
from emulator.settling import Phases
from firmware_specs.datasheet.converters import Dac, SourceDac


@dataclass(frozen=True)
class Held:
    """The phases of one transaction, as the array holds them.

    Attributes:
        drive: As sent, model units.
        phases: How they are settled.
        offsets: Read-noise currents of the free phase.
        relaxed: What each came to, the free one first.
        clipped: Drive and nudge values the DACs clipped, (batch,) a phase.
    """

    drive: Tensor
    phases: Phases
    offsets: States | None
    relaxed: tuple[Relaxed, ...]
    clipped: tuple[Tensor, ...]


def free(
    placed: PlacedArray,
    drive: Tensor,
    time_s: float | None,
    generator: torch.Generator,
    start_v: Sequence[Tensor] | None = None,
) -> Held:
    """A drive through the DAC, and the free phase; arguments are those of `settle`."""
    sheet = placed.sheet
    unit_v = sheet.neurons.state_unit_v
    sent, clipped = _send(sheet.drive_dac, drive, placed.drive, generator)
    drive = sent / unit_v if sheet.resistive else sent * (sheet.neurons.transimpedance_ohm / unit_v)
    phases = Phases.begin(placed, sheet.settle.time_s if time_s is None else time_s, generator)
    start = None
    if start_v is not None and not phases.transient:
        start = placed.resting(drive, start_v) or tuple(s / unit_v for s in start_v)
    relaxed, offsets = phases.free(drive, start)
    return Held(drive, phases, offsets, (relaxed,), (clipped,))


def nudged(placed: PlacedArray, held: Held, nudges_a: Sequence[Tensor], generator: torch.Generator) -> Held:
    """The same with nudged phases behind the free one."""
    sheet, count = placed.sheet, len(nudges_a)
    nudge, more = _send(sheet.nudge_dac, torch.cat(list(nudges_a)), placed.nudge, generator)
    nudges = (nudge * (sheet.neurons.transimpedance_ohm / sheet.neurons.state_unit_v)).chunk(count)
    relaxed = held.phases.nudged(held.drive, nudges, held.relaxed[0], held.offsets)
    clipped = (held.clipped[0] + values for values in more.chunk(count))
    return replace(held, relaxed=(*held.relaxed, *relaxed), clipped=(*held.clipped, *clipped))


def settle(
    placed: PlacedArray,
    drive: Tensor,
    nudges_a: Sequence[Tensor],
    start_v: Sequence[Tensor] | None,
    reads: int,
    time_s: float | None,
    temperature_k: float,
    generator: torch.Generator,
) -> tuple[Reading, ...]:
    """Settles freely, then once for every nudge from that equilibrium; see `emulator.chip.Chip.settle`.

    Args:
        placed: The array, brought up to the clock; it rests in the free equilibrium afterwards.
        drive: (batch, *first layer), amperes; volts of the source nodes in a resistive network.
        nudges_a: (batch, *last layer) each, amperes.
        start_v: Measured states of an earlier free phase of the same drive.
        reads: Conversions of every state, averaged.
        time_s: Wait of one phase; the datasheet's when omitted.
        temperature_k: The chip's.
        generator: Source of every noise of the transaction.
    """
    held = free(placed, drive, time_s, generator, start_v)
    readout = Readout(placed, temperature_k, generator, reads, held.phases.time_s)
    readings = [readout(held.relaxed[0], held.drive, held.clipped[0])]
    placed.hold(held.drive, readings[0].states_v, held.relaxed[0].states)
    if nudges_a:
        held = nudged(placed, held, nudges_a, generator)
        pairs = zip(held.relaxed[1:], held.clipped[1:], strict=True)
        readings += [readout(phase, held.drive, clipped) for phase, clipped in pairs]
    return tuple(readings)


def _send(dac: Dac | SourceDac, value: Tensor, channels: Channels, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    sent, clipped = converters.convert_drive(dac, value, channels)
    if isinstance(dac, Dac) and dac.noise_sigma_a:
        noise = torch.randn(sent.shape, generator=generator, dtype=sent.dtype, device=sent.device)
        sent = sent + noise * dac.noise_sigma_a
    return sent, clipped

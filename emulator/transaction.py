"""One settle as an array and its converters do it: values through the DACs, the phases, readings of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emulator import converters
from emulator.placed import PlacedArray
from emulator.readout import Reading, Readout
from emulator.settling import Phases
from firmware_specs.datasheet.converters import Dac, SourceDac


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
    sheet = placed.sheet
    unit_v = sheet.neurons.state_unit_v
    scale = sheet.neurons.transimpedance_ohm / unit_v
    sent, clipped = _send(sheet.drive_dac, drive, placed.drive, generator)
    drive = sent / unit_v if sheet.resistive else sent * scale
    phases = Phases.begin(placed, sheet.settle.time_s if time_s is None else time_s, generator)
    start = None
    if start_v is not None and not phases.transient:
        start = placed.resting(drive, start_v) or tuple(s / unit_v for s in start_v)
    free, offsets = phases.free(drive, start)
    readout = Readout(placed, temperature_k, generator, reads, phases.time_s)
    readings = [readout(free, drive, clipped)]
    placed.hold(drive, readings[0].states_v, free.states)
    if nudges_a:
        nudge, more = _send(sheet.nudge_dac, torch.cat(list(nudges_a)), placed.nudge, generator)
        count = len(nudges_a)
        nudged = phases.nudged(drive, (nudge * scale).chunk(count), free, offsets)
        readings += [readout(p, drive, clipped + m) for p, m in zip(nudged, more.chunk(count), strict=True)]
    return tuple(readings)


def _send(
    dac: Dac | SourceDac, value: Tensor, channels: converters.Channels, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    sent, clipped = converters.convert_drive(dac, value, channels)
    if isinstance(dac, Dac) and dac.noise_sigma_a:
        noise = torch.randn(sent.shape, generator=generator, dtype=sent.dtype, device=sent.device)
        sent = sent + noise * dac.noise_sigma_a
    return sent, clipped

"""What a chip does, counted where it is done; the words are those of `firmware_specs.deeds`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor

from emulator.placed import PlacedArray
from firmware_specs.codes import SOURCE_CURRENTS
from firmware_specs.datasheet import Datasheet
from firmware_specs.deeds import NOTHING, Deeds, coincided, settled, updated
from firmware_specs.messages import Train


def of_settle(
    placed: PlacedArray, samples: int, nudges: int, reads: int, time_s: float | None, layers: Sequence[int] | None
) -> Deeds:
    """Of a settle that reads some layers, all of them and the source currents where None."""
    sheet, block = placed.sheet, placed.topology
    if layers is None:
        ammeter = sheet.nodes.ammeter is not None and block.source is not None
        layers = [*range(len(block.layers)), *([SOURCE_CURRENTS] if ammeter else [])]
    read = sum(prod(block.shape(layer)) for layer in layers)
    phase_s = (time_s or sheet.settle.time_s) + reads * sheet.read_time_s
    seconds = samples * (1 + nudges) * phase_s
    return settled(samples, nudges, prod(block.drive_shape), prod(block.nudge_shape), read, reads, seconds)


def of_update(placed: PlacedArray, samples: int, nudges: int, windows_s: float, time_s: float | None) -> Deeds:
    """Of an update whose circuits were on for so many seconds, all samples and terms together."""
    sheet, block = placed.sheet, placed.topology
    seconds = samples * (1 + nudges) * (time_s or sheet.settle.time_s) + windows_s + sheet.programming.write_time_s
    cells = sum(crossbar.pulses.numel() for crossbar in placed.crossbars)
    return updated(samples, nudges, prod(block.drive_shape), prod(block.nudge_shape), cells, seconds)


def of_writes(sheet: Datasheet, cells: int, pulses: int) -> Deeds:
    """Of cells written with so many writes."""
    return Deeds(written=cells, write_pulses=pulses, device_s=pulses * sheet.programming.write_time_s)


def of_pulses(sheet: Datasheet, up: bool, pulses: int, width_s: float) -> Deeds:
    """Of programming pulses of one polarity."""
    seconds = pulses * (width_s + sheet.programming.write_time_s)
    return Deeds(pulses_up=pulses, device_s=seconds) if up else Deeds(pulses_down=pulses, device_s=seconds)


def of_coincidences(sheet: Datasheet, trains: Sequence[Train], width_s: float) -> Deeds:
    """Of trains on rows and columns."""
    return coincided(trains, width_s + sheet.programming.write_time_s)


def of_readings(sheet: Datasheet, amperes: Tensor) -> Deeds:
    """Of cells read one by one."""
    return Deeds(reads=amperes.numel(), device_s=amperes.numel() * sheet.read_time_s)


def of_products(tiles: Sequence[PlacedArray], samples: int, transposed: bool, planes: int, reads: int) -> Deeds:
    """Of samples multiplied on tiles, plane by plane, every line converted."""
    total = NOTHING
    for tile in tiles:
        rows, columns = tile.crossbars[0].shape[1:]
        driven, read = (columns, rows) if transposed else (rows, columns)
        seconds = samples * reads * tile.sheet.read_time_s
        each = Deeds(products=samples, dac=samples * driven, adc=samples * read * reads, device_s=seconds)
        total += each.times(planes)
    return total

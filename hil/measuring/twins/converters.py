"""Channels that read, for a twin, from a calibration of the same chip: bow of the curve, uneven steps, gains.

DACs are left out: their curve is what the ADC's leaves, whose uncertainty is as large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from firmware_specs.topology import Topology
from hil.measuring import robust
from hil.measuring.calibrate.entries import LayerEntry, LinearityEntry
from hil.measuring.calibrate.file import CalibrationFile
from hil.measuring.calibrate.linearity import GRID
from hil.measuring.estimate import Estimate
from hil.measuring.twins.document import Document
from hil.measuring.twins.measured import TwinError

SURE = 4.0
"""A figure is taken into the twin when it is this many standard uncertainties from none."""
MEDIAN = 1.2533
"""Standard error of a median of normal values, beside that of their mean."""

Keys = Iterator[tuple[str, str, Estimate]]
"""Section, key and what it is."""


def of_same_chip(calibration: CalibrationFile, chip: dict[str, Any]) -> None:
    """Refuses a calibration of another chip.

    Raises:
        TwinError: it is of another.
    """
    about = calibration.calibration
    if (about.model, about.serial) != (chip["model"], chip["serial"]):
        raise TwinError(
            f"calibration {about.id} is of {about.model} {about.serial}, the characterization of {chip['model']} "
            f"{chip['serial']}: a twin is of one chip"
        )


def figures(calibration: CalibrationFile, document: Document) -> Keys:
    """Errors of the ADCs that are surely there, in steps; of the first array that has each.

    Args:
        calibration: Of the same chip.
        document: Of the twin, with the ranges and bits that the device says of itself.
    """
    seen: set[tuple[str, str]] = set()
    for array in calibration.arrays:
        layers = Topology.model_validate_json(array.topology).layers
        for layer in array.layers:
            adc = "state_adc" if layers[layer.layer].clamped else "output_adc"
            for section, key, found in _of_layer(layer, adc, document):
                if (section, key) not in seen:
                    seen.add((section, key))
                    yield section, key, found


def _of_layer(layer: LayerEntry, adc: str, document: Document) -> Keys:
    gain, sigma = layer.array("read_gain"), layer.array("read_gain_sigma")
    known = sigma > 0
    if known.sum() > 2 and gain[known].std() > SURE * float(np.median(sigma[known])):
        yield adc, "gain_error_sigma", robust.spread(gain[known], sigma[known] ** 2)
    if layer.adc is not None and layer.step and document[adc]["bits"]:
        yield from _of_curve(adc, layer.adc, layer.step)


def _of_curve(section: str, found: LinearityEntry, step: float) -> Keys:
    """The bow is that of all channels together, as far as states reach; steps are each channel's own."""
    curve = found.curve(np.linspace(0.0 if found.clamped else -found.reach, found.reach, GRID))
    bow = Estimate(float(np.abs(curve).max()), found.curve_sigma)
    if bow.value > SURE * bow.sigma:
        yield section, "inl_lsb", bow.scaled(1 / step)
    if found.dnl:
        uneven = Estimate(
            float(np.median(found.dnl)), MEDIAN * float(np.median(found.dnl_sigma)) / float(np.sqrt(len(found.dnl)))
        )
        if uneven.value > SURE * uneven.sigma:
            yield section, "dnl_lsb", uneven.scaled(1 / step)

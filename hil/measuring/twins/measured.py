"""Twins of what was measured cell by cell: each kind of reading gives the laws it can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from firmware_specs.datasheet import Datasheet
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import fluctuation, ramps, resets, retention, samples, writing
from hil.measuring.laws.choice import Chosen
from hil.measuring.laws.samples import Range
from hil.measuring.twins.document import Twin
from hil.measuring.twins.enough import lacking
from hil.measuring.twins.periphery import around, make_room


class TwinError(ValueError):
    """A measurement no twin can be made of."""


def laws_of(readings: Mapping[str, Readings], within: Range, seed: int = 0) -> dict[str, Chosen]:
    """Laws of each kind of reading, chosen by held-out likelihood.

    Args:
        readings: By kind.
        within: Range of the conductances.
        seed: Of the halves.

    Raises:
        TwinError: no law could be fitted to a kind, or it has too few readings; the message names it.
    """
    choices: Mapping[str, Callable[[Readings], Chosen]] = {
        "ramps": lambda r: ramps.choose(samples.ramps_of(r, within), seed=seed),
        "retention": lambda r: retention.choose(samples.retention_of(r), within, seed),
        "reads": lambda r: fluctuation.choose(samples.series_of(r), within, seed),
        "writes": lambda r: writing.choose(samples.writes_of(r), within, seed),
        "resets": lambda r: resets.choose(samples.resets_of(r), seed),
    }
    found: dict[str, Chosen] = {}
    for kind in (kind for kind in choices if kind in readings):
        if what := lacking(readings[kind]):
            raise TwinError(f"{kind}: {what}")
        try:
            found[kind] = choices[kind](readings[kind])
        except ValueError as error:
            raise TwinError(f"{kind}: {error}") from error
    return found


def range_of(readings: Mapping[str, Readings]) -> Range:
    """Range of all kinds together."""
    every = [samples.range_of(r) for r in readings.values()]
    return Range(min(r.low_s for r in every), max(r.high_s for r in every))


def twin(
    readings: Mapping[str, Readings],
    like: Datasheet,
    identity: Mapping[str, str],
    within: Range | None = None,
    seed: int = 0,
) -> Twin:
    """A twin of cells that were measured without the circuits about them.

    Args:
        readings: By kind.
        like: Datasheet whose circuits, scaled, are put about the cells.
        identity: `vendor`, `model`, `description`, `source`.
        within: Range of the conductances; what the readings cover when omitted.
        seed: Of the halves.

    Raises:
        TwinError: the readings tell too little for a datasheet.
    """
    if like.resistive:
        raise TwinError(f"{like.identity.model} is a resistive network: circuits of a Hopfield array are needed")
    within = within or range_of(readings)
    if not within.span_s > 0:
        raise TwinError(f"all conductances are {within.low_s:.3g} S: readings between two different ones are needed")
    document: dict[str, dict[str, Any]] = {"identity": dict(identity)}
    document |= {name: keys for name, keys in around(like, within).items() if name != "identity"}
    chosen = laws_of(readings, within, seed)
    uncertainty: dict[str, float] = {}
    for kind in ("ramps", "retention", "writes", "resets", "reads"):  # what measured read noise itself comes last
        if kind in chosen:
            for section, keys in chosen[kind].sections.items():
                document[section] = ({} if section == "read_noise" else document.get(section, {})) | dict(keys)
            uncertainty |= chosen[kind].uncertainty
    _pulsable(document, like)
    make_room(document)
    if "retention" in readings and "drift" in document:
        document["cells"]["reference_k"] = retention.REFERENCE_K
    _clean(document)
    return Twin(document, uncertainty, list(chosen.values()))


def _pulsable(document: dict[str, dict[str, Any]], like: Datasheet) -> None:
    """Resets alone do not say how a cell is set: that is taken over from a one-sided device."""
    pulses = document.get("pulses", {})
    if "reset" not in pulses or "law" in pulses:
        return
    if not like.pulses.one_sided:
        raise TwinError(
            "resets do not say how pulses set a cell: name a one-sided device with --like (pcm), to take its up steps"
        )
    document["pulses"] = like.pulses.model_dump(mode="json", exclude_unset=True) | pulses


def _clean(document: dict[str, dict[str, Any]]) -> None:
    """Numbers of numpy are Python's."""
    for keys in document.values():
        for key, value in keys.items():
            if isinstance(value, np.generic):
                keys[key] = value.item()

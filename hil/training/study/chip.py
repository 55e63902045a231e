"""The emulated chip of a point: a datasheet with other values."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.addresses import split_options
from firmware_specs.datasheet import Datasheet
from firmware_specs.documents import parse_toml, read_text
from firmware_specs.refusals import explain
from hil.training.study.grid import StudyError, Value


def check(address: str, changes: Mapping[str, Value]) -> None:
    """Refuses keys that no datasheet has; a value that is refused is left to its point.

    Raises:
        StudyError: naming section and key, and what there is.
    """
    document = changed(address, changes)
    try:
        Datasheet.model_validate(document)
    except ValidationError as error:
        named = {part for place in changes for part in place.split(".")}
        if any(e["type"] == "extra_forbidden" and e["loc"][-1] in named for e in error.errors()):
            raise StudyError(f"--sweep: chip: {'; '.join(explain(error, document, Datasheet))}") from error


def sheet_of(address: str) -> str:
    """Name or file of the datasheet of an `emulator:` address."""
    return split_options(address.removeprefix("emulator:"))[0]


def changed(address: str, changes: Mapping[str, Value]) -> dict[str, dict[str, object]]:
    """Document of an emulated chip's datasheet with other values; it is checked when the chip is opened.

    Raises:
        StudyError: a key is not SECTION.KEY.
    """
    name = sheet_of(address)
    shipped = resources.files("firmware_specs.datasheets") / f"{name}.toml"
    try:
        text = shipped.read_text("utf-8") if shipped.is_file() else read_text(Path(name))
        document: dict[str, dict[str, object]] = parse_toml(text)
    except (OSError, ValueError) as error:
        raise StudyError(f"{name}: {error}") from error
    for place, value in changes.items():
        section, _, key = place.partition(".")
        if not key:
            raise StudyError(f"chip.{place}: expected chip.SECTION.KEY, e.g. chip.cells.bits")
        document.setdefault(section, {})[key] = value
    if "read_noise.sigma" in changes:
        document["read_noise"] = _read_noise(document["read_noise"])
    if "cells.programming_noise" in changes:
        document.get("programming", {}).pop("sigma_coefficients_s", None)
    return document


def _read_noise(section: Mapping[str, object]) -> dict[str, object]:
    """A section with another sigma: its law is kept where it has one, 1/f noise gives way to relative noise."""
    if not section["sigma"]:
        return {"law": "none"}
    law = section.get("law")
    return {**section, "law": law} if law == "additive" else {"law": "relative", "sigma": section["sigma"]}

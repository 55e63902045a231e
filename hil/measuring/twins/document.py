"""A twin as a document: sections and keys of a datasheet, uncertainties, and why each law was chosen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w

from firmware_specs.datasheet import Datasheet
from hil.measuring.laws.choice import Chosen

Document = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Twin:
    """A fitted datasheet.

    Attributes:
        document: Sections and keys, as the datasheet's TOML has them.
        uncertainty: Standard uncertainty of every fitted `section.key`, in the key's unit.
        chosen: Laws that were chosen among several, and why.
    """

    document: Document
    uncertainty: dict[str, float]
    chosen: Sequence[Chosen] = ()

    @property
    def datasheet(self) -> Datasheet:
        """The datasheet, checked."""
        return Datasheet.model_validate(self.document)

    def to_toml(self) -> str:
        """The datasheet as TOML; fitted keys carry their uncertainty as a comment, laws why they were chosen."""
        lines = ["# Fitted by `hil twin`; +- is one standard uncertainty.", ""]
        for one in self.chosen:
            lines += [f"# {line}" for line in (one.why, *one.notes)]
        if self.chosen:
            lines.append("")
        for section, keys in self.document.items():
            lines += self._section(section, keys)
        return "\n".join(lines)

    def _section(self, name: str, keys: dict[str, Any]) -> list[str]:
        lines = [f"[{name}]"]
        tables = {key: value for key, value in keys.items() if isinstance(value, dict)}
        for key, value in keys.items():
            if key in tables:
                continue
            error = self.uncertainty.get(f"{name}.{key}")
            said = (
                f"{key} = {json.dumps(rounded(value))}"
                if isinstance(value, list | tuple)
                else tomli_w.dumps({key: value})
            )
            lines.append(said.rstrip() + ("" if error is None else f"  # +- {error:.2g}"))
        lines.append("")
        for key, value in tables.items():
            lines += self._section(f"{name}.{key}", value)
        return lines


def rounded(values: Any) -> Any:
    """Tables to six digits, so that a file of them can be read."""
    if isinstance(values, list | tuple):
        return [rounded(v) for v in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values

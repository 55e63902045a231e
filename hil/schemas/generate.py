"""From pydantic models and their docstrings to JSON schemas."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from hil.schemas.docstrings import attributes, summary

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BASE = {
    "type": "string",
    "title": "Base",
    "description": "Another experiment, a shipped name or a path beside this file; this one says what differs.",
}
Document = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of TOML file.

    Attributes:
        name: As `hil schema` takes it.
        what: In words.
        model: Imports and returns its model.
        example: A shipped file, or a page with one.
    """

    name: str
    what: str
    model: Callable[[], type[BaseModel]]
    example: str


def _experiment() -> type[BaseModel]:
    from hil.experiments.schema import Experiment

    return Experiment


def _bench() -> type[BaseModel]:
    from hil.counterparts.opening.bench_file import BenchFile

    return BenchFile


def _datasheet() -> type[BaseModel]:
    from firmware_specs.datasheet import Datasheet

    return Datasheet


def _rack() -> type[BaseModel]:
    from firmware_specs.racks import Rack

    return Rack


def _plan() -> type[BaseModel]:
    from hil.measuring.characterize.plan import Plan

    return Plan


def _lab() -> type[BaseModel]:
    from firmware_specs.labs import Lab

    return Lab


KINDS = {
    kind.name: kind
    for kind in (
        Kind("experiment", "an experiment: data, blocks, estimator, optimizer, run", _experiment, "digits"),
        Kind("bench", "a bench file: devices by name, their limits and calibrations", _bench, "docs/how-to/bench.md"),
        Kind("datasheet", "a datasheet: what a device is", _datasheet, "mixed-8bit"),
        Kind("rack", "a rack: instruments around a bare crossbar", _rack, "bench-16x16"),
        Kind("plan", "a plan of a characterization", _plan, "docs/how-to/calibration.md"),
        Kind("lab", "a virtual laboratory: instruments, parts and wires", _lab, "docs/how-to/virtual-laboratory.md"),
    )
}


class _WithTexts(GenerateJsonSchema):
    """Puts the docstrings' texts where an editor shows them."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Document:
        """A pydantic model."""
        return _described(super().model_schema(schema), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> Document:
        """A dataclass that is a section."""
        return _described(super().dataclass_schema(schema), schema["cls"])


def schema(kind: str) -> Document:
    """The JSON schema of a kind of file.

    Args:
        kind: Of `KINDS`.

    Raises:
        KeyError: there is no such kind.
    """
    wanted = KINDS[kind]
    found = wanted.model().model_json_schema(by_alias=True, schema_generator=_WithTexts)
    for part in (found, *found.get("$defs", {}).values()):
        _describe_sections(part, found.get("$defs", {}))
    _open_choices(found, found.get("$defs", {}))
    document = {"$schema": DIALECT, "$comment": f"hil schema {kind}", **found}
    if kind == "experiment":
        document["properties"] = {"base": BASE, **found["properties"]}
        document["anyOf"] = [{"required": ["base"]}, {"required": found.get("required", [])}]
        document.pop("required", None)
    return document


def text_of(kind: str) -> str:
    """The schema as it lies in a file."""
    return json.dumps(schema(kind), indent=1, ensure_ascii=False) + "\n"


def _open_choices(node: object, parts: Document) -> None:
    """Where a thing of another package may stand, its `kind` is none of ours: then, and only then, any key goes."""
    if isinstance(node, list):
        for one in node:
            _open_choices(one, parts)
    if not isinstance(node, dict):
        return
    for one in node.values():
        _open_choices(one, parts)
    options = node.get("oneOf")
    if isinstance(options, list) and {} in options:
        ours: list[object] = []
        for option in options:
            kind = parts.get(str(option.get("$ref", "")).rpartition("/")[2], {}).get("properties", {}).get("kind", {})
            ours += kind.get("enum", [kind["const"]] if "const" in kind else [])
        other = {"type": "object", "properties": {"kind": {"type": "string", "not": {"enum": ours}}}}
        options[options.index({})] = {**other, "required": ["kind"], "description": "Of another package."}


def _describe_sections(part: Document, parts: Document) -> None:
    """A key that is a section says what the section is, where its own class has no words for it."""
    for key, value in part.get("properties", {}).items():
        if value.get("description"):
            continue
        options = [value, value.get("items", {}), *value.get("anyOf", ()), *value.get("oneOf", ())]
        names = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
        texts = [parts[name]["description"] for name in names if parts[name].get("description")]
        if texts:
            value["description"] = " / ".join(texts)
        elif key == "kind":
            value["description"] = "Which of the alternatives this is."


def _described(found: Document, of: type) -> Document:
    texts = attributes(of)
    for key, value in found.get("properties", {}).items():
        if key in texts:
            value["description"] = texts[key]
    found["description"] = summary(of)
    return found

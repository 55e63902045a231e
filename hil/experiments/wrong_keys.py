"""Keys that an experiment does not have, told by the shipped schema: a refusal of one does not wait for torch.

The models that check a document in full are those of layers, energies and rules, which import torch. The schema made of
them knows every key of what is shipped; what another package brings is judged by its own models, and values by all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from firmware_specs.refusals import close, told

Node = dict[str, Any]


def wrong_keys(document: dict[str, object]) -> list[str]:
    """One line a key that is unknown or missing, in the words of `firmware_specs.refusals.explain`."""
    schema = _schema()
    known = {key: node for key, node in schema["properties"].items() if key != "base"}  # it is resolved before
    root = {"properties": known, "required": schema["anyOf"][-1]["required"]}
    return told(list(_section(document, root, "")))


@cache
def _schema() -> Node:
    schema: Node = json.loads((resources.files("hil.schemas") / "experiment.schema.json").read_text("utf-8"))
    return schema


def _resolved(node: Node) -> Node:
    return {**node, **_schema()["$defs"][node["$ref"].rpartition("/")[2]]} if "$ref" in node else node


def _options(node: Node) -> list[Node]:
    """What a value may be, without names for it."""
    node = _resolved(node)
    options: list[Node] = node.get("oneOf") or node.get("anyOf") or [node]
    return [_resolved(option) for option in options]


def _kinds(section: Node) -> list[object]:
    kind: Node = section.get("properties", {}).get("kind", {})
    return [kind["const"]] if "const" in kind else list(kind.get("enum", ()))


def _is_section(node: Node) -> bool:
    return node.get("additionalProperties") is False


def _meant(value: dict[str, object], node: Node) -> Node | None:
    """The shipped section that a table is; None where it may be another package's, or nothing."""
    options = _options(node)
    if len(options) == 1 or "oneOf" not in _resolved(node):
        sections = [option for option in options if _is_section(option)]
        return sections[0] if len(sections) == 1 else None
    kind = value.get("kind", None if "discriminator" in node else _usual(node, options))
    return next((o for o in options if _is_section(o) and kind in _kinds(o)), None)


def _usual(node: Node, options: list[Node]) -> object:
    """The `kind` of a table that states none; None where it has to."""
    first = options[0].get("properties", {}).get("kind", {})
    return node.get("default", first).get("kind" if "default" in node else "default")


def _section(table: dict[str, object], section: Node, path: str) -> Iterator[str]:
    known: Node = section["properties"]
    for key, node in known.items():
        if key in table:
            yield from _value(table[key], node, f"{path}{key}.")
        elif key in section.get("required", ()):
            yield f"{path}{key}: missing"
    for key in table:
        if key not in known:
            yield f"{path}{key}: unknown key; {_instead(key, known)}"


def _value(value: object, node: Node, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        if (section := _meant(value, node)) is not None:
            yield from _section(value, section, path)
    elif isinstance(value, list):
        for items in [option["items"] for option in _options(node) if "items" in option]:
            for index, item in enumerate(value):
                yield from _value(item, items, f"{path}{index}.")


def _instead(name: str, known: Node) -> str:
    lower = sorted(f"{key}.{name}" for key, node in known.items() for below in _below(node) if name in below)
    return f"did you mean {' or '.join(lower)}?" if lower else close(name, sorted(known))


def _below(node: Node) -> Iterator[Node]:
    """Keys of the shipped sections that a field may hold."""
    for option in _options(node):
        if "items" in option:
            yield from _below(option["items"])
        elif _is_section(option):
            yield option["properties"]

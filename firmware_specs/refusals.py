"""What is wrong with a TOML document, in the words of the file: key, what was expected, what was there."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from firmware_specs.printable import printable

WHOLE = "(whole file)"
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
UNKNOWN_NAME, UNKNOWN_KIND, REFUSED_BY_ITS_OWN = "unknown_name", "unknown_kind", "refused_by_its_own"
"""Problems of what is chosen by name (`firmware_specs.registry`)."""
MOST_GIVEN, MOST_LINE, MOST_LINES = 120, 600, 20
"""How much of a stranger's document is said again."""


def explain(error: ValidationError, document: object = None, model: type[BaseModel] | None = None) -> list[str]:
    """One line a problem of a refused TOML document: key, what was expected, what was there.

    Args:
        error: The refusal.
        document: What was refused; with it, keys are named as the file has them, without pydantic's union tags.
        model: What refused it; with it, an unknown key is answered with the keys there are.
    """
    lines = []
    found = error.errors()
    for problem in found:
        location = problem["loc"]
        if any(other["loc"][: len(location)] == location != other["loc"] for other in found):
            continue  # a container that is short only because what it holds was refused
        key = ".".join(_path(location, document, problem["type"] == "missing")) or WHOLE
        if problem["type"] in UNKNOWN:
            lines.append(f"{key}: unknown key{_instead(location, model)}")
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing")
        elif problem["type"] in (UNKNOWN_NAME, UNKNOWN_KIND):
            lines.append(f"{key}{'.kind' if problem['type'] == UNKNOWN_KIND else ''}: {problem['msg']}")
        elif problem["type"] == REFUSED_BY_ITS_OWN:
            lines += [f"{key}.{line}" for line in problem.get("ctx", {})["lines"]]
        elif problem["type"] == "union_tag_invalid":
            context = problem.get("ctx", {})
            kinds = str(context.get("expected_tags")).replace("'", "").split(", ")
            given = printable(str(context.get("tag")), MOST_GIVEN)
            lines.append(f"{key}.kind: {given!r} is unknown; {close(given, kinds)}")
        elif problem["type"] == "union_tag_not_found" and isinstance(problem["input"], dict):
            lines.append(f"{key}.kind: missing{_kinds(location, model)}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = (
                "" if isinstance(problem["input"], dict) else f", got {printable(repr(problem['input']), MOST_GIVEN)}"
            )
            lines.append(f"{key}: {message}{given}")
    return told(lines)


def told(lines: Sequence[str]) -> list[str]:
    """As much of them as is said, made printable."""
    return [printable(line, MOST_LINE) for line in lines[:MOST_LINES]]


def close(name: str, names: Iterable[str], label: str = "known") -> str:
    """The names that one was probably meant to be, else all there are."""
    names = list(names)
    found = get_close_matches(name.lower(), names, n=3)
    return f"did you mean {' or '.join(found)}?" if found else f"{label}: {', '.join(names)}"


def no_such(kind: str, name_or_path: str, names: Sequence[str], error: Exception) -> str:
    """Why neither a shipped document nor a file answers to a name; of a path only what is wrong with it."""
    why = str((error.strerror if isinstance(error, OSError) else None) or error)
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return f"{name_or_path}: {why}" + ("" if path.is_absolute() else f" (looked in {Path.cwd()})")
    known = close(name_or_path, names, "shipped")
    return f"{name_or_path}: neither a shipped {kind} nor a readable TOML file ({why}); {known}"


def _instead(location: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    if model is None or not location:
        return ""
    here = _at(location[:-1], model)
    name, fields = str(location[-1]), {field for owner in here for field in _fields(owner)}
    lower = sorted(f"{field}.{name}" for field in fields for owner in _below(here, field) if name in _fields(owner))
    return "; " + (f"did you mean {' or '.join(lower)}?" if lower else close(name, sorted(fields)))


def _kinds(location: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    if model is None:
        return ""
    kinds = sorted({kind for owner in _at(location, model) for kind in get_args(_fields(owner).get("kind"))})
    return f"; known: {', '.join(kinds)}" if kinds else ""


def _at(location: tuple[int | str, ...], model: type[BaseModel]) -> set[type]:
    """Sections that may stand at a place of a document."""
    here: set[type] = {model}
    for part in location:
        if isinstance(part, str):
            here = _below(here, part) or _tagged(here, part) or here
    return here


def _tagged(owners: set[type], kind: str) -> set[type]:
    """The members of a union that have this `kind`."""
    return {owner for owner in owners if kind in get_args(_fields(owner).get("kind"))}


def _below(owners: set[type], field: str) -> set[type]:
    """Sections that a field of some sections may hold."""
    return {found for owner in owners if field in _fields(owner) for found in _sections(_fields(owner)[field])}


def _fields(owner: type) -> dict[str, object]:
    if issubclass(owner, BaseModel):
        return {name: field.annotation for name, field in owner.model_fields.items()}
    return _hints(owner) if dataclasses.is_dataclass(owner) else {}


@functools.cache
def _hints(owner: type) -> dict[str, object]:
    hints = get_type_hints(owner)
    return {field.name: hints[field.name] for field in dataclasses.fields(owner)}


def _sections(annotation: object) -> Iterator[type]:
    """Models and dataclasses in a type, however deep in unions and containers."""
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _path(location: tuple[int | str, ...], document: object, missing: bool) -> list[str]:
    """A problem's location without the tags that pydantic adds for members of a union."""
    path, node = [], document
    for depth, part in enumerate(location):
        last = depth == len(location) - 1
        if isinstance(node, dict) and part not in node and not (missing and last):
            continue
        path.append(str(part))
        node = _child(node, part)
    return path


def _child(node: object, part: int | str) -> object:
    if isinstance(node, dict):
        return node.get(part)
    if not isinstance(node, list) or not isinstance(part, int):
        return None
    return node[part] if 0 <= part < len(node) else None

"""Reading datasheets: shipped ones by name, others by path; every refusal names file, key and what was expected."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.datasheet.sheet import Datasheet


class DatasheetError(ValueError):
    """A datasheet that cannot be used; the message names file, key and what was expected."""


def shipped() -> list[str]:
    """Names of the shipped datasheets."""
    folder = resources.files("firmware_specs.datasheets")
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load(name_or_path: str | Path) -> Datasheet:
    """Reads a datasheet.

    Args:
        name_or_path: A shipped name (`mixed-8bit`) or the path of a TOML file.

    Raises:
        DatasheetError: unknown name, unreadable file, or content that is refused.
    """
    return parse(*_read(str(name_or_path)))


def parse(text: str, where: str) -> Datasheet:
    """A datasheet from its text; `where` it came from is named in errors, which are those of `load`."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasheetError(f"{where}: not TOML: {error}") from error
    try:
        return Datasheet.model_validate(document)
    except ValidationError as error:
        raise DatasheetError(f"{where}: " + "; ".join(explain(error, document))) from error


def explain(error: ValidationError, document: object = None) -> list[str]:
    """One line a problem of a refused TOML document: key, what was expected, what was there.

    Args:
        error: The refusal.
        document: What was refused; with it, keys are named as the file has them, without pydantic's union tags.
    """
    lines = []
    for problem in error.errors():
        key = ".".join(_path(problem["loc"], document, problem["type"] == "missing")) or "(whole file)"
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{key}: unknown key")
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], dict) else f", got {problem['input']!r}"
            lines.append(f"{key}: {message}{given}")
    return lines


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
    return node[part] if isinstance(node, list) and isinstance(part, int) else None


def _read(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix != ".toml" and name_or_path in shipped():
        name = f"{name_or_path}.toml"
        return (resources.files("firmware_specs.datasheets") / name).read_text(), name
    try:
        return path.read_text(), str(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DatasheetError(
            f"{name_or_path}: neither a shipped datasheet ({', '.join(shipped())}) nor a readable TOML file: {error}"
        ) from error

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
    text, where = _read(str(name_or_path))
    try:
        return Datasheet.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DatasheetError(f"{where}: not TOML: {error}") from error
    except ValidationError as error:
        raise DatasheetError(f"{where}: " + "; ".join(explain(error))) from error


def explain(error: ValidationError) -> list[str]:
    """One line a problem of a refused TOML document: key, what was expected, what was there."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(whole file)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key")
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = "" if isinstance(problem["input"], dict) else f", got {problem['input']!r}"
            lines.append(f"{key}: {message}{given}")
    return lines


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

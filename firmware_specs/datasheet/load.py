"""Reading datasheets: shipped ones by name, others by path; every refusal names file, key and what was expected."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.datasheet.sheet import Datasheet
from firmware_specs.documents import DocumentError, parse_toml, read_text
from firmware_specs.refusals import explain, no_such


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


def text_of(name_or_path: str) -> str:
    """The TOML of a shipped datasheet, or of a file; errors as those of `load`."""
    return _read(name_or_path)[0]


def parse(text: str, where: str) -> Datasheet:
    """A datasheet from its text; `where` it came from is named in errors, which are those of `load`."""
    try:
        document = parse_toml(text)
    except DocumentError as error:
        raise DatasheetError(f"{where}: {error}") from error
    try:
        return Datasheet.model_validate(document)
    except ValidationError as error:
        raise DatasheetError(f"{where}: " + "; ".join(explain(error, document, Datasheet))) from error


def _read(name_or_path: str) -> tuple[str, str]:
    path = Path(name_or_path)
    if path.suffix != ".toml" and name_or_path in shipped():
        name = f"{name_or_path}.toml"
        return (resources.files("firmware_specs.datasheets") / name).read_text("utf-8"), name
    try:
        return read_text(path), str(path)
    except (OSError, ValueError) as error:
        raise DatasheetError(no_such("datasheet", name_or_path, shipped(), error)) from error

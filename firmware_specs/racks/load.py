"""Reading rack files: shipped ones by name, others by path; every refusal names file, key and what was expected."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from firmware_specs.documents import DocumentError, parse_toml, read_text
from firmware_specs.racks.rack import Rack
from firmware_specs.refusals import explain, no_such

_FACTS = "instruments.toml"


class RackError(ValueError):
    """A rack file that cannot be used; the message names file, key and what was expected."""


def shipped_racks() -> list[str]:
    """Names of the shipped racks."""
    folder = resources.files("firmware_specs.racks")
    names = (item.name for item in folder.iterdir())
    return sorted(n.removesuffix(".toml") for n in names if n.endswith(".toml") and n != _FACTS)


def load_rack(name_or_path: str | Path) -> Rack:
    """Reads a rack.

    Args:
        name_or_path: A shipped name (`bench-16x16`) or the path of a TOML file.

    Raises:
        RackError: unknown name, unreadable file, or content that is refused.
    """
    name = str(name_or_path)
    if name in shipped_racks():
        text, where = (resources.files("firmware_specs.racks") / f"{name}.toml").read_text("utf-8"), f"{name}.toml"
    else:
        try:
            text, where = read_text(Path(name)), name
        except (OSError, ValueError) as error:
            raise RackError(no_such("rack", name, shipped_racks(), error)) from error
    try:
        document = parse_toml(text)
    except DocumentError as error:
        raise RackError(f"{where}: {error}") from error
    try:
        return Rack.model_validate(document)
    except ValidationError as error:
        raise RackError(f"{where}: " + "; ".join(explain(error, document, Rack))) from error

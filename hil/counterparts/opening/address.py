"""What every address has in common: its forms, its options, its refusals, and what opening one is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from drivers.doors import meant
from firmware_specs.addresses import split_options
from firmware_specs.datasheet import shipped

if TYPE_CHECKING:
    import torch

    from emulator.network import Stop
    from hil.counterparts.seam import Bench

FORMS = (
    "reference:[?arithmetic=mixed&over_relaxation=W]  emulator:DATASHEET?seed=N  serial:PORT?baud=N  "
    "visa:RESOURCE  rack:FILE  bench:FILE#NAME"
)


class AddressError(ValueError):
    """An address that names no counterpart; the message says what an address looks like."""


@dataclass(frozen=True)
class Settings:
    """What `open_bench` is told besides the address."""

    device: str | torch.device
    dtype: torch.dtype
    stop: Stop | None
    nudged_stop: Stop | None
    visa_library: str | None = None
    convolutions: str = "measured"


Opener = Callable[[Settings], "Bench"]


def probably(address: str) -> str:
    """What an address that names nothing was probably meant to be: a sentence with a leading blank, or nothing."""
    return f" Did you mean emulator:{address}?" if split_options(address)[0] in shipped() else meant(address)


def options_of(address: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    """The options behind the `?` of an address.

    Raises:
        AddressError: one is unknown, or given twice.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if twice := sorted({name for name, _ in pairs if [key for key, _ in pairs].count(name) > 1}):
        raise AddressError(f"{address!r}: {', '.join(twice)} is given twice; which one is meant?")
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise AddressError(f"{address!r}: unknown option {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    return options

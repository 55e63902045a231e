"""The composition root: the only place that turns an address into an object."""

from __future__ import annotations

from urllib.parse import parse_qsl

import torch

from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.datasheet import load
from hil.backends.emulator import EmulatorBench
from hil.backends.reference import ReferenceBench
from hil.backends.seam import Bench

FORMS = "reference:  emulator:DATASHEET?seed=N  serial:PORT?baud=N  visa:RESOURCE"


class AddressError(ValueError):
    """An address that names no counterpart; the message says what an address looks like."""


def open_bench(
    address: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    stop: Stop | None = None,
    nudged_stop: Stop | None = None,
) -> Bench:
    """Opens a counterpart.

    Args:
        address: `reference:` or `emulator:DATASHEET?seed=N`, where DATASHEET is a shipped name or a TOML file.
        device: Torch device of an emulated chip.
        dtype: Floating-point type of an emulated chip.
        stop: Bound and tolerance of the reference relaxation.
        nudged_stop: The same for its nudged phases.

    Raises:
        AddressError: the address has none of these forms.
        firmware_specs.datasheet.DatasheetError: the datasheet is refused.
    """
    scheme, found, rest = address.partition(":")
    if not found:
        raise AddressError(f"{address!r} is not an address: a scheme is missing. Addresses: {FORMS}")
    match scheme:
        case "reference":
            _options(address, rest.removeprefix("?"), ())
            return ReferenceBench(stop, nudged_stop)
        case "emulator":
            name, _, query = rest.partition("?")
            options = _options(address, query, ("seed",))
            return EmulatorBench(Chip(load(name), _seed(address, options), device, dtype), address)
    raise AddressError(f"{address!r}: unknown scheme {scheme!r}. Addresses: {FORMS}")


def _options(address: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise AddressError(f"{address!r}: unknown option {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    return options


def _seed(address: str, options: dict[str, str]) -> int:
    try:
        return int(options.get("seed", "0"))
    except ValueError as error:
        raise AddressError(f"{address!r}: seed must be an integer, got {options['seed']!r}") from error

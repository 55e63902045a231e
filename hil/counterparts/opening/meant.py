"""What an address means, before anything is opened: its bench entry, and what would open it; needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drivers.doors import is_wire
from firmware_specs.addresses import split_options
from firmware_specs.refusals import close
from firmware_specs.registry import NoSuchModule, UnknownName, find, known, names, scheme_of
from hil.counterparts.opening.address import FORMS, AddressError, Opener, probably
from hil.counterparts.opening.bench_file import DeviceEntry, load_device
from hil.counterparts.opening.schemes import device_of_wire


@dataclass(frozen=True)
class Meant:
    """What an address means: the whole entry of its device, whose limits they are, and where its files are."""

    entry: DeviceEntry
    source: str
    folder: Path


def meant_by(address: str, visa_library: str | None = None) -> Meant:
    """The device of an address with all that a bench file says of it; plain addresses say nothing more.

    Raises:
        AddressError, BenchFileError, drivers.errors.BadAddress: as `open_bench`.
    """
    if address.startswith("bench:"):
        path, _, entry = entry_of(address)
        return Meant(entry.through(visa_library), f"bench file {path}", Path(path).parent)
    check_address(address)
    name, query = split_options(address)
    if not address.startswith("rack:"):
        entry = DeviceEntry.model_construct(address=address)
    else:
        entry = DeviceEntry(address=name, allow_no_watchdog="allow_no_watchdog" in query)
    return Meant(entry.through(visa_library), "run", Path())


def entry_of(address: str) -> tuple[str, str, DeviceEntry]:
    """The bench file, and name and entry of the device that a `bench:FILE#NAME` address names.

    Raises:
        AddressError: of another form. BenchFileError: the file is refused.
    """
    path, found, name = address.removeprefix("bench:").rpartition("#")
    if not found or not path or not name:
        raise AddressError(f"{address!r}: a device of a bench file is bench:FILE#NAME")
    return path, name, load_device(Path(path), name)


def check_address(address: str) -> None:
    """Checks what can be said of an address, its bench file and its datasheet without opening anything.

    Raises:
        AddressError, drivers.errors.BadAddress, BenchFileError, DatasheetError: as `open_bench`.
    """
    opener(address)


def opener(address: str) -> Opener:
    """Parses an address; what it gives opens the counterpart."""
    if not isinstance(address, str):
        raise AddressError(f"{address!r:.80} is not an address, a text is expected. Addresses: {FORMS}")
    scheme, found, _ = scheme_of(address)
    if not found:
        raise AddressError(f"{address!r} is not an address: a scheme is missing.{probably(address)} Addresses: {FORMS}")
    if not known("counterparts", scheme) and is_wire(address):
        return device_of_wire(address)
    try:
        parse: Callable[[str], Opener] = find("counterparts", scheme)
    except UnknownName as error:
        if not isinstance(error, NoSuchModule) and (":" in scheme or known("counterparts", scheme)):
            raise AddressError(f"{address!r}: {error}") from error
        scheme = scheme.partition(":")[0]
        near = close(scheme, {*names("counterparts"), *names("transports")})
        meant = f" {near[0].upper()}{near[1:]}" if near.startswith("did") else probably(address)
        raise AddressError(f"{address!r}: unknown scheme {scheme!r}.{meant} Addresses: {FORMS}") from error
    return parse(address)

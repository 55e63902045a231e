"""The shipped address schemes: each parses an address and gives what opens its counterpart.

What a counterpart is made of (torch, an emulated chip) is imported where one is opened: a listing, a refusal and the
clearing of a trip only parse.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drivers.doors import Address
from firmware_specs.addresses import split_options
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.address import AddressError, Opener, Settings, options_of
from hil.counterparts.opening.bench_file import DeviceEntry
from hil.counterparts.opening.open_device import open_device
from hil.counterparts.opening.open_rack import open_rack

if TYPE_CHECKING:
    from emulator.packed import Arithmetic
    from hil.counterparts.seam import Bench


def reference(address: str) -> Opener:
    """Exact digital relaxation, no analog effects: `reference:[?arithmetic=mixed&over_relaxation=W]`."""
    query = address.removeprefix("reference:").removeprefix("?")
    options = options_of(address, query, ("arithmetic", "over_relaxation"))
    arithmetic, relaxation = _arithmetic(address, options), _relaxation(address, options)

    def opened(told: Settings) -> Bench:
        from hil.counterparts.convolutions import chooser
        from hil.counterparts.reference import ReferenceBench

        ways = chooser(told.convolutions)
        return ReferenceBench(told.stop, told.nudged_stop, arithmetic, relaxation, address, ways)

    return opened


def emulator(address: str) -> Opener:
    """A software chip with noise, quantization, mismatch and drift: `emulator:DATASHEET?seed=N`."""
    sheet, seed = chip_of(address)

    def opened(told: Settings) -> Bench:
        from emulator.chip import Chip
        from hil.counterparts.convolutions import chooser
        from hil.counterparts.emulator import EmulatorBench
        from hil.counterparts.product import ProductBench

        kind = EmulatorBench if sheet.product is None else ProductBench
        return kind(Chip(sheet, seed, told.device, told.dtype, chooser(told.convolutions)), address)

    return opened


def device_of_wire(address: str) -> Opener:
    """A device behind a wire: a serial link (`serial:PORT?baud=N`), VISA (`visa:RESOURCE`), any other door."""
    Address.parse(address)
    plain = DeviceEntry.model_construct(address=address)  # a person typed it: any URL
    return lambda told: open_device(address, plain.through(told.visa_library), "run")


def rack(address: str) -> Opener:
    """Source meters, switch matrix, DACs and a meter around a bare crossbar: `rack:FILE`."""
    name, query = split_options(address.removeprefix("rack:"))
    options = options_of(address, query, ("allow_no_watchdog",))
    if not name:
        raise AddressError(f"{address!r}: a rack in a file is rack:FILE, one of a bench file is bench:FILE#NAME")
    alone = options.get("allow_no_watchdog") in ("1", "true")
    entry = DeviceEntry(address=f"rack:{name}", allow_no_watchdog=alone)
    return lambda told: open_rack(address, entry.through(told.visa_library), Path())


def chip_of(address: str) -> tuple[Datasheet, int]:
    """Datasheet and seed of an `emulator:` address."""
    name, query = split_options(address.removeprefix("emulator:"))
    options = options_of(address, query, ("seed",))
    return load(name), _seed(address, options)


def _arithmetic(address: str, options: dict[str, str]) -> Arithmetic:
    match options.get("arithmetic", "full"):
        case "full":
            return "full"
        case "mixed":
            return "mixed"
        case other:
            raise AddressError(f"{address!r}: arithmetic must be full or mixed, got {other!r}")


def _relaxation(address: str, options: dict[str, str]) -> float | None:
    if (given := options.get("over_relaxation")) is None:
        return None
    from emulator.network import check_over_relaxation

    try:
        factor = float(given)
    except ValueError as error:
        raise AddressError(f"{address!r}: over_relaxation must be a number, got {given!r}") from error
    try:
        return check_over_relaxation(factor)
    except ValueError as error:
        raise AddressError(f"{address!r}: {error}") from error


def _seed(address: str, options: dict[str, str]) -> int:
    try:
        return int(options.get("seed", "0"))
    except ValueError as error:
        raise AddressError(f"{address!r}: seed must be an integer, got {options['seed']!r}") from error

"""The composition root: the only place that turns an address into an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from drivers.doors import is_wire
from drivers.rack.paper import PaperRig
from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.addresses import split_options
from firmware_specs.refusals import close
from firmware_specs.registry import UnknownName, find, known, names
from hil.counterparts.opening.address import FORMS, AddressError, Opener, Settings, probably
from hil.counterparts.opening.bench_file import DeviceEntry, load_device
from hil.counterparts.opening.open_device import open_device
from hil.counterparts.opening.open_rack import on_paper, open_rack
from hil.counterparts.opening.schemes import chip_of, device_of_wire
from hil.counterparts.rack import RackBench
from hil.counterparts.seam import Bench
from hil.measuring.calibrate.open import calibrated


def open_bench(
    address: str,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    stop: Stop | None = None,
    nudged_stop: Stop | None = None,
    visa_library: str | None = None,
) -> Bench:
    """Opens a counterpart.

    Args:
        address: `reference:`, where `?arithmetic=mixed` settles with bfloat16 products in all but the last sweeps, and
            `?over_relaxation=W`, 1 <= W < 2, moves every layer W times as far as to its minimum;
            `emulator:DATASHEET?seed=N`, where DATASHEET is a shipped name or a TOML file;
            `serial:PORT?baud=N` (any pyserial URL); `visa:RESOURCE`; `rack:FILE`, instruments
            around a bare crossbar; or `bench:FILE#NAME`, a device of a bench file.
        device: Torch device of an emulated chip.
        dtype: Floating-point type of an emulated chip.
        stop: Bound and tolerance of the reference relaxation.
        nudged_stop: The same for its nudged phases.
        visa_library: VISA library as pyvisa names it, in place of what a bench file says.

    Raises:
        AddressError: the address has none of these forms.
        firmware_specs.datasheet.DatasheetError: the datasheet is refused.
        hil.counterparts.opening.bench_file.BenchFileError: the bench file is refused.
        drivers.errors.DeviceError: the device cannot be opened; `BadAddress` where a port's options are wrong.
    """
    for name, value in (("stop", stop), ("nudged_stop", nudged_stop)):
        if value is not None and not isinstance(value, Stop):
            raise TypeError(f"{name}: {value!r:.80}, expected emulator.network.Stop(max_iterations, tolerance)")
    return _opener(address)(Settings(device, dtype, stop, nudged_stop, visa_library))


def check_address(address: str) -> None:
    """Checks what can be said of an address, its bench file and its datasheet without opening anything.

    Raises:
        AddressError, drivers.errors.BadAddress, BenchFileError, DatasheetError: as `open_bench`.
    """
    _opener(address)


def rack_on_paper(address: str) -> tuple[RackBench, PaperRig] | None:
    """A rack to plan with, without its instruments; None where the address is none of a rack.

    Raises:
        AddressError, BenchFileError, RackError: as `open_bench`.
    """
    check_address(address)
    if address.startswith("rack:"):
        return on_paper(address, DeviceEntry(address=split_options(address)[0]), Path())
    if address.startswith("bench:"):
        path, _, entry = entry_of(address)
        if entry.address.startswith("rack:"):
            return on_paper(address, entry, Path(path).parent)
    return None


def _opener(address: str) -> Opener:
    """Parses an address; what it gives opens the counterpart."""
    if not isinstance(address, str):
        raise AddressError(f"{address!r:.80} is not an address, a text is expected. Addresses: {FORMS}")
    scheme, found, _ = address.partition(":")
    if not found:
        raise AddressError(f"{address!r} is not an address: a scheme is missing.{probably(address)} Addresses: {FORMS}")
    if not known("counterparts", scheme) and is_wire(address):
        return device_of_wire(address)
    try:
        parse: Callable[[str], Opener] = find("counterparts", scheme)
    except UnknownName as error:
        if known("counterparts", scheme):
            raise AddressError(f"{address!r}: {error}") from error
        near = close(scheme, {*names("counterparts"), *names("transports")})
        meant = f" {near[0].upper()}{near[1:]}" if near.startswith("did") else probably(address)
        raise AddressError(f"{address!r}: unknown scheme {scheme!r}.{meant} Addresses: {FORMS}") from error
    return parse(address)


def entry_of(address: str) -> tuple[str, str, DeviceEntry]:
    """The bench file, and name and entry of the device that a `bench:FILE#NAME` address names.

    Raises:
        AddressError: of another form. BenchFileError: the file is refused.
    """
    path, found, name = address.removeprefix("bench:").rpartition("#")
    if not found or not path or not name:
        raise AddressError(f"{address!r}: a device of a bench file is bench:FILE#NAME")
    return path, name, load_device(Path(path), name)


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


def from_file(address: str) -> Opener:
    """A device by its name in a bench file, with its limits and its calibration: `bench:FILE#NAME`."""
    path, name, entry = entry_of(address)
    scheme = entry.address.partition(":")[0]
    if scheme == "rack":
        return lambda told: open_rack(address, entry.through(told.visa_library), Path(path).parent)
    if scheme == "bench":
        raise AddressError(f"{path}: devices.{name}.address: a bench file cannot refer to another one")
    behind = _opener(entry.address)
    if is_wire(entry.address):
        source = f"bench file {path}"
        return lambda told: calibrated(open_device(address, entry.through(told.visa_library), source), entry)
    plain = DeviceEntry(address=entry.address, calibration=entry.calibration, allow_calibration=entry.allow_calibration)
    if entry != plain:
        raise AddressError(
            f"{path}: devices.{name}: only serial: and visa: devices, and others behind a wire, have limits, watchdog "
            "and the like"
        )
    return lambda told: calibrated(behind(told), entry)


def open_chip(address: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Chip:
    """The emulated chip of an `emulator:DATASHEET?seed=N` address; see `open_bench`."""
    return Chip(*chip_of(address), device, dtype)

"""The composition root: the only place that turns an address into an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import torch

from drivers.connect import Address, meant
from drivers.rack.paper import PaperRig
from emulator.chip import Chip
from emulator.network import Stop, check_over_relaxation
from emulator.packed import Arithmetic
from firmware_specs.datasheet import Datasheet, load, shipped
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.opening.bench_file import DeviceEntry, load_device
from hil.counterparts.opening.open_device import open_device
from hil.counterparts.opening.open_rack import on_paper, open_rack
from hil.counterparts.product import ProductBench
from hil.counterparts.rack import RackBench
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import Bench
from hil.measuring.calibrate.open import calibrated

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


Opener = Callable[[Settings], Bench]


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
        return on_paper(address, DeviceEntry(address=address.partition("?")[0]), Path())
    if address.startswith("bench:"):
        path, _, entry = entry_of(address)
        if entry.address.startswith("rack:"):
            return on_paper(address, entry, Path(path).parent)
    return None


def _opener(address: str) -> Opener:
    """Parses an address; what it gives opens the counterpart."""
    if not isinstance(address, str):
        raise AddressError(f"{address!r:.80} is not an address, a text is expected. Addresses: {FORMS}")
    scheme, found, rest = address.partition(":")
    if not found:
        raise AddressError(f"{address!r} is not an address: a scheme is missing.{probably(address)} Addresses: {FORMS}")
    match scheme:
        case "reference":
            options = _options(address, rest.removeprefix("?"), ("arithmetic", "over_relaxation"))
            arithmetic, relaxation = _arithmetic(address, options), _relaxation(address, options)
            return lambda told: ReferenceBench(told.stop, told.nudged_stop, arithmetic, relaxation, address)
        case "emulator":
            sheet, seed = _chip(address)
            kind = EmulatorBench if sheet.product is None else ProductBench
            return lambda told: kind(Chip(sheet, seed, told.device, told.dtype), address)
        case "serial" | "visa":
            Address.parse(address)
            plain = DeviceEntry.model_construct(address=address)  # a person typed it: any URL
            return lambda told: open_device(address, plain.through(told.visa_library), "run")
        case "rack":
            name, _, query = rest.partition("?")
            options = _options(address, query, ("allow_no_watchdog",))
            alone = options.get("allow_no_watchdog") in ("1", "true")
            rack = DeviceEntry(address=f"rack:{name}", allow_no_watchdog=alone)
            return lambda told: open_rack(address, rack.through(told.visa_library), Path())
        case "bench":
            return _from_file(address)
    raise AddressError(f"{address!r}: unknown scheme {scheme!r}.{probably(address)} Addresses: {FORMS}")


def probably(address: str) -> str:
    """What an address that names nothing was probably meant to be: a sentence with a leading blank, or nothing."""
    return f" Did you mean emulator:{address}?" if address.partition("?")[0] in shipped() else meant(address)


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
    name, _, query = address.partition("?")
    if not address.startswith("rack:"):
        entry = DeviceEntry.model_construct(address=address)
    else:
        entry = DeviceEntry(address=name, allow_no_watchdog="allow_no_watchdog" in query)
    return Meant(entry.through(visa_library), "run", Path())


def _from_file(address: str) -> Opener:
    path, name, entry = entry_of(address)
    scheme = entry.address.partition(":")[0]
    if scheme == "rack":
        return lambda told: open_rack(address, entry.through(told.visa_library), Path(path).parent)
    if scheme == "bench":
        raise AddressError(f"{path}: devices.{name}.address: a bench file cannot refer to another one")
    behind = _opener(entry.address)
    if scheme in ("serial", "visa"):
        source = f"bench file {path}"
        return lambda told: calibrated(open_device(address, entry.through(told.visa_library), source), entry)
    plain = DeviceEntry(address=entry.address, calibration=entry.calibration, allow_calibration=entry.allow_calibration)
    if entry != plain:
        raise AddressError(f"{path}: devices.{name}: only serial: and visa: devices have limits, watchdog and the like")
    return lambda told: calibrated(behind(told), entry)


def open_chip(address: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Chip:
    """The emulated chip of an `emulator:DATASHEET?seed=N` address; see `open_bench`."""
    return Chip(*_chip(address), device, dtype)


def _chip(address: str) -> tuple[Datasheet, int]:
    """Datasheet and seed of an `emulator:` address."""
    name, _, query = address.removeprefix("emulator:").partition("?")
    options = _options(address, query, ("seed",))
    return load(name), _seed(address, options)


def _options(address: str, query: str, known: tuple[str, ...]) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise AddressError(f"{address!r}: an option is given twice")
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise AddressError(f"{address!r}: unknown option {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    return options


def _arithmetic(address: str, options: dict[str, str]) -> Arithmetic:
    match options.get("arithmetic", "full"):
        case "full":
            return "full"
        case "mixed":
            return "mixed"
        case other:
            raise AddressError(f"{address!r}: arithmetic must be full or mixed, got {other!r}")


def _relaxation(address: str, options: dict[str, str]) -> float:
    given = options.get("over_relaxation", "1")
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

"""The composition root: the only place that turns an address into an object."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import torch

from emulator.chip import Chip
from emulator.network import Stop, check_over_relaxation
from emulator.packed import Arithmetic
from firmware_specs.datasheet import load, shipped
from hil.backends.emulator import EmulatorBench
from hil.backends.product import ProductBench
from hil.backends.reference import ReferenceBench
from hil.backends.seam import Bench
from hil.calibrate.open import calibrated
from hil.devices.bench_file import DeviceEntry, load_device
from hil.devices.open_device import open_device
from hil.devices.open_rack import open_rack

FORMS = (
    "reference:[?arithmetic=mixed&over_relaxation=W]  emulator:DATASHEET?seed=N  serial:PORT?baud=N  "
    "visa:RESOURCE  rack:FILE  bench:FILE#NAME"
)


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
        address: `reference:`, where `?arithmetic=mixed` settles with bfloat16 products in all but the last sweeps, and
            `?over_relaxation=W`, 1 <= W < 2, moves every layer W times as far as to its minimum;
            `emulator:DATASHEET?seed=N`, where DATASHEET is a shipped name or a TOML file;
            `serial:PORT?baud=N` (any pyserial URL); `visa:RESOURCE`; `rack:FILE`, instruments
            around a bare crossbar; or `bench:FILE#NAME`, a device of a bench file.
        device: Torch device of an emulated chip.
        dtype: Floating-point type of an emulated chip.
        stop: Bound and tolerance of the reference relaxation.
        nudged_stop: The same for its nudged phases.

    Raises:
        AddressError: the address has none of these forms.
        firmware_specs.datasheet.DatasheetError: the datasheet is refused.
        hil.devices.bench_file.BenchFileError: the bench file is refused.
        drivers.errors.DeviceError: the device cannot be opened.
    """
    scheme, found, rest = address.partition(":")
    if not found:
        raise AddressError(f"{address!r} is not an address: a scheme is missing.{_meant(address)} Addresses: {FORMS}")
    match scheme:
        case "reference":
            options = _options(address, rest.removeprefix("?"), ("arithmetic", "over_relaxation"))
            return ReferenceBench(
                stop, nudged_stop, _arithmetic(address, options), _relaxation(address, options), address
            )
        case "emulator":
            chip = open_chip(address, device=device, dtype=dtype)
            kind = EmulatorBench if chip.datasheet.product is None else ProductBench
            return kind(chip, address)
        case "serial" | "visa":
            return open_device(address, DeviceEntry(address=address), "run")
        case "rack":
            name, _, query = rest.partition("?")
            options = _options(address, query, ("allow_no_watchdog",))
            alone = options.get("allow_no_watchdog") in ("1", "true")
            return open_rack(address, DeviceEntry(address=f"rack:{name}", allow_no_watchdog=alone), Path())
        case "bench":
            return _from_file(address, device, dtype, stop, nudged_stop)
    raise AddressError(f"{address!r}: unknown scheme {scheme!r}. Addresses: {FORMS}")


def _meant(address: str) -> str:
    """What an address without a scheme probably is."""
    if address.partition("?")[0] in shipped():
        return f" Did you mean emulator:{address}?"
    return f" Did you mean serial:{address}?" if address.startswith("/dev/") else ""


def entry_of(address: str) -> tuple[str, str, DeviceEntry]:
    """The bench file, and name and entry of the device that a `bench:FILE#NAME` address names.

    Raises:
        AddressError: of another form. BenchFileError: the file is refused.
    """
    path, found, name = address.removeprefix("bench:").rpartition("#")
    if not found or not path or not name:
        raise AddressError(f"{address!r}: a device of a bench file is bench:FILE#NAME")
    return path, name, load_device(Path(path), name)


def _from_file(
    address: str, device: str | torch.device, dtype: torch.dtype, stop: Stop | None, nudged_stop: Stop | None
) -> Bench:
    path, name, entry = entry_of(address)
    if entry.address.partition(":")[0] == "rack":
        return open_rack(address, entry, Path(path).parent)
    if entry.address.startswith("bench:"):
        raise AddressError(f"{path}: devices.{name}.address: a bench file cannot refer to another one")
    if entry.address.partition(":")[0] in ("serial", "visa"):
        return calibrated(open_device(address, entry, f"bench file {path}"), entry)
    plain = DeviceEntry(address=entry.address, calibration=entry.calibration, allow_calibration=entry.allow_calibration)
    if entry != plain:
        raise AddressError(f"{path}: devices.{name}: only serial: and visa: devices have limits, watchdog and the like")
    return calibrated(open_bench(entry.address, device=device, dtype=dtype, stop=stop, nudged_stop=nudged_stop), entry)


def open_chip(address: str, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Chip:
    """The emulated chip of an `emulator:DATASHEET?seed=N` address; see `open_bench`."""
    name, _, query = address.removeprefix("emulator:").partition("?")
    options = _options(address, query, ("seed",))
    return Chip(load(name), _seed(address, options), device, dtype)


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

"""The composition root: the only place that turns an address into an object."""

from __future__ import annotations

from pathlib import Path

import torch

from drivers.doors import is_wire
from drivers.rack.paper import PaperRig
from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.addresses import split_options
from hil.counterparts import convolutions as ways
from hil.counterparts.opening.address import AddressError, Opener, Settings
from hil.counterparts.opening.bench_file import DeviceEntry
from hil.counterparts.opening.meant import check_address, entry_of, opener
from hil.counterparts.opening.open_device import open_device
from hil.counterparts.opening.open_rack import on_paper, open_rack
from hil.counterparts.opening.schemes import chip_of
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
    convolutions: str = "measured",
) -> Bench:
    """Opens a counterpart.

    Args:
        address: `reference:`, where `?arithmetic=mixed` settles with bfloat16 products in all but the last sweeps, and
            `?over_relaxation=W`, 1 <= W < 2, moves every layer W times as far as to its minimum (dense blocks choose W
            unless it is given);
            `emulator:DATASHEET?seed=N`, where DATASHEET is a shipped name or a TOML file;
            `serial:PORT?baud=N` (any pyserial URL); `visa:RESOURCE`; `rack:FILE`, instruments
            around a bare crossbar; or `bench:FILE#NAME`, a device of a bench file.
        device: Torch device of an emulated chip.
        dtype: Floating-point type of an emulated chip.
        stop: Bound and tolerance of the reference relaxation.
        nudged_stop: The same for its nudged phases.
        visa_library: VISA library as pyvisa names it, in place of what a bench file says.
        convolutions: How those of `reference:` and of an emulated chip are formed on this processor: `measured`, the
            fastest way, once for all runs; `rule`, alike on all processors; or a way by its name, `direct`, `packed`,
            `winograd` or `winograd_packed`, wherever it serves.

    Raises:
        AddressError: the address has none of these forms.
        TypeError: `stop` or `nudged_stop` is no `Stop`.
        ValueError: `convolutions` is none of these names; or, where convolutions are formed here and it is `measured`,
            the environment variable `CROSSBAR_HIL_CONVOLUTIONS`.
        firmware_specs.datasheet.DatasheetError: the datasheet is refused.
        hil.counterparts.opening.bench_file.BenchFileError: the bench file is refused.
        drivers.errors.DeviceError: the device cannot be opened; `BadAddress` where a port's options are wrong.
    """
    for name, value in (("stop", stop), ("nudged_stop", nudged_stop)):
        if value is not None and not isinstance(value, Stop):
            raise TypeError(f"{name}: {value!r:.80}, expected emulator.network.Stop(max_iterations, tolerance)")
    ways.check(convolutions)
    return opener(address)(Settings(device, dtype, stop, nudged_stop, visa_library, convolutions))


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


def from_file(address: str) -> Opener:
    """A device by its name in a bench file, with its limits and its calibration: `bench:FILE#NAME`."""
    path, name, entry = entry_of(address)
    scheme = entry.address.partition(":")[0]
    if scheme == "rack":
        return lambda told: open_rack(address, entry.through(told.visa_library), Path(path).parent)
    if scheme == "bench":
        raise AddressError(f"{path}: devices.{name}.address: a bench file cannot refer to another one")
    behind = opener(entry.address)
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

"""Opens a real device: address, and what its bench file says of it, into a `DeviceBench`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.connect import connect
from drivers.crossbar import Crossbar
from drivers.device_info import DeviceInfo
from drivers.doors import Options
from drivers.errors import OutOfRange
from drivers.port_opening import ControlLines
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.printable import printable
from hil.counterparts.described import completed, datasheet_of, disagreements
from hil.counterparts.opening.bench_file import DeviceEntry

if TYPE_CHECKING:
    from hil.counterparts.device import DeviceBench

OVERRIDES = ("allow_no_watchdog", "allow_long_requests")


def options_of(entry: DeviceEntry, source: str, *, clear_trip: bool = False) -> Options:
    """How the device of an entry is opened, by every command: all that the entry says.

    Args:
        entry: A `serial:` or `visa:` device.
        source: Whose limits the entry's are, for refusals.
        clear_trip: Named override: a person has looked at a device that tripped.

    Raises:
        firmware_specs.datasheet.DatasheetError: the entry's datasheet is refused.
    """
    limits = entry.limits.model_dump(exclude_none=True)
    on_file = None if entry.datasheet is None else load(entry.datasheet)
    return Options(
        limits={source: limits} if limits else {},
        watchdog_s=entry.watchdog_s,
        lease_s=entry.lease_s,
        expected=lambda info: _check(info, entry, source, on_file),
        allow_no_watchdog=entry.allow_no_watchdog,
        allow_long_requests=entry.allow_long_requests,
        clear_trip=clear_trip,
        timeout_s=entry.timeout_s,
        open_timeout_s=entry.open_timeout_s,
        settle_after_open_s=entry.settle_after_open_s,
        lines=ControlLines(entry.dtr, entry.rts),
        visa_library=entry.visa_library,
    )


def connected(entry: DeviceEntry, source: str, *, clear_trip: bool = False) -> Crossbar:
    """The device of an entry, within its limits and the one that was meant; outputs off. See `options_of`.

    Raises:
        DeviceError: it cannot be opened, or is another device: then nothing was set or cleared.
    """
    return connect(entry.address, options_of(entry, source, clear_trip=clear_trip))


def _check(info: DeviceInfo, entry: DeviceEntry, source: str, on_file: Datasheet | None) -> None:
    """Is this the device that was meant? Asked before anything is set or cleared."""
    serial = info.identity.serial
    if entry.serial not in (None, serial):
        raise OutOfRange(
            f"the device has serial number {printable(serial)}, {source} expects {entry.serial}",
            device=entry.address,
            todo="Connect the device that was meant, or correct the bench file",
        )
    if on_file is not None and (wrong := disagreements(on_file, datasheet_of(info, entry.address))):
        raise OutOfRange(
            f"the device is not what its datasheet {entry.datasheet} says: " + "; ".join(wrong),
            device=entry.address,
            todo="Correct the bench file, or leave the datasheet out to take the device's own word",
        )


def open_device(address: str, entry: DeviceEntry, source: str) -> DeviceBench:
    """Opens a device and checks that it is the one that was meant.

    Args:
        address: What the bench is called in provenance: a device address, or `bench:FILE#NAME`.
        entry: The device.
        source: Whose limits the entry's are, for refusals: "bench file lab.toml".

    Raises:
        DeviceError: it cannot be opened, or is another device than its datasheet says.
        firmware_specs.datasheet.DatasheetError: the datasheet is refused.
    """
    on_file = None if entry.datasheet is None else load(entry.datasheet)
    crossbar = connected(entry, source)  # a device that is busy or silent is refused before torch is waited for
    try:
        from hil.counterparts.device import DeviceBench

        said = datasheet_of(crossbar.info, entry.address)
        provenance: dict[str, object] = {"bench": source, "device_address": entry.address}
        if entry.visa_library != "@py":
            provenance["visa_library"] = entry.visa_library
        if overrides := [name for name in OVERRIDES if getattr(entry, name)]:
            provenance["overrides"] = overrides
        return DeviceBench(crossbar, address, completed(on_file, said), provenance)
    except BaseException:
        crossbar.close()
        raise

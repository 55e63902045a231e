"""Opens a real device: address, and what its bench file says of it, into a `DeviceBench`."""

from __future__ import annotations

from drivers.connect import Options, connect
from drivers.crossbar import Crossbar
from drivers.errors import OutOfRange
from firmware_specs.datasheet import load
from hil.counterparts.described import datasheet_of, disagreements
from hil.counterparts.device import DeviceBench
from hil.counterparts.opening.bench_file import DeviceEntry

OVERRIDES = ("allow_no_watchdog", "allow_long_requests")


def connected(entry: DeviceEntry, source: str) -> Crossbar:
    """The device of an entry, within its limits and with its serial number; outputs off.

    Args:
        entry: A `serial:` or `visa:` device.
        source: Whose limits the entry's are, for refusals.

    Raises:
        DeviceError: it cannot be opened, or has another serial number.
    """
    limits = entry.limits.model_dump(exclude_none=True)
    crossbar = connect(
        entry.address,
        Options(
            limits={source: limits} if limits else {},
            watchdog_s=entry.watchdog_s,
            lease_s=entry.lease_s,
            allow_no_watchdog=entry.allow_no_watchdog,
            allow_long_requests=entry.allow_long_requests,
            timeout_s=entry.timeout_s,
            visa_library=entry.visa_library,
        ),
    )
    serial = crossbar.info.identity.serial
    if entry.serial not in (None, serial):
        crossbar.close()
        raise OutOfRange(
            f"the device has serial number {serial}, {source} expects {entry.serial}",
            device=entry.address,
            todo="Connect the device that was meant, or correct the bench file",
        )
    return crossbar


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
    crossbar = connected(entry, source)
    try:
        said = datasheet_of(crossbar.info, entry.address)
        wrong = [] if on_file is None else disagreements(on_file, said)
        if wrong:
            raise OutOfRange(
                f"the device is not what its datasheet {entry.datasheet} says: " + "; ".join(wrong),
                device=entry.address,
                todo="Correct the bench file, or leave the datasheet out to take the device's own word",
            )
        provenance: dict[str, object] = {"bench": source, "device_address": entry.address}
        if overrides := [name for name in OVERRIDES if getattr(entry, name)]:
            provenance["overrides"] = overrides
        return DeviceBench(crossbar, address, on_file or said, provenance)
    except BaseException:
        crossbar.close()
        raise

"""Opens a rack of instruments: a file of its own, or a table of a bench file, into a `RackBench`."""

from __future__ import annotations

from pathlib import Path

from drivers.rack.opening import open_rig
from firmware_specs.racks import load_rack
from hil.backends.rack import RackBench
from hil.devices.bench_file import DeviceEntry


def open_rack(address: str, entry: DeviceEntry, folder: Path) -> RackBench:
    """Opens all instruments, checks who they are, and brings them into their safe state.

    Args:
        address: What the bench is called in provenance.
        entry: `rack:FILE`, relative to the folder, or `rack:` with the rack in the entry.
        folder: Where the bench file is.

    Raises:
        RackError: the rack file is refused.
        DeviceError: an instrument is missing, busy, or another one.
    """
    rack = entry.rack
    if rack is None:
        name = entry.address.removeprefix("rack:")
        path = folder / name
        rack = load_rack(path if path.exists() else name)
    rig = open_rig(rack, entry.visa_library, allow_no_watchdog=entry.allow_no_watchdog)
    return RackBench(rig, address)

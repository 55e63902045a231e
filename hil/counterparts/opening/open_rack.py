"""Opens a rack of instruments: a file of its own, or a table of a bench file, into a `RackBench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from drivers.chip_ledger import ChipLedger
from drivers.rack.opening import chip_of, open_rig
from drivers.rack.paper import PaperRig
from drivers.rack.rig import Rig
from hil.counterparts.opening.bench_file import DeviceEntry, rack_of

if TYPE_CHECKING:
    from hil.counterparts.rack import RackBench


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
    rig = open_rig(
        rack_of(entry, folder),
        entry.visa_library,
        watchdog_s=entry.watchdog_s,
        lease_s=entry.lease_s,
        allow_no_watchdog=entry.allow_no_watchdog,
    )
    from hil.counterparts.rack import RackBench

    return RackBench(rig, address)


def on_paper(address: str, entry: DeviceEntry, folder: Path) -> tuple[RackBench, PaperRig]:
    """The rack without its instruments, to plan with: nothing is opened, nothing can be sent.

    Raises:
        RackError: the rack file is refused.
    """
    from hil.counterparts.rack import RackBench

    rack = rack_of(entry, folder)
    paper = PaperRig(rack, ChipLedger(chip_of(rack)))
    return RackBench(cast(Rig, paper), address), paper  # it plans, and is never entered


def clear_rack(entry: DeviceEntry, folder: Path) -> list[str]:
    """Switches everything off, whatever was left on; which outputs that were.

    Raises:
        RackError: the rack file is refused.
        DeviceError: an instrument is missing, busy, or another one.
    """
    with open_rig(rack_of(entry, folder), entry.visa_library, allow_no_watchdog=True) as rig:
        return rig.left_on

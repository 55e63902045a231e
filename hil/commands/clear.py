"""`hil clear`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import BenchFile, VisaLibrary, named, say

if TYPE_CHECKING:
    from hil.counterparts.opening.meant import Meant


def command(
    address: Annotated[
        str | None, typer.Argument(help="Device address: serial:..., visa:..., rack:FILE or bench:FILE#NAME")
    ] = None,
    device: Annotated[str | None, typer.Option(help="The same, or with --bench the name of a device in it.")] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
) -> None:
    """Clears the trip of a device, after a person has looked at it; outputs stay off.

    Where a bench file says which device is meant, another one is left alone. Of a rack, whatever a host that was
    killed left on is switched off, and named.
    """
    from hil.counterparts.opening.meant import meant_by
    from hil.counterparts.opening.open_rack import clear_rack

    if address is not None and (device is not None or bench is not None):
        raise typer.BadParameter("name the device once: as ADDRESS, or with --device and --bench")
    wanted = named(address if address is not None else device, bench)
    if wanted is None:
        raise typer.BadParameter("which device? give its address, or --bench FILE --device NAME")
    meant = meant_by(wanted, visa_library)
    if not meant.entry.address.startswith("rack:"):
        _clear_device(wanted, meant)
        return
    found = clear_rack(meant.entry, meant.folder)
    said = f"{', '.join(found)} found on and switched off" if found else "everything was off"
    say(f"{wanted}: {said}")


def _clear_device(address: str, meant: Meant) -> None:
    from drivers.doors import is_wire
    from hil.counterparts.opening.address import AddressError
    from hil.counterparts.opening.open_device import connected

    if not is_wire(meant.entry.address):
        raise AddressError(f"{address} has no trip to clear: serial:, visa:, rack: or bench:FILE#NAME of one is needed")
    with connected(meant.entry, meant.source, clear_trip=True) as crossbar:
        for entry in crossbar.session.fault_log().entries:
            say(f"{entry.uptime_s:.3f} s  {entry.text}")
        say(f"{address}: {crossbar.session.status().state.name}")

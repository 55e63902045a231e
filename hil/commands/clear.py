"""`hil clear`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    address: Annotated[str, typer.Argument(help="Device address: serial:..., visa:..., rack:FILE or bench:FILE#NAME")],
) -> None:
    """Clears the trip of a device, after a person has looked at it; outputs stay off.

    Of a rack, whatever a host that was killed left on is switched off, and named.
    """
    from hil.counterparts.opening.bench import entry_of
    from hil.counterparts.opening.bench_file import DeviceEntry
    from hil.counterparts.opening.open_rack import clear_rack

    folder = Path()
    if address.startswith("bench:"):
        path, _, entry = entry_of(address)
        folder = Path(path).parent
    else:
        entry = DeviceEntry(address=address.partition("?")[0] if address.startswith("rack:") else address)
    if not entry.address.startswith("rack:"):
        _clear_device(entry.address)
        return
    found = clear_rack(entry, folder)
    said = f"{', '.join(found)} found on and switched off" if found else "everything was off"
    typer.echo(f"{address}: {said}")


def _clear_device(address: str) -> None:
    from drivers.connect import Options, connect

    with connect(address, Options(clear_trip=True)) as crossbar:
        for entry in crossbar.session.fault_log().entries:
            typer.echo(f"{entry.uptime_s:.3f} s  {entry.text}")
        typer.echo(f"{address}: {crossbar.session.status().state.name}")

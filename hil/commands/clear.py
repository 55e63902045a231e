"""`hil clear`."""

from __future__ import annotations

from typing import Annotated

import typer


def command(address: Annotated[str, typer.Argument(help="Device address: serial:..., visa:...")]) -> None:
    """Clears the trip of a device, after a person has looked at it; outputs stay off."""
    from drivers.connect import Options, connect

    with connect(address, Options(clear_trip=True)) as crossbar:
        for entry in crossbar.session.fault_log().entries:
            typer.echo(f"{entry.uptime_s:.3f} s  {entry.text}")
        typer.echo(f"{address}: {crossbar.session.status().state.name}")

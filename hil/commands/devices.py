"""`hil devices`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    addresses: Annotated[list[str] | None, typer.Argument(help="Further addresses: serial:..., visa:...")] = None,
    bench: Annotated[Path | None, typer.Option(help="Bench file (TOML): look at its devices, too.")] = None,
    lan: Annotated[bool, typer.Option("--lan", help="Broadcast for instruments on the network.")] = False,
) -> None:
    """Lists what answers: address, who it is, who owns it. A port in use is never opened."""
    from drivers.discovery import discover
    from hil.counterparts.opening import bench_file

    wanted = list(addresses or [])
    if bench is not None:
        entries = bench_file.load(bench).devices.values()
        wanted += [entry.address for entry in entries if entry.address.partition(":")[0] in ("serial", "visa")]
    found = discover(wanted, lan=lan)
    for item in found:
        owner = f" by {item.owner}" if item.owner else ""
        typer.echo(f"{item.address}\t{item.state}{owner}\t{item.who}".rstrip())
    if not found:
        typer.echo("no serial port, USB or GPIB instrument here; name addresses to look at, or a bench file", err=True)

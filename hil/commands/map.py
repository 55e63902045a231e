"""`hil map save` and `hil map restore`: the conductances of a device's cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, group, to_be_written

app = group("Saves the conductances of a device's cells, and writes them back.")
Device = Annotated[str, typer.Option(help="serial:..., visa:... or bench:FILE#NAME; a chip that keeps its cells.")]


@app.command()
def save(
    device: Device,
    out: Annotated[Path, typer.Option("-o", "--out", help="NetCDF file for the map.", callback=to_be_written)],
    reads: Annotated[int, typer.Option(min=1, max=4096, help="Readings of every cell, averaged.")] = 16,
    overwrite: Overwrite = False,
) -> None:
    """Reads the cells of all arrays that have a block; writes none of them."""
    from hil.counterparts.opening.wire import open_crossbar
    from hil.measuring import maps

    with open_crossbar(device) as crossbar:
        cells = maps.save(crossbar, out, reads)
    typer.echo(f"map: {cells} cells in {out}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A map that `hil map save` made.")],
    device: Device,
    any_chip: Annotated[bool, typer.Option(help="Write it although it is of another chip.")] = False,
    tolerance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="What counts as written, share of the conductance range.")
    ] = 0.01,
) -> None:
    """Places the map's blocks and writes their cells, verified; exit status 1 where cells missed."""
    from hil.counterparts.opening.wire import open_crossbar
    from hil.measuring import maps

    with open_crossbar(device) as crossbar:
        found = maps.restore(crossbar, file, any_chip=any_chip, tolerance=tolerance)
    typer.echo(f"restored: {found.cells - found.missed} of {found.cells} cells, {found.rms:.2%} of the range off (rms)")
    if found.missed:
        typer.echo(f"{found.missed} cells are off by more than {2 * tolerance:.2%}: stuck, worn or on a dead line")
        raise typer.Exit(1)

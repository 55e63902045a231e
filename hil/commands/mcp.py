"""`hil mcp [FOLDER]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import VisaLibrary
from hil.outputs import RUNS


def command(
    folder: Annotated[Path, typer.Argument(help="Folder of runs, characterizations and studies.")] = RUNS,
    bench: Annotated[Path | None, typer.Option("--bench", help="Bench file whose devices may be asked about.")] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="DEVICE", help="Let it read this device's cells; may be given again."),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm", metavar="DEVICE", help="Let it measure this device with all items: cells lose what they hold."
        ),
    ] = None,
    visa_library: VisaLibrary = None,
) -> None:
    """Answers an assistant over the Model Context Protocol on standard input and output; it reads files, or as told."""
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder: name one that has runs")
    named = [*(measure or ()), *(arm or ())]
    if named and bench is None:
        raise typer.BadParameter(f"which {named[0]}? its limits stand in a bench file: give --bench FILE")
    from hil.counterparts.opening.bench_file import load
    from hil.watching.assistant.seen import Seen
    from hil.watching.assistant.server import server

    if bench is not None:
        there = load(bench).devices
        if unknown := [name for name in named if name not in there]:
            raise typer.BadParameter(f"{unknown[0]}: no device of {bench}; there are {', '.join(there)}")
    acts = None
    if bench is not None and named:
        from hil.watching.assistant.acts import Acts

        acts = Acts(folder.absolute(), bench, measure or (), arm or (), visa_library)
    server(Seen(folder.absolute(), bench), acts).run("stdio")

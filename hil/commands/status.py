"""`hil status [FOLDER]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import RunsFolder, say
from hil.outputs import RUNS


def command(
    folder: RunsFolder = RUNS,
    bench: Annotated[
        Path | None, typer.Option("--bench", help="Bench file: say who has its devices, without opening any.")
    ] = None,
    watch: Annotated[
        float | None,
        typer.Option("--watch", metavar="SECONDS", min=0.2, help="Say it again so often, until Ctrl-C."),
    ] = None,
) -> None:
    """Says in lines what runs do, from their files alone, and who has which device and how it is."""
    import sys
    import time

    from hil.watching.devices import devices
    from hil.watching.status import Looker

    early = watch is not None and folder == RUNS
    if bench is None and not folder.is_dir() and not early:
        raise typer.BadParameter(f"{folder} is no folder: name that of a run, or one that has some")
    looker = None
    while True:
        if looker is None and folder.is_dir():  # there may be none before the first run
            looker = Looker(folder)
        runs = looker.running() if looker is not None and bench is not None else {}
        below = looker.lines() if looker is not None else [f"nothing in {folder} yet"]
        told = [*(devices(bench, runs) if bench is not None else ()), *below]
        if watch is not None:
            print("\033[2J\033[H" if sys.stdout.isatty() else "", end="")
            say(time.strftime("%Y-%m-%d %H:%M:%S"))
        for line in told:
            say(line)
        if watch is None:
            return
        time.sleep(watch)

"""`hil conform --device ADDRESS`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    device: Annotated[str, typer.Option(help="Device under test: serial:PORT?baud=N or emulator:DATASHEET?seed=N.")],
    only: Annotated[list[str] | None, typer.Option(help="Run the checks whose name starts so, e.g. watchdog.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the results as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the results as one self-contained page.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML.")] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait for one answer.")] = 2.0,
) -> None:
    """Checks firmware against the serial protocol; writes and pulses the cells of array 0. Exit status 1: it fails."""
    from rich.console import Console

    from hil.conformance import suite, writers
    from hil.devices.wire import open_wire
    from hil.run.atomic import write_text

    try:
        checks = suite.select(only or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    console = Console()
    with open_wire(device) as wire, console.status("") as status:
        result = suite.run(wire, checks, patience_s=patience, observer=lambda o: status.update(o.check.name))
    console.print(writers.rich_table(result))
    console.print(result.summary, highlight=False, soft_wrap=True)
    for path, text in ((json, writers.to_json), (html, writers.html), (junit, writers.junit)):
        if path is not None:
            write_text(path, text(result))
    if not result.conforms:
        raise typer.Exit(1)

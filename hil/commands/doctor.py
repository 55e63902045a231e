"""`hil doctor`."""

from __future__ import annotations

import json as text
from pathlib import Path
from typing import Annotated

import typer


def command(
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for a bug report.")] = False,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
) -> None:
    """Says what this machine has, what is missing for which command, and how to mend it; opens no device.

    Exit status 1: Python or a required package is not as supported.
    """
    from hil.doctor import look, page

    found = look(data_root)
    if json:
        typer.echo(text.dumps([finding.as_dict() for finding in found], indent=2))
    else:
        typer.echo(page(found))
    if any(finding.verdict == "wrong" for finding in found):
        raise typer.Exit(1)

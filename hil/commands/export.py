"""`hil export SHEET --to FORMAT -o FILE`: a datasheet for another simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, say, to_be_written


def command(
    sheet: Annotated[str, typer.Argument(help="Shipped datasheet, or the TOML file of one, e.g. a twin.")],
    to: Annotated[str, typer.Option(help="aihwkit, crosssim, or another of hil list exports.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File; printed when left out.", callback=to_be_written)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Writes a device for another simulator as a small Python file; what it cannot say is said in its comments."""
    from firmware_specs.datasheet import load
    from firmware_specs.registry import find
    from hil.outputs import write_signed

    text = find("exports", to)(load(sheet), Path(sheet).stem)
    if out is None:
        say(text)
        return
    write_signed(out, text)
    say(f"written: {out}")

"""`hil schema KIND`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, to_be_written


def command(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="experiment, bench, datasheet, rack, plan or lab.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it here.", callback=to_be_written)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Prints the JSON schema of a kind of file: editors complete and check TOML with it.

    A TOML file whose first line is `#:schema ./FILE` is checked while it is written by editors that know taplo
    ("Even Better TOML" of VS Code, and others). Keys of things that other packages bring are in it, too, where they
    are installed.
    """
    from firmware_specs.refusals import close
    from hil.schemas import KINDS, text_of
    from hil.training.run.atomic import write_text

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind of file; {close(kind, KINDS)}")
    text = text_of(kind)
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"written: {out}; first line of your file: #:schema ./{out.name}")

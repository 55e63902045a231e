"""`hil init`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; made where it is not there.")] = Path(),
    device: Annotated[
        str | None, typer.Option(help="Where the chip is: serial:..., visa:..., rack:FILE, emulator:DATASHEET.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="What it learns: digits, mnist, npz:FILE, csv:FILE?target=NAME.")
    ] = None,
    units: Annotated[
        int | None, typer.Option(min=1, max=65536, metavar="N", help="Neurons of the array's two layers.")
    ] = None,
) -> None:
    """Writes a bench file and an experiment that run, with the schemas that editors check them with.

    It asks three questions: where the chip is, what it should learn, how many neurons to use. An option answers one;
    where nobody can be asked, what is left out has its usual value.
    """
    from hil.experiments.starting import Wanted, write

    ask = sys.stdin.isatty()
    wanted = Wanted(
        device or _asked(ask, "Where is the chip?", "emulator:discrete-board"),
        data or _asked(ask, "What should it learn?", "digits"),
        units or _count(ask, "How many neurons in each of the array's two layers?", 32),
    )
    for path in write(wanted, folder):
        print(f"written: {path}")
    place = "" if folder == Path() else f"cd {folder} && "
    print(f"next: {place}hil train experiment.toml")


def _asked(ask: bool, question: str, usual: str) -> str:
    return str(typer.prompt(question, default=usual)) if ask else usual


def _count(ask: bool, question: str, usual: int) -> int:
    return int(typer.prompt(question, default=usual, type=int)) if ask else usual

"""`hil init`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

Answer = TypeVar("Answer")


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
    where nobody can be asked, what is left out has its usual value. No device is opened.
    """
    from hil.experiments import starting

    starting.refuse_what_is_there(folder)
    where = _answer("Where is the chip?", device, "emulator:discrete-board", lambda said: starting.place(said, folder))
    usual_data, usual_units = where.usual
    what = _answer("What should it learn?", data, usual_data, lambda said: starting.lesson(said, folder))
    count = _answer(
        "How many neurons in each of the array's two layers?",
        None if units is None else str(units),
        str(usual_units),
        starting.units,
    )
    for path in starting.write(where, what, count, folder):
        print(f"written: {path}")
    place = "" if folder == Path() else f"cd {folder} && "
    fetch = f"hil data fetch {what.name} && " if what.fetched else ""
    print(f"next: {place}{fetch}hil train experiment.toml")


def _answer(question: str, given: str | None, usual: str, read: Callable[[str], Answer]) -> Answer:
    """What an option says; else what a person answers, who is asked until it is an answer; else the usual."""
    from hil.experiments.starting import StartError

    if given is not None or not sys.stdin.isatty():
        return read(usual if given is None else given)
    while True:
        try:
            return read(str(typer.prompt(question, default=usual)))
        except StartError as error:
            print(f"  {error}")

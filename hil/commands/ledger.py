"""`hil ledger RUN|CHIP`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, say, to_be_written


def command(
    what: Annotated[
        str | None,
        typer.Argument(help="Folder of a run, or the name of a chip or a part of it; all chips when left out."),
    ] = None,
    datasheet: Annotated[
        str | None,
        typer.Option(help="Of a chip: shipped name or TOML file whose energy figures and endurance it is counted by."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write it here, too.", callback=to_be_written)] = None,
    overwrite: Overwrite = False,
) -> None:
    """Says what a run, or a chip in its life, was asked to do: counts, time, energy and wear."""
    from hil.outputs import write_result
    from hil.training.run.folder import RunError, find
    from hil.watching import chips, ledger, lines

    if what is not None and Path(what).is_dir():
        found = ledger.of_run(find(Path(what)).path)
        for line in lines.of_ledger(found):
            say(line)
        document = dict(found.document())
    else:
        lives = chips.lives(what)
        if not lives:
            raise RunError(
                f"{what or 'no chip'}: neither the folder of a run nor a chip that was ever open here; "
                f"chips are counted in {chips.ledger_folder()}"
            )
        by = chips.figures(datasheet)
        for life in lives:
            for line in lines.of_life(life, *by):
                say(line)
        document = {life.name: life.document(*by) for life in lives}
    if json is not None:
        write_result(json, document)

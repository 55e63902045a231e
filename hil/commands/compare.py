"""`hil compare RUN RUN...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, say, to_be_written


def command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of trainings, two or more.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the page goes.", callback=to_be_written)] = Path(
        "compare.html"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Sets trainings beside each other: curves on common axes, figures in a table, settings that differ."""
    from hil.report.compare import write_comparison
    from hil.training.run.folder import find

    if len(runs) < 2:
        raise typer.BadParameter("at least two runs are needed; `hil report RUN` writes the page of one")
    write_comparison([find(run) for run in runs], out)
    say(f"report: {out}")

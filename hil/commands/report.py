"""`hil report RUN...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import say, to_be_written


def command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of characterizations, or one calibration file.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where the page goes.", callback=to_be_written)
    ] = None,
) -> None:
    """Writes the report of a characterization or a calibration, or sets several chips or dates beside each other."""
    from drivers.errors import CalibrationExpired
    from hil.measuring.characterize.run import load
    from hil.report import calibration
    from hil.report.characterization import write_comparison, write_report

    if any(run.is_file() for run in runs):
        if len(runs) > 1:
            raise typer.BadParameter("one calibration file at a time; several characterizations go beside each other")
        page = out or runs[0].with_suffix(".html")
        try:
            calibration.write_report(runs[0], page)
        except CalibrationExpired as error:
            raise typer.BadParameter(str(error)) from error
        say(f"report: {page}")
        return
    found = [load(run) for run in runs]
    path = out or (runs[0] / "report.html" if len(runs) == 1 else Path("comparison.html"))
    if len(found) == 1:
        write_report(found[0], path)
    else:
        write_comparison(found, path)
    say(f"report: {path}")

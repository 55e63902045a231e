"""`hil report RUN...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, say, to_be_written, writable


def command(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of characterizations or trainings, or one calibration file.")
    ],
    figures: Annotated[
        Path | None,
        typer.Option("--figures", metavar="DIR", help="Also every drawing as SVG and PNG, and its table as CSV."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where the page goes.", callback=to_be_written)
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Writes the report of a characterization, a calibration or a training, or sets several beside each other."""
    if any(run.is_file() for run in runs):
        if len(runs) > 1:
            raise typer.BadParameter("one calibration file at a time; several characterizations go beside each other")
        _of_a_calibration(runs[0], out, overwrite=overwrite)
    elif all((run / "config.toml").is_file() for run in runs):
        _of_trainings(runs, out, overwrite=overwrite)
    else:
        _of_characterizations(runs, figures, out, overwrite=overwrite)


def _of_a_calibration(file: Path, out: Path | None, *, overwrite: bool) -> None:
    from drivers.errors import CalibrationExpired
    from hil.report import calibration

    page = out or _page(file.with_suffix(".html"), overwrite=overwrite)
    try:
        calibration.write_report(file, page)
    except CalibrationExpired as error:
        raise typer.BadParameter(str(error)) from error
    say(f"report: {page}")


def _of_characterizations(runs: list[Path], figures: Path | None, out: Path | None, *, overwrite: bool) -> None:
    from hil.measuring.characterize.run import load
    from hil.outputs import NotReplaced
    from hil.report.characterization import write_comparison, write_figures, write_report

    found = [load(run) for run in runs]
    path = out or (runs[0] / "report.html" if len(runs) == 1 else _page(Path("comparison.html"), overwrite=overwrite))
    if figures is not None:
        for one in found:
            folder = figures if len(found) == 1 else figures / one.folder.name
            _no_file(folder)
            try:
                written = write_figures(one, folder, overwrite=overwrite)
            except NotReplaced as error:
                raise typer.BadParameter(str(error), param_hint="--figures") from error
            say(f"figures: {len(written)} files in {folder}")
    if len(found) == 1:
        write_report(found[0], path)
    else:
        write_comparison(found, path)
    say(f"report: {path}")


def _page(path: Path, *, overwrite: bool) -> Path:
    """A page where nobody named one: of ours it is replaced."""
    writable(path, overwrite=overwrite)
    return path


def _no_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is a file; the name of a folder is expected", param_hint="--figures")


def _of_trainings(runs: list[Path], out: Path | None, *, overwrite: bool) -> None:
    from hil.report.compare import write_comparison
    from hil.report.training import write_report
    from hil.training.run.folder import find

    folders = [find(run) for run in runs]
    if len(folders) > 1:
        page = out or _page(Path("compare.html"), overwrite=overwrite)
        write_comparison(folders, page)
    else:
        page = out or folders[0].report
        write_report(folders[0], page)
    say(f"report: {page}")

"""`hil import FORMAT FILES -o DIR`: a characterization from tables measured elsewhere; `hil import aihwkit PRESET`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, say


def command(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="Format of the tables (hil list imports), or aihwkit.")],
    files: Annotated[list[str], typer.Argument(help="Tables; after aihwkit the name of one of its device presets.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder; after aihwkit the datasheet to write.")],
    mapping: Annotated[
        Path | None, typer.Option("--map", help="Mapping of format table: which column is what.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="ramps, reads, retention, writes or resets, where the format does not say.")
    ] = None,
    current: Annotated[str | None, typer.Option(help="Heading of the currents, where there are several.")] = None,
    voltage: Annotated[str | None, typer.Option(help="Heading of the read voltages.")] = None,
    read_v: Annotated[float | None, typer.Option(help="Read voltage, where no column has it.")] = None,
    interval: Annotated[float | None, typer.Option(help="Seconds between readings, where no column has them.")] = None,
    limits: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", help="Siemens at the ends of a normalized table, or preset."),
    ] = None,
    between: Annotated[
        tuple[float, float] | None, typer.Option(help="Take cells whose first reading is between these siemens only.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the device is called.")] = "",
    skip_bad_rows: Annotated[bool, typer.Option(help="Leave bad rows out, and say so, instead of refusing.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Makes a characterization of tables that somebody else measured; hil report, hil twin take it as our own."""
    if form == "aihwkit":
        _preset(files, out, limits, overwrite=overwrite)
        return
    from hil.measuring.characterize.run import load
    from hil.measuring.imports import folder
    from hil.measuring.imports.formats import Options, reader
    from hil.measuring.imports.lines import Rows
    from hil.report.characterization import write_report

    rows = Rows(skip=skip_bad_rows)
    options = Options(mapping, kind, current, voltage, read_v, interval, limits)
    paths = [Path(file) for file in files]
    readings = reader(form)(paths, options, rows)
    if between is not None:
        readings = readings.between(*between)
    folder.write(readings, out, form, paths, rows.bad, name)
    found = load(out)
    write_report(found, out / "report.html")
    for bad in rows.bad[:8]:
        say(f"left out: {bad}")
    if len(rows.bad) > 8:
        say(f"left out: {len(rows.bad) - 8} more rows, named in provenance.json")
    for figure in found.figures:
        say(f"{figure.name:30} {figure.measured!s}")
    say(f"report: {out / 'report.html'}; a twin of it: hil twin {out} -o twin.toml")


def _preset(files: list[str], out: Path, limits: tuple[float, float] | None, *, overwrite: bool) -> None:
    """A datasheet of one of aihwkit's device presets."""
    from hil.commands import writable
    from hil.measuring.exchange.from_aihwkit import sheet_of
    from hil.outputs import write_signed

    if len(files) != 1:
        raise typer.BadParameter("one preset a call, e.g. hil import aihwkit ReRamSB -o reram-sb.toml")
    writable(out, overwrite=overwrite)
    made = sheet_of(files[0], limits)
    write_signed(out, made.to_toml())
    say(f"datasheet: {out}, open it as emulator:{out}")

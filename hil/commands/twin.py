"""`hil twin RUN -o chip42.toml`, `hil twin RUN --check`, `hil twin RUN --check chip42.toml --device ADDRESS`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from hil.commands import BenchFile, Overwrite, VisaLibrary, named, say, to_be_written


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a characterization, or of an import.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the fitted datasheet here.", callback=to_be_written)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Fit to half of the cells, emulate the other half, compare.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(help="Compare this twin with the device of --device, on held-out measurements.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="The device the twin is of, for --against.")] = None,
    like: Annotated[
        str, typer.Option(help="Of an import: the datasheet whose circuits are put about the cells.")
    ] = "mixed-8bit",
    name: Annotated[str, typer.Option(help="Of an import: what the twin is called.")] = "",
    calibration: Annotated[
        Path | None, typer.Option(help="A calibration of the same chip: errors of its converters.")
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    overwrite: Overwrite = False,
) -> None:
    """Fits the emulator's laws to what was measured; emulator:chip42.toml is then a chip like this one."""
    from hil.measuring.characterize.run import load
    from hil.measuring.imports import folder
    from hil.outputs import write_signed

    imported = folder.load(run)
    found = load(run)
    if out is not None or not (check or against):
        if imported and calibration is not None:
            raise typer.BadParameter("--calibration: an imported table is of cells alone, without converters")
        fitted = _of_import(run, imported, like, name) if imported else _of_device(found, calibration)
        for one in fitted.chosen:
            say("\n".join([one.why, *(f"  {note}" for note in one.notes)]))
        if out is None:
            say(fitted.to_toml())
        else:
            write_signed(out, fitted.to_toml())
            say(f"twin: {out}, open it as emulator:{out}")
    differs = False
    if check:
        differs = _by_halves(found, imported, like)
    if against is not None:
        source = named(device, bench)
        if source is None:
            raise typer.BadParameter("--against measures on the device, too: name it with --device")
        differs |= _against(run, against, source, visa_library)
    if differs:
        raise typer.Exit(1)


def _of_device(found, calibration: Path | None):  # type: ignore[no-untyped-def]
    from hil.measuring.calibrate.file import read
    from hil.measuring.twins import of_device

    return of_device.fit(found, None if calibration is None else read(calibration))


def _of_import(run: Path, imported, like: str, name: str):  # type: ignore[no-untyped-def]
    import json

    from firmware_specs.datasheet import load
    from hil.measuring.twins.measured import twin

    begun = json.loads((run / "provenance.json").read_text("utf-8"))
    origins = sorted({one["source"].get("origin", "not said") for one in begun["imports"]})
    licences = sorted({one["source"].get("licence", "not said") for one in begun["imports"]})
    identity = {
        "vendor": "; ".join(origins),
        "model": name or begun["model"],
        "description": f"Twin of imported tables; circuits of {like}, scaled",
        "source": f"{'; '.join(origins)} (licence {', '.join(licences)})",
    }
    return twin(imported, load(like), identity)


def _by_halves(found, imported, like: str) -> bool:  # type: ignore[no-untyped-def]
    """Prints the comparison of halves; does one of them differ, counted as one family of comparisons a kind?"""
    from firmware_specs.datasheet import load
    from hil.measuring.twins import check
    from hil.measuring.twins.of_items import readings_of

    readings = imported or readings_of(found)
    compared = check.by_halves(readings, load(like))
    for one in compared:
        say(str(one))
    differs = False
    for family, p in check.families(compared).items():
        rejected = not p >= check.REJECTED
        differs |= rejected
        say(f"{family}: p {p:.3g} over all its comparisons (Holm): {'differs' if rejected else 'no difference seen'}")
    return differs


def _against(run: Path, twin: Path, device: str, visa_library: str | None) -> bool:
    """Measures device and twin alike, and compares."""
    from firmware_specs.datasheet import load
    from hil.counterparts.opening.wire import open_crossbar
    from hil.measuring.characterize import distance, plan
    from hil.measuring.characterize.run import characterize

    held, measured = distance.held_out(plan.of(run)), []
    with tempfile.TemporaryDirectory() as folder:
        for name, address in (("source", device), ("twin", f"emulator:{twin}?seed=1")):
            with open_crossbar(address, visa_library) as crossbar:
                measured.append(characterize(crossbar, held, Path(folder) / name, load(twin)))
    distances = distance.compare(*measured)
    for d in distances:
        verdict = "differs" if d.rejected else "no difference seen"
        say(f"{d.name:16} KS {d.distance:.4f}  p {d.p_value:.3f}  {d.samples} samples  {verdict}")
    return any(d.rejected for d in distances)

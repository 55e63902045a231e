"""`hil twin RUN -o chip42.toml` and `hil twin RUN --check chip42.toml --device ADDRESS`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from hil.commands import BenchFile, VisaLibrary, named, say, to_be_written


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a characterization.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the fitted datasheet here.", callback=to_be_written)
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Compare a twin with the device, on held-out data.")] = None,
    device: Annotated[str | None, typer.Option(help="The device the twin is of, for --check.")] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
) -> None:
    """Fits the emulator's parameters to a characterization; `emulator:chip42.toml` is then a chip like this one."""
    from hil.counterparts.opening.wire import open_crossbar
    from hil.measuring.characterize import distance, plan, twin
    from hil.measuring.characterize.run import characterize, load
    from hil.training.run.atomic import write_text

    found = load(run)
    fitted = twin.fit(found)
    if out is not None:
        write_text(out, fitted.to_toml())
        say(f"twin: {out}, open it as emulator:{out}")
    if check is None:
        if out is None:
            say(fitted.to_toml())
        return
    source = named(device, bench)
    if source is None:
        raise typer.BadParameter("--check measures on the device, too: name it with --device")
    held = distance.held_out(plan.of(run))
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for name, address in (("source", source), ("twin", f"emulator:{check}?seed=1")):
            with open_crossbar(address, visa_library) as crossbar:
                measured.append(characterize(crossbar, held, Path(folder) / name, fitted.datasheet))
    distances = distance.compare(*measured)
    for d in distances:
        verdict = "differs" if d.rejected else "no difference seen"
        say(f"{d.name:16} KS {d.distance:.4f}  p {d.p_value:.3f}  {d.samples} samples  {verdict}")
    if any(d.rejected for d in distances):
        raise typer.Exit(1)

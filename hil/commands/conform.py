"""`hil conform --device ADDRESS`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hil.commands import BenchFile, VisaLibrary, needed, to_be_written


def command(
    device: Annotated[
        str | None, typer.Option(help="serial:..., visa:..., emulator:DATASHEET?seed=N or bench:FILE#NAME.")
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    only: Annotated[list[str] | None, typer.Option(help="Run the checks whose name starts so, e.g. watchdog.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the results as JSON.", callback=to_be_written)] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the results as one self-contained page.", callback=to_be_written)
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML.", callback=to_be_written)] = None,
    protocol: Annotated[
        str | None, typer.Option(help="What an emulator: address is to speak: serial (if left out) or scpi.")
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait for one answer.")] = 2.0,
    pulse_v: Annotated[
        float, typer.Option(min=0, help="Amplitude of pulses, volts; if left out the device's own nominal one.")
    ] = 0.0,
    pulse_s: Annotated[float, typer.Option(min=0, help="Width of pulses, seconds; likewise.")] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would go out, how long and how many pulses; send nothing.")
    ] = False,
) -> None:
    """Checks firmware against its protocol; writes and pulses the cells of array 0. Exit status 1: it fails.

    A serial: address is checked against PROTOCOL.md, a visa: address against SCPI.md.
    """
    from drivers.reopenable import Reopenable
    from hil.conformance import writers
    from hil.conformance.suite import suite_of
    from hil.counterparts.opening.wire import links_of, open_wire, protocol_of, stand_in
    from hil.terminal import Terminal
    from hil.training.run.atomic import write_text

    if protocol not in (None, "serial", "scpi"):
        raise typer.BadParameter(f"--protocol is serial or scpi, got {protocol!r}")
    wanted: Literal["serial", "scpi"] | None = "scpi" if protocol == "scpi" else "serial" if protocol else None
    address = needed(device, bench)
    suite = suite_of(protocol_of(address, wanted))
    try:
        checks = suite.select(only or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if bool(pulse_v) != bool(pulse_s):
        raise typer.BadParameter("--pulse-v and --pulse-s belong together")
    pulse = (pulse_v, pulse_s) if pulse_v else None
    console = Terminal()
    if dry_run:
        machine, _ = stand_in(address)
        suite.run(Reopenable(links_of(machine, address, protocol_of(address, wanted))), checks, pulse=pulse)
        for line in machine.said(address):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        return
    with open_wire(address, wanted, visa_library) as wire, console.status("") as status:
        result = suite.run(
            wire, checks, patience_s=patience, observer=lambda o: status.update(o.check.name), pulse=pulse
        )
    console.print(writers.rich_table(result))
    console.print(result.summary, highlight=False, soft_wrap=True)
    for path, text in ((json, writers.to_json), (html, writers.html), (junit, writers.junit)):
        if path is not None:
            write_text(path, text(result))
    if not result.conforms:
        raise typer.Exit(1)

"""`hil conform --device ADDRESS`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hil.commands import BenchFile, Overwrite, VisaLibrary, named, needed, refuse_device, to_be_written

if TYPE_CHECKING:
    from hil.conformance.result import Conformance
    from hil.conformance.suite import Checks, Suite

Spoken = Literal["serial", "scpi"]


def command(
    device: Annotated[
        str | None, typer.Option(help="serial:..., visa:..., emulator:DATASHEET?seed=N or bench:FILE#NAME.")
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    only: Annotated[list[str] | None, typer.Option(help="Run the checks whose name starts so, e.g. watchdog.")] = None,
    show: Annotated[
        bool, typer.Option("--list", help="Show the checks; with --protocol, no device is needed.")
    ] = False,
    failed_first: Annotated[
        bool, typer.Option("--failed-first", help="Begin with what this device failed the last time.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again whenever the device has restarted or comes back; Ctrl-C ends.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the dialogue as it goes.", callback=to_be_written)
    ] = None,
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
    overwrite: Overwrite = False,
) -> None:
    """Checks firmware against its protocol; writes and pulses the cells of array 0. Exit status 1: it fails.

    A serial: address is checked against PROTOCOL.md, a visa: address against SCPI.md.
    """
    if not (show or dry_run):
        refuse_device(named(device, bench), visa_library)

    from hil.conformance import remembered
    from hil.conformance.suite import suite_of
    from hil.counterparts.opening.wire import protocol_of

    if protocol not in (None, "serial", "scpi"):
        raise typer.BadParameter(f"--protocol is serial or scpi, got {protocol!r}")
    wanted: Spoken | None = "scpi" if protocol == "scpi" else "serial" if protocol else None
    if show and device is None and bench is None:
        _list(suite_of(wanted or "serial"), only)
        return
    address = needed(device, bench)
    spoken = protocol_of(address, wanted)
    suite = suite_of(spoken)
    if show:
        _list(suite, only)
        return
    if bool(pulse_v) != bool(pulse_s):
        raise typer.BadParameter("--pulse-v and --pulse-s belong together")
    pulse = (pulse_v, pulse_s) if pulse_v else None
    if dry_run:
        _rehearse(suite, _selected(suite, only), address, spoken, visa_library, pulse)
        return
    while True:
        checks = _selected(suite, only)
        if failed_first:
            checks = remembered.first(checks, remembered.failed_before(address))
        result, boot = _run(suite, checks, address, spoken, visa_library, patience, trace, watch, pulse)
        remembered.remember(address, result)
        _write(result, json, html, junit)
        if not watch:
            break
        _wait(address, spoken, visa_library, boot)
    if not result.conforms:
        raise typer.Exit(1)


def _selected(suite: Suite, only: list[str] | None) -> Checks:
    try:
        return suite.select(only or ())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _list(suite: Suite, only: list[str] | None) -> None:
    for check in _selected(suite, only):
        typer.echo(f"{check.name:<27} {check.section:<8} {check.level:<8} {check.demand}")


def _run(
    suite: Suite, checks: Checks, address: str, spoken: Spoken, visa_library: str | None, patience_s: float,
    trace: Path | None, watch: bool, pulse: tuple[float, float] | None,
) -> tuple[Conformance, int | None]:  # fmt: skip
    """One run, a line a check as it finishes; with `watch` the boot number afterwards, too."""
    from drivers.chip_ledger import ChipLedger
    from drivers.errors import DeviceError
    from hil.conformance import writers
    from hil.conformance.check import Outcome
    from hil.conformance.conversation import Failed
    from hil.conformance.trace import Trace
    from hil.conformance.watching import boot_of
    from hil.counterparts.opening.wire import open_wire
    from hil.terminal import Terminal

    console, made = Terminal(), []
    with ExitStack() as stack:
        wire = stack.enter_context(open_wire(address, spoken, visa_library))
        tracing = None
        if trace is not None:
            out = stack.enter_context(trace.open("w", encoding="utf-8", buffering=1))
            wire.recorder = tracing = Trace(out, frames=suite.text == "PROTOCOL.md")

        def finished(outcome: Outcome) -> None:
            made.append(outcome)
            console.print(writers.line(outcome, len(made), len(checks)), soft_wrap=True)
            if tracing is not None:
                tracing.say("#", f"{outcome.check.name} {outcome.verdict} {outcome.seen}")

        result = suite.run(wire, checks, patience_s=patience_s, observer=finished, pulse=pulse, ledger=ChipLedger)
        boot = None
        if watch and not result.stopped:
            try:
                boot = boot_of(wire, spoken)
            except (DeviceError, Failed):
                boot = None
    if result.stopped and result.stopped != result.outcomes[-1].seen:
        console.print(f"stopped: {result.stopped}", soft_wrap=True)
    console.print(f"{result.identity}\n{result.pulses}\n{result.summary}", soft_wrap=True)
    return result, boot


def _rehearse(
    suite: Suite,
    checks: Checks,
    address: str,
    spoken: Spoken,
    visa_library: str | None,
    pulse: tuple[float, float] | None,
) -> None:
    """The checks on a stand-in; their outcomes mean nothing."""
    from drivers.reopenable import Reopenable
    from hil.counterparts.opening.wire import links_of, stand_in
    from hil.terminal import Terminal

    machine, _ = stand_in(address, visa_library=visa_library)
    suite.run(Reopenable(links_of(machine, address, spoken)), checks, pulse=pulse)
    for line in machine.said(address):
        Terminal().print(line, soft_wrap=True)


def _wait(address: str, spoken: Spoken, visa_library: str | None, boot: int | None) -> None:
    from hil.conformance.watching import come_back
    from hil.counterparts.opening.wire import open_wire

    typer.echo("waiting for the device to restart or come back; Ctrl-C ends", err=True)
    come_back(lambda: open_wire(address, spoken, visa_library), boot, spoken)


def _write(result: Conformance, json: Path | None, html: Path | None, junit: Path | None) -> None:
    from hil.conformance import writers
    from hil.training.run.atomic import write_text

    for path, text in ((json, writers.to_json), (html, writers.html), (junit, writers.junit)):
        if path is not None:
            write_text(path, text(result))

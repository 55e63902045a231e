"""`hil characterize --device ADDRESS`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import BenchFile, VisaLibrary, needed, refuse_device

if TYPE_CHECKING:
    from rich.console import Console

    from firmware_specs.datasheet import Datasheet
    from hil.measuring.characterize.plan import Plan


def command(
    out: Annotated[Path, typer.Option(help="Folder for data, figures and report; a begun one is gone on with.")],
    device: Annotated[
        str | None, typer.Option(help="serial:..., visa:..., emulator:DATASHEET?seed=N or bench:FILE#NAME.")
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    plan: Annotated[
        Path | None, typer.Option(help="What to measure (TOML); everything but endurance if left out.")
    ] = None,
    datasheet: Annotated[
        str | None,
        typer.Option(
            help="What the device should be: shipped name or TOML file; by the device's own name if left out."
        ),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ITEM", help="This item of the plan only; may be given again.")
    ] = None,
    size: Annotated[int, typer.Option(help="Rows and columns of the region, without a plan.")] = 16,
    pulse_v: Annotated[float, typer.Option(min=0, help="Amplitude of pulses, volts, without a plan.")] = 0.0,
    pulse_s: Annotated[float, typer.Option(min=0, help="Width of pulses, seconds, without a plan.")] = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would go out, how long and how many pulses; send nothing.")
    ] = False,
) -> None:
    """Measures cells, neurons and converters; what the region's cells hold is lost. Cut off, the same call goes on.

    `--only found` writes nothing: it reads the cells of the block that is on the array.
    """
    address = needed(device, bench)
    if not dry_run:
        refuse_device(address, visa_library)

    from firmware_specs.datasheet import load
    from hil.counterparts.opening.wire import open_crossbar
    from hil.measuring.characterize import plan as plans
    from hil.measuring.characterize.folder import check
    from hil.measuring.characterize.run import characterize
    from hil.measuring.characterize.supposed import supposed
    from hil.report.characterization import write_report
    from hil.terminal import Terminal

    console = Terminal()
    chosen = plans.usual(size, size, pulse_v, pulse_s) if plan is None else plans.load(plan)
    if plan is not None and (pulse_v or pulse_s):
        raise typer.BadParameter("--pulse-v and --pulse-s go without a plan: a plan says it in pulse_response")
    if only:
        chosen = plans.only(chosen, only)
    if dry_run:
        name = datasheet or _emulated(address)
        _rehearse(console, address, chosen, None if name is None else load(name))
        return
    check(out)
    with open_crossbar(address, visa_library) as crossbar, console.status("") as status, _goes_on(out):
        sheet, by = supposed(crossbar, address, datasheet)
        console.print(f"datasheet: {by}", highlight=False, soft_wrap=True, markup=False)
        found = characterize(
            crossbar, chosen, out, sheet, lambda item, done, of: status.update(f"{item}: step {done} of {of}")
        )
    write_report(found, out / "report.html")
    for figure in found.figures:
        stated = "" if figure.stated is None else f"datasheet {figure.stated:.5g}"
        parts = f"A {figure.measured.statistical:.2g} B {figure.measured.systematic:.2g}"
        console.print(
            f"{figure.name:30} {figure.measured!s:28} {parts:22} {stated:24} {figure.verdict}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    for note in found.notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    for item, why in found.skipped.items():
        console.print(f"{item:30} skipped: {why}", highlight=False)
    console.print(f"report: {out / 'report.html'}", highlight=False, soft_wrap=True)


def _rehearse(console: Console, device: str, plan: Plan, sheet: Datasheet | None) -> None:
    """The whole measurement on a stand-in; its figures mean nothing and are thrown away."""
    from hil.counterparts.opening.wire import crossbar_of, stand_in
    from hil.measuring.characterize.run import characterize

    machine, options = stand_in(device, sheet)
    with TemporaryDirectory() as scratch, crossbar_of(machine, options, device) as crossbar:
        found = characterize(crossbar, plan, Path(scratch) / "rehearsal", sheet)
    for line in machine.said(device):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"budget         {plan.pulse_budget} writes and pulses a cell by the plan", highlight=False)
    for item, why in found.skipped.items():
        console.print(f"skipped        {item}: {why}", highlight=False, soft_wrap=True, markup=False)


def _emulated(address: str) -> str | None:
    """The datasheet an emulated chip is made from."""
    from firmware_specs.addresses import split_options

    return split_options(address.removeprefix("emulator:"))[0] if address.startswith("emulator:") else None


@contextmanager
def _goes_on(out: Path) -> Iterator[None]:
    """Within it, whatever breaks a measurement off says that it is not lost."""
    from drivers.errors import DeviceError

    kept = f"What was measured is kept: the same command goes on with {out}."
    try:
        yield
    except (DeviceError, OSError) as error:
        if (out / "provenance.json").is_file():
            error.add_note(kept)
        raise
    except (KeyboardInterrupt, SystemExit):
        if (out / "provenance.json").is_file():
            print(f"hil: stopped. {kept}", file=sys.stderr, flush=True)
        raise

"""`hil calibrate --device ADDRESS --experiment EXPERIMENT -o FILE`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from hil.commands import BenchFile, Overwrite, VisaLibrary, needed, refuse_device, refuse_early, to_be_written, writable


def _days(days: float) -> float:
    if not 0 < days < math.inf:
        raise typer.BadParameter(f"expected a number of days above 0, got {days:g}")
    return days


def command(
    experiment: Annotated[str, typer.Option(help="Experiment whose blocks the arrays are calibrated with.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Calibration file; a bench file names it.", callback=to_be_written)
    ],
    name: Annotated[str | None, typer.Option(help="Id of the calibration; device and date if left out.")] = None,
    valid_days: Annotated[float, typer.Option(help="How long it holds.", callback=_days)] = 7.0,
    device: Annotated[
        str | None, typer.Option(help="serial:..., visa:..., emulator:DATASHEET?seed=N or bench:FILE#NAME.")
    ] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would go out, how long and how many pulses; send nothing.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Measures converters, neurons or nodes, cells and settle time of the arrays an experiment uses.

    What these cells hold is lost.
    """
    address = needed(device, bench)
    if not dry_run:
        refuse_device(address, visa_library)
    refuse_early(experiment)

    from datetime import UTC, datetime

    from firmware_specs.codes import Capability
    from hil import data
    from hil.counterparts.opening.address import AddressError
    from hil.counterparts.opening.wire import crossbar_of, open_crossbar, stand_in
    from hil.counterparts.reference import ReferenceBench
    from hil.experiments import experiment_file
    from hil.learning.model import build, energy_blocks
    from hil.measuring import netcdf  # noqa: F401  what is missing is said before anything is measured
    from hil.measuring.calibrate import file, summary
    from hil.measuring.calibrate.measure import measure_array
    from hil.terminal import Terminal

    if not out.is_file():  # of a calibration of ours they are ours
        writable(file.cells_beside(out), overwrite=overwrite)
    loaded = experiment_file.load(experiment, [])
    dataset = data.load(loaded.data, data_root)
    with ReferenceBench() as reference:
        model = build(loaded, reference, dataset.shape, dataset.classes)
        topologies = [block.topology for block in energy_blocks(model).values()]
    console = Terminal()
    if dry_run:
        machine, options = stand_in(address)
        with crossbar_of(machine, options, address) as crossbar:
            for number, topology in enumerate(topologies):
                measure_array(crossbar, number, topology)
        for line in machine.said(address):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        return
    with open_crossbar(address, visa_library) as crossbar, console.status("") as status:
        if not crossbar.info.can(Capability.SETTLE):
            raise AddressError(f"{address} multiplies and does not settle: neurons and their readings are the host's")
        findings = [measure_array(crossbar, n, t, status.update) for n, t in enumerate(topologies)]
        identity = crossbar.info.identity
        made = name or f"{identity.model}-{identity.serial}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        kept = file.write(out, file.Identified(made, valid_days), crossbar, findings)
    for line in summary.lines(kept.arrays):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"calibration {made}: {out}, holds {valid_days:g} days", highlight=False, soft_wrap=True)

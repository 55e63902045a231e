"""`hil netlist EXPERIMENT|DATASHEET`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, refuse_early, say, to_be_written


def command(
    name: Annotated[str, typer.Argument(help="Experiment or resistive datasheet: a shipped name or a TOML file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The netlist, for ngspice -b FILE.", callback=to_be_written)
    ],
    device: Annotated[
        str, typer.Option(help="Emulated device an experiment is placed on.")
    ] = "emulator:resistive-ideal",
    run_dir: Annotated[Path | None, typer.Option(help="Run folder whose newest weights are programmed.")] = None,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    units: Annotated[str, typer.Option(help="Of a datasheet's network: sources, then nodes of each layer.")] = "8,8,4",
    points: Annotated[int, typer.Option(min=1, help="Operating points: test samples, or random source voltages.")] = 1,
    seed: Annotated[int, typer.Option(help="Of a datasheet's random cells and voltages.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Writes a programmed resistive array as an ngspice netlist."""
    if run_dir is None and not _is_datasheet(name):
        refuse_early(name)
    from emulator import netlist
    from firmware_specs import datasheet
    from hil.counterparts.opening.bench import open_bench
    from hil.experiments import experiment_file
    from hil.measuring import netlist as circuits
    from hil.outputs import write_signed
    from hil.training.run.folder import find

    if _is_datasheet(name):
        layers = [int(n) for n in units.split(",") if n.strip().isdigit()]
        if len(layers) < 2 or len(layers) != len(units.split(",")) or min(layers) < 1:
            raise circuits.NetlistError(f"--units {units}: expected two positive numbers or more, e.g. 8,8,4")
        circuit, drives_v = circuits.of_datasheet(datasheet.load(name), layers, points, seed)
    else:
        folder = find(run_dir) if run_dir is not None else None
        experiment = experiment_file.load(name if folder is None else folder.config)
        with open_bench(device) as bench:
            circuit, drives_v = circuits.of_experiment(
                experiment, bench, data_root, points, None if folder is None else folder.checkpoints
            )
    title, _, rest = netlist.write(circuit, drives_v, raw=f"{output.stem}.raw").partition("\n")
    write_signed(output, rest, comment="*", title=f"{title}\n")
    cells = sum(int((circuit.cells_s(n) > 0).sum()) for n in range(len(circuit.topology.layers)))
    say(f"{output}: {circuit.sources} sources, {len(circuit.nodes)} nodes, {cells} cells, {points} point(s)")


def _is_datasheet(name: str) -> bool:
    from firmware_specs import datasheet
    from firmware_specs.documents import parse_toml, read_text

    if name in datasheet.shipped():
        return True
    try:
        return Path(name).suffix == ".toml" and "identity" in parse_toml(read_text(Path(name)))
    except (OSError, ValueError):
        return False

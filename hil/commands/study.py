"""`hil study EXPERIMENT --sweep key=a,b,c`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hil.commands import BenchFile, VisaLibrary, named, refuse_early, to_be_written


def command(
    experiment: Annotated[str, typer.Argument(help="Shipped name (digits, mnist-dense, ...) or a TOML file.")],
    sweep: Annotated[
        list[str],
        typer.Option(
            help="Axis of the grid: adc_bits, dac_bits, state_noise_v, programming_noise, read_noise, auto_range, "
            "device, seed, drift_s (seconds before the test), chip.SECTION.KEY, or a key of the experiment.",
            metavar="KEY=A,B,C",
        ),
    ],
    device: Annotated[str | None, typer.Option(help="Address of the counterpart, where no axis says it.")] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    run_dir: Annotated[Path | None, typer.Option(help="Folder of the study; runs/study-NAME when left out.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the experiment.")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Trainings at a time on this machine; {worker} in --device is 0, 1, ...")
    ] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Dask scheduler whose workers train, e.g. tcp://head:8786; not this machine."
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", is_eager=True, help="Replace another study in the folder, and the file of --json."),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the table here, too.", callback=to_be_written)] = None,
) -> None:
    """Trains a grid, two at a time; done points are kept, so that the same command goes on where it was stopped."""
    from hil.training.study import grid as study

    refuse_early(experiment, set_)
    axes = [study.parse_axis(text) for text in sweep]
    grid = study.points(axes)

    import torch

    from hil.experiments import experiment_file
    from hil.outputs import RUNS
    from hil.report.study import write_picture
    from hil.terminal import Terminal
    from hil.training.run.atomic import write_text
    from hil.training.study.point import Task, check
    from hil.training.study.table import write_table
    from hil.training.study.work import done

    console, address = Terminal(), named(device, bench)
    folder = run_dir or RUNS / f"study-{experiment_file.name_of(experiment)}"
    overrides = tuple(set_ or ())
    experiment_file.load(experiment, overrides)
    threads = max(1, torch.get_num_threads() // jobs) if scheduler is None else 0
    every = [
        Task(
            experiment,
            overrides,
            address,
            point,
            (folder / "points" / point.name).absolute(),
            data_root,
            threads,
            visa_library,
        )
        for point in grid
    ]
    for task in every:
        check(task)
    asked = {"experiment": experiment, "device": address, "set": list(overrides), "sweep": sorted(sweep)}
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    with study.opened(folder, asked, overwrite=overwrite, points=len(grid)):
        found = done(every, folder, jobs, say, scheduler)
        rows = [row for each in found.values() for row in each]
        write_table(folder, axes, rows)
        write_picture(folder / "study.png", experiment_file.name_of(experiment), axes, rows)
    if json is not None:
        write_text(json, (folder / "table.json").read_text("utf-8"))
    console.print((folder / "table.md").read_text("utf-8"), highlight=False, soft_wrap=True)
    console.print(f"table: {folder / 'table.md'}  picture: {folder / 'study.png'}", highlight=False, soft_wrap=True)
    if any(row.accuracy is None for row in rows):
        raise typer.Exit(1)

"""`hil study EXPERIMENT --sweep key=a,b,c`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import BenchFile, VisaLibrary, named, to_be_written

if TYPE_CHECKING:
    from rich.console import Console

    from hil.training.study.engine import Engine
    from hil.training.study.grid import Row
    from hil.training.study.point import Task


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
    import torch

    from hil.experiments import experiment_file
    from hil.report.study import write_picture
    from hil.terminal import Terminal
    from hil.training.run.atomic import write_text
    from hil.training.study import engine
    from hil.training.study import grid as study
    from hil.training.study.point import Task, check
    from hil.training.study.table import write_table

    console, address = Terminal(), named(device, bench)
    axes = [study.parse_axis(text) for text in sweep]
    grid = study.points(axes)
    folder = run_dir or Path("runs") / f"study-{experiment_file.name_of(experiment)}"
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
    with study.opened(folder, asked, overwrite=overwrite, points=len(grid)):
        tasks = [task for task in every if study.rows_in(task.folder) is None]
        console.print(f"{len(grid)} trainings, {len(grid) - len(tasks)} of them done before", highlight=False)
        left = []
        if tasks:
            with engine.opened(folder, min(jobs, len(tasks)), scheduler) as workers:
                if scheduler is not None:
                    console.print(f"{scheduler}: {workers.workers} workers", highlight=False, soft_wrap=True)
                left = _work(console, workers, tasks)
        rows = study.rows_of(folder, grid) + left
        write_table(folder, axes, rows)
        write_picture(folder / "study.png", experiment_file.name_of(experiment), axes, rows)
    if json is not None:
        write_text(json, (folder / "table.json").read_text("utf-8"))
    console.print((folder / "table.md").read_text("utf-8"), highlight=False, soft_wrap=True)
    console.print(f"table: {folder / 'table.md'}  picture: {folder / 'study.png'}", highlight=False, soft_wrap=True)
    if any(row.accuracy is None for row in rows):
        raise typer.Exit(1)


def _work(console: Console, workers: Engine, tasks: list[Task]) -> list[Row]:
    """Has every task done, and says how it went; rows of those that left nothing in their folder."""
    failed = []
    for task, rows in workers.results(tasks):
        for row in rows:
            told = "failed: " + row.note if row.accuracy is None else f"{row.accuracy:.2%}"
            place = ", ".join(f"{key}={value}" for key, value in row.values.items())
            console.print(f"{place}: {told}", highlight=False, soft_wrap=True)
        if not (task.folder / "point.json").is_file():
            failed += rows
    return failed

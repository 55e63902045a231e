"""`hil benchmark ADDRESS`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import BenchFile, VisaLibrary, needed, refuse_device, to_be_written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.training.study.grid import Row
    from hil.training.study.point import Task


def command(
    address: Annotated[str, typer.Argument(help="Counterpart, e.g. emulator:ecram; with --bench a name in that file.")],
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    tasks: Annotated[
        str, typer.Option(metavar="A,B,C", help="Some of xor, iris, wine, digits, mnist-cells, mnist-dense; all.")
    ] = "",
    seeds: Annotated[str, typer.Option(metavar="A,B,C", help="Seeds of the trainings.")] = "0,1,2",
    rule: Annotated[
        str | None, typer.Option(help="rewrite, pulsed or mixed, instead of the one that does best in a trial.")
    ] = None,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    run_dir: Annotated[Path | None, typer.Option(help="Folder; runs/benchmark-NAME when left out.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time; a device takes one.")] = 1,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", is_eager=True, help="Replace another benchmark in the folder, and --json's file."),
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the card here, too.", callback=to_be_written)] = None,
) -> None:
    """Trains fixed tasks with fixed seeds and leaves a card: accuracy, energy, pulses, wear, beside frozen cells.

    Done trainings are kept: the same command goes on where it was stopped. `hil compare` puts cards side by side.
    """
    where = needed(address, bench)
    refuse_device(where, visa_library)

    from hil.outputs import RUNS, write_result
    from hil.report.card import row, write_card
    from hil.terminal import Terminal
    from hil.training.benchmark import card as cards
    from hil.training.benchmark.making import made
    from hil.training.benchmark.points import Setting
    from hil.training.benchmark.rules import candidates, given
    from hil.training.benchmark.tasks import chosen, fitting, met, seeds_of
    from hil.training.study import grid
    from hil.training.study.point import check
    from hil.training.study.work import done

    console = Terminal()
    names, numbers = chosen([name for name in tasks.split(",") if name]), seeds_of(seeds)
    counterpart = met(where, visa_library)
    rules = candidates(counterpart.sheet)
    if rule is not None:
        rules = given(rule, rules)
    takes, left_out = fitting(counterpart, names, data_root, visa_library)
    for name, why in left_out.items():
        console.print(f"{name} left out: {why}", highlight=False, soft_wrap=True, markup=False)
    folder = run_dir or RUNS / f"benchmark-{cards.short_name(where)}"
    setting = Setting(where, folder, data_root, visa_library=visa_library)
    asked = {"benchmark": cards.FORMAT, "device": where, "seeds": numbers, "tasks": names, "rule": rule}
    say = partial(console.print, highlight=False, soft_wrap=True, markup=False)

    def work(tasks: Sequence[Task]) -> dict[Path, list[Row]]:
        for task in tasks:
            check(task)
        return done(tasks, folder, jobs, say)

    with grid.opened(folder, asked, overwrite=overwrite, points=2 * len(takes) * len(numbers)):
        card = made(counterpart, setting, takes, left_out, numbers, rules, work)
        write_result(folder / cards.NAME, card.model_dump())
        write_card(folder / "card.html", card)
    if json is not None:
        write_result(json, card.model_dump())
    for each in card.tasks:
        accuracy, frozen, *_ = row(each)
        console.print(f"{each.task:12} {accuracy:18} frozen {frozen}", highlight=False, soft_wrap=True)
    console.print(f"card: {folder / 'card.html'}", highlight=False, soft_wrap=True)
    if not card.tasks or any(each.note for each in card.tasks):
        raise typer.Exit(1)

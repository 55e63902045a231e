"""`hil compare RUN RUN...`, and of cards of benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hil.commands import Overwrite, say, to_be_written


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders of trainings, or cards (card.json, folders of benchmarks), two or more."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where the page goes.", callback=to_be_written)] = Path(
        "compare.html"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Sets trainings beside each other: curves, figures, settings that differ; or cards of benchmarks."""
    from hil.training.benchmark import card
    from hil.training.run.folder import find

    if len(runs) < 2:
        raise typer.BadParameter("at least two runs are needed; `hil report RUN` writes the page of one")
    if not any(card.is_one(run) for run in runs):
        for run in runs:
            find(run)
    from hil.report.compare import names_of, write_comparison

    cards = [run for run in runs if card.is_one(run)]
    if cards:
        from hil.report.card import write_side_by_side

        if len(cards) < len(runs):
            other = next(run for run in runs if run not in cards)
            raise typer.BadParameter(f"{cards[0]} is a card and {other} is none: compare cards with cards")
        write_side_by_side(out, [card.read(path) for path in cards], names_of(cards))
    else:
        write_comparison([find(run) for run in runs], out)
    say(f"report: {out}")

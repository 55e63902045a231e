"""`hil gradcheck EXPERIMENT`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import BenchFile, Overwrite, VisaLibrary, named, refuse_device, refuse_early, to_be_written, writable

if TYPE_CHECKING:
    from hil.learning.gradients.gradcheck import Gradcheck

CURVE_SAMPLES, CURVE_SWEEPS = 8, (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20)


def _above_zero(beta: float) -> float:
    if not 0 < beta < float("inf"):
        raise typer.BadParameter(
            f"{beta} is no nudge strength; it is above 0 and finite, both signs are settled anyway"
        )
    return beta


def command(
    experiment: Annotated[str, typer.Argument(help="Shipped name (digits-three-dense, ...) or a TOML file.")],
    device: Annotated[str | None, typer.Option(help="Address of the counterpart that measures; reference:.")] = None,
    bench: BenchFile = None,
    visa_library: VisaLibrary = None,
    beta: Annotated[float, typer.Option(help="Nudge strength, above 0.", callback=_above_zero)] = 1e-3,
    samples: Annotated[int, typer.Option(min=1, help="Images in the batch.")] = 64,
    every_sample: Annotated[
        bool, typer.Option("--every-sample", help="Keep samples whose equilibrium has no derivative within beta.")
    ] = False,
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the experiment.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.", callback=to_be_written)] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Picture, .png, .svg or .pdf; runs/gradcheck-NAME.png when left out.", callback=to_be_written
        ),
    ] = None,
    min_cosine: Annotated[float | None, typer.Option(help="Exit with 1 when a cosine is lower.")] = None,
    max_norm_error: Annotated[float | None, typer.Option(help="Exit with 1 when a norm is further off.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compares measured gradients with implicit differentiation of the exact model, parameter by parameter."""
    address = named(device, bench) or "reference:"
    refuse_device(address, visa_library)
    refuse_early(experiment, set_)

    from dataclasses import replace

    import torch

    from hil.counterparts.opening.bench import open_bench
    from hil.experiments import experiment_file
    from hil.learning.estimator import Estimator
    from hil.learning.gradients import gradcheck
    from hil.outputs import PICTURE_MARKS, write_result
    from hil.report.gradcheck import write_picture

    drawn = picture or _usual_picture(experiment, overwrite=overwrite)
    if drawn.suffix.lower() not in PICTURE_MARKS:
        raise typer.BadParameter(f"{drawn}: a picture is a .png, .svg or .pdf file", param_hint="--picture")
    loaded = experiment_file.load(experiment, list(set_ or []))
    base = loaded.estimator if isinstance(loaded.estimator, Estimator) else Estimator()
    estimator = replace(base, beta=beta)
    given = gradcheck.samples(loaded, data_root, samples)
    swept = gradcheck.has_sweeps(loaded, given)
    if swept and not every_sample:  # a smooth energy has no kinks to leave out
        given = gradcheck.differentiable(loaded, estimator, given)
    with open_bench(address, dtype=torch.float64, stop=gradcheck.EXACT, visa_library=visa_library) as opened:
        result = gradcheck.check(loaded, opened, estimator, given)
    _print(result, f"{experiment} on {address}, beta {beta}: {given.note}")
    if json is not None:
        facts = {"experiment": experiment, "device": address, "beta": beta, "samples": samples, "data": given.note}
        write_result(json, facts | result.document())
    curves = gradcheck.curves(loaded, estimator, given.first(CURVE_SAMPLES), CURVE_SWEEPS) if swept else None
    write_picture(drawn, result, curves)
    print(f"picture: {drawn}")
    too_far = (min_cosine is not None and result.min_cosine < min_cosine) or (
        max_norm_error is not None and result.max_norm_error > max_norm_error
    )
    if too_far:
        raise typer.Exit(1)


def _usual_picture(experiment: str, *, overwrite: bool) -> Path:
    from hil.experiments import experiment_file
    from hil.outputs import RUNS

    path = RUNS / f"gradcheck-{experiment_file.name_of(experiment)}.png"
    if path.exists():
        writable(path, overwrite=overwrite)
    return path


def _print(result: Gradcheck, what: str) -> None:
    from rich.table import Table

    from hil.terminal import Terminal

    console = Terminal()
    console.print(what, soft_wrap=True)
    table = Table("parameter", "cosine", "norm ratio")
    for name, agreement in result.parameters.items():
        table.add_row(name, f"{agreement.cosine:.8f}", f"{agreement.norm_ratio:.6f}")
    console.print(table)
    console.print(f"lowest cosine {result.min_cosine:.8f}, largest norm error {result.max_norm_error:.3%}")
    if result.settled < 1:
        console.print(f"only {result.settled:.1%} of the phases came to rest")
    if result.left_out:
        console.print(
            f"{result.left_out} samples left out: within beta a neuron meets its rail or pooling changes its maximum, "
            "and there is no derivative to compare with (--every-sample keeps them)",
            soft_wrap=True,
        )

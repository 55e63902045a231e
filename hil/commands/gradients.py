"""`hil gradients EXPERIMENT`: the static gradient analysis."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hil.commands import Overwrite, refuse_early, say, writable

if TYPE_CHECKING:
    from hil.learning.gradients.comparison import Agreement


def command(
    experiment: Annotated[str, typer.Argument(help="Shipped name (static-gradients, ...) or a TOML file.")],
    data_root: Annotated[Path, typer.Option(help="Folder that holds the data sets.")] = Path("data"),
    out: Annotated[Path, typer.Option(help="Folder for gradients.json and gradients.html.")] = Path("gradients"),
    sweeps: Annotated[str, typer.Option(help="Also compare after so many nudged sweeps, e.g. 1,2,5,10,20.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the experiment.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compares equilibrium propagation with implicit differentiation, parameter by parameter, without training."""
    refuse_early(experiment, set_)
    import torch

    from hil import data
    from hil.counterparts.opening.bench import open_bench
    from hil.data.batches import Batches
    from hil.experiments import experiment_file
    from hil.learning.gradients import comparison as gradients
    from hil.learning.loss import task
    from hil.learning.model import build
    from hil.training.stopping import stops

    for name in ("gradients.json", "gradients.html"):
        if out.is_dir():
            writable(out / name, overwrite=overwrite)
    loaded = experiment_file.load(experiment, [*(set_ or []), "device=reference:"])
    run, dtype = loaded.run, getattr(torch, loaded.run.dtype)
    counts = [_count(part) for part in sweeps.split(",") if part.strip()]
    dataset = data.load(loaded.data, data_root)
    images, labels = next(Batches(dataset.train, run.batch, run.seed).epoch(0))
    free, nudged = stops(loaded.settle)
    ways = loaded.settle.convolutions
    with open_bench(loaded.device, dtype=dtype, stop=free, nudged_stop=nudged, convolutions=ways) as bench:
        model = build(loaded, bench, dataset.shape, dataset.classes)
        inputs = (task(loaded.loss).loss, dataset.prepare(images, torch.device("cpu"), dtype), labels)
        rest = gradients.at_rest(model, *inputs)
        curves = gradients.over_sweeps(model, *inputs, counts)
    for row in rest:
        say(f"{row.parameter:36s} cosine {row.cosine:.6f}  norm ratio {row.ratio:.4f}")
    worst = min(rest, key=lambda row: (not isnan(row.cosine), row.cosine))
    say(f"smallest cosine {worst.cosine:.6f}, {worst.parameter}")
    _write(out, loaded.title or experiment, rest, curves)


def _count(text: str) -> int:
    if not text.strip().isdigit() or int(text) == 0:
        raise typer.BadParameter(f"--sweeps: expected numbers of sweeps, e.g. 1,2,5, got {text!r}")
    return int(text)


def _write(out: Path, title: str, rest: list[Agreement], curves: dict[int, list[Agreement]]) -> None:
    from dataclasses import asdict

    from hil.outputs import write_result
    from hil.report.gradients import page
    from hil.training.run.atomic import write_text

    out.mkdir(parents=True, exist_ok=True)
    cut = {str(count): [asdict(row) for row in rows] for count, rows in curves.items()}
    write_result(out / "gradients.json", {"at_rest": [asdict(row) for row in rest], "sweeps": cut})
    write_text(out / "gradients.html", page(title, rest, curves))
    say(f"picture: {out / 'gradients.html'}")

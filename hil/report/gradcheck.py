"""The picture of a gradient check (ff-EBM paper, static comparison)."""

from __future__ import annotations

from pathlib import Path

from hil.learning.gradients.gradcheck import Curves, Gradcheck, Gradients
from hil.report import figures
from hil.report.figures import Curve, Panel

FLOOR = 1e-16


def write_picture(path: Path, result: Gradcheck, curves: Curves | None) -> None:
    """Writes cosines and norm errors a parameter, and how both gradients build up by sweeps, where there are any.

    Raises:
        ValueError: a suffix matplotlib does not know.
    """
    cosines = {name: max(1 - a.cosine, FLOOR) for name, a in result.parameters.items()}
    errors = {name: max(abs(a.norm_ratio - 1), FLOOR) for name, a in result.parameters.items()}
    height = max(2.6, 0.24 * len(cosines))
    weights = [name for name in result.parameters if name.startswith("block") and "bias" not in name]
    panels = [
        Panel("1 - cosine", figures.dots(cosines, "1 - cosine", log=True, marks={"cosine 0.9999": 1e-4})),
        Panel("Norm error", figures.dots(errors, "||measured| / |exact| - 1|", log=True, marks={"1 %": 0.01})),
    ]
    if curves is not None:
        built = {name: _build_up(name, curves) for name in weights}
        panels += [Panel(n, figures.lines(c, "sweeps", "share of the whole", low=0)) for n, c in built.items()]
    figures.save(figures.drawing(panels, height=height), path)


def _build_up(name: str, curves: Curves) -> list[Curve]:
    """A gradient's component along the one after all sweeps, as a share of it."""

    def share(gradients: Gradients) -> float:
        whole = curves.unrolled[-1][name]
        return float((gradients[name] * whole).sum() / whole.square().sum().clamp(min=FLOOR))

    return [
        Curve("equilibrium propagation", curves.sweeps, [share(g) for g in curves.propagation]),
        Curve("unrolled", curves.sweeps, [share(g) for g in curves.unrolled], joined=False),
    ]

"""The page of a static gradient analysis: cosines at rest, and over the number of nudged sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hil.learning.gradients.comparison import Agreement
from hil.report import figures
from hil.report.figures import Curve, Panel
from hil.report.page import Badge, Figure, Page, Section, Table, render


def page(title: str, rest: Sequence[Agreement], curves: Mapping[int, Sequence[Agreement]]) -> str:
    """One HTML document."""
    layers = [row for row in rest if "weight" in row.parameter]
    worst = min(row.cosine for row in rest)
    names = [f"{index + 1}" for index in range(len(layers))]
    floor = min(0.99, *(row.cosine for row in layers))
    cosines = dict(zip(names, (row.cosine for row in layers), strict=True))
    ratios = dict(zip(names, (row.ratio for row in layers), strict=True))
    at_rest = figures.row(
        [
            Panel("Cosine, layer by layer", figures.bars(cosines, "cosine", low=floor)),
            Panel("Norm by norm, layer by layer", figures.bars(ratios, "ratio")),
        ]
    )
    sections = [Section("At rest", [Figure(at_rest, "First layer left, readout right; 1 is exact."), _table(rest)])]
    if curves:
        sections.append(Section("Over nudged sweeps", [_over_sweeps(layers, curves)]))
    badge = Badge("smallest cosine", f"{worst:.6f}", "good" if worst >= 0.999 else "warning")
    subtitle = "Equilibrium propagation against implicit differentiation, without training"
    return render(Page(title, subtitle, [badge], sections))


def _table(rest: Sequence[Agreement]) -> Table:
    rows = [(row.parameter, f"{row.cosine:.8f}", f"{row.ratio:.6f}") for row in rest]
    return Table(("parameter", "cosine", "norm ratio"), rows)


def _over_sweeps(layers: Sequence[Agreement], curves: Mapping[int, Sequence[Agreement]]) -> Figure:
    """A curve a layer; back-propagation through as many sweeps is the reference."""
    counts = sorted(curves)
    of = {count: {row.parameter: row.cosine for row in curves[count]} for count in counts}
    drawn = [
        Curve(f"{index + 1}", counts, [of[c].get(layer.parameter, float("nan")) for c in counts], marker=True)
        for index, layer in enumerate(layers)
    ]
    half = -(-len(drawn) // 2)
    panels = [
        Panel(f"Layers {part[0].label} to {part[-1].label}", figures.lines(part, "nudged sweeps", "cosine"))
        for part in (drawn[:half], drawn[half:])
        if part
    ]
    return Figure(figures.row(panels, height=4.0), "Both gradients cut off after the same number of sweeps.")

"""Reports of characterizations: one device in full, or several beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from hil.measuring.characterize.figure import Figure as Finding
from hil.measuring.characterize.folder import begun, believed
from hil.measuring.characterize.items import item, iv, programming, pulse_response, read_noise, transfer
from hil.measuring.characterize.run import Characterization
from hil.measuring.estimate import Estimate
from hil.report import figures
from hil.report.figures import Curve, Panel
from hil.report.page import Badge, Facts, Figure, Fold, Page, Part, Section, Status, Table, Text, write

STATUS: dict[str, Status] = {"agrees": "good", "differs": "bad", "no figure": "neutral"}
Draw = Callable[[Axes], None]


def write_report(found: Characterization, path: Path) -> None:
    """Writes the report of one device.

    Raises:
        ChipError: what is in its folder does not fit together.
    """
    sections = [Section("Figures", [_figure_table(found)])]
    with believed(found.folder):
        for name, data in found.data.items():
            parts = [*_plots(name, data), Text(f"Data: {name}.nc, dimensions {dict(data.sizes)}")]
            sections.append(Section(name.replace("_", " "), parts))
        sections.append(Section("Provenance", _provenance(found)))
    chip = found.chip
    title = f"Characterization of {chip['vendor']} {chip['model']}"
    write(path, Page(title, f"serial {chip['serial']}, firmware {chip['firmware']}", _badges(found), sections))


def write_comparison(runs: Sequence[Characterization], path: Path) -> None:
    """Writes a page that sets several chips or dates beside each other."""
    names = list(dict.fromkeys(f.name for run in runs for f in run.figures))
    head = ["figure", *(f"{r.chip['model']} {r.chip['serial']} ({r.folder.name})" for r in runs), "spread"]
    rows = []
    for name in names:
        found = [next((f.measured for f in r.figures if f.name == name), None) for r in runs]
        rows.append([name, *("" if e is None else str(e) for e in found), _spread([e for e in found if e is not None])])
    plots = [Panel(name, _beside(name, runs)) for name in names if sum(_has(r, name) for r in runs) > 1]
    drawn = [Figure(figures.row(plots[i : i + 8], columns=4, height=2.0)) for i in range(0, len(plots), 8)]
    sections = [Section("Figures", [Table(head, rows)]), Section("Beside each other", drawn)]
    write(path, Page("Comparison", f"{len(runs)} characterizations", [], sections))


def _has(run: Characterization, name: str) -> bool:
    return any(f.name == name for f in run.figures)


def _spread(found: Sequence[Estimate]) -> str:
    """Is the difference between runs more than their uncertainties?"""
    if len(found) < 2:
        return ""
    value, sigma = np.array([e.value for e in found]), np.array([max(e.sigma, 1e-30) for e in found])
    mean = float((value / sigma**2).sum() / (1 / sigma**2).sum())
    chi2 = float((((value - mean) / sigma) ** 2).sum()) / (len(found) - 1)
    return "within uncertainty" if chi2 < 4 else f"{np.sqrt(chi2):.1f} times the uncertainty"


def _beside(name: str, runs: Sequence[Characterization]) -> Draw:
    def draw(axes: Axes) -> None:
        found = [(r.folder.name, r[name].measured) for r in runs if _has(r, name)]
        places = range(len(found))
        axes.errorbar(places, [e.value for _, e in found], [2 * e.sigma for _, e in found], fmt="o", capsize=3)
        axes.set_xticks(list(places), [label[:12] for label, _ in found], rotation=30, ha="right")
        axes.set_ylabel("" if found[0][1].unit == "1" else found[0][1].unit)

    return draw


def _badges(found: Characterization) -> list[Badge]:
    count = {verdict: sum(f.verdict == verdict for f in found.figures) for verdict in STATUS}
    return [
        Badge("agree with the datasheet", str(count["agrees"]), "good" if count["agrees"] else "neutral"),
        Badge("differ from it", str(count["differs"]), "bad" if count["differs"] else "good"),
        Badge("it says nothing of", str(count["no figure"])),
    ]


def _figure_table(found: Characterization) -> Table:
    def row(f: Finding) -> list[str | Badge]:
        stated = "" if f.stated is None else f"{f.stated:.5g}"
        return [f.name, str(f.measured), stated, Badge("", f.verdict, STATUS[f.verdict])]

    return Table(["figure", "measured", "datasheet", "verdict"], [row(f) for f in found.figures])


def _provenance(found: Characterization) -> list[Part]:
    said = begun(found.folder)
    pairs = [(f"skipped: {name}", why) for name, why in found.skipped.items()]
    if said is None:
        return [Facts(pairs), Text("There is no provenance.json.")]
    text = (found.folder / "provenance.json").read_text(errors="replace")
    return [Facts([("address", said.address), ("started", said.started), *pairs]), Fold("provenance.json", text)]


def _plots(name: str, data: xr.Dataset) -> list[Part]:
    draw = PLOTS.get(name)
    return [] if draw is None else [Figure(figures.row(draw(data)))]


def _levels(values: np.ndarray, x: str) -> Draw:
    counts, edges = np.histogram(values, bins=60)
    return figures.histogram(edges, counts, x)


def _found(data: xr.Dataset) -> list[Panel]:
    level = data["level"].to_numpy()[0].mean(axis=0)
    return [Panel("As found, plane 0", figures.heat(level[0], "level")), Panel("Levels", _levels(level, "level"))]


def _programming(data: xr.Dataset) -> list[Panel]:
    sigma, target = programming.sigma_by_level(data)
    order = np.argsort(target)
    spread = Curve("measured", target[order], [sigma[i].value for i in order], marker=True)
    error = data["level"].to_numpy().mean(axis=1) - target[:, None, None, None]
    worst = np.abs(error).max(axis=0)[0]
    return [
        Panel("Error of a write", _levels(error, "achieved - target")),
        Panel("Programming noise over the range", figures.lines([spread], "target level", "sigma", low=0)),
        Panel("Largest error of each cell, plane 0", figures.heat(worst, "level")),
    ]


def _read_noise(data: xr.Dataset) -> list[Panel]:
    age = data["age"].to_numpy()
    curves = []
    for number, seconds in enumerate(age):
        level, sigma = read_noise.by_cell(data, number)
        groups = np.array_split(np.argsort(level), 16)
        x, y = [level[g].mean() for g in groups], [np.sqrt((sigma[g] ** 2).mean()) for g in groups]
        curves.append(Curve(f"{seconds:g} s", x, y, marker=True))
    return [Panel("Read noise against level", figures.lines(curves, "level", "sigma", low=0))]


def _drift(data: xr.Dataset) -> list[Panel]:
    age, conductance = data["age"].to_numpy(), item.conductances(data)
    flat = conductance.reshape(len(age), -1) / conductance[0].reshape(-1)
    order = np.argsort(conductance[0].reshape(-1))
    thirds = zip(("low", "middle", "high"), np.array_split(order, 3), strict=True)
    curves = [Curve(label, age, np.median(flat[:, cells], axis=1), marker=True) for label, cells in thirds]

    def draw(axes: Axes) -> None:
        figures.lines(curves, "seconds since the write", "kept")(axes)
        axes.set_xscale("log")

    return [Panel("Conductance kept", draw), Panel("Kept at the end, plane 0", figures.heat(
        (conductance[-1] / conductance[0])[0], "share"))]  # fmt: skip


def _pulse_response(data: xr.Dataset) -> list[Panel]:
    mean = data["level"].to_numpy().mean(axis=1)
    flat = mean.reshape(len(mean), -1)
    pulses = np.cumsum(np.abs(data["direction"].to_numpy()) * data["pulses"].to_numpy())
    some = [Curve(f"cell {c}", pulses, flat[:, c]) for c in (0, flat.shape[1] // 2, flat.shape[1] - 1)]
    curves = [Curve("median", pulses, np.median(flat, axis=1)), *some]
    step = pulse_response.steps_by_cell(data)
    return [
        Panel("Potentiation and depression", figures.lines(curves, "pulses", "level")),
        Panel("Step of each cell at mid-range", _levels(step[np.isfinite(step)], "share of the range")),
    ]


def _iv(data: xr.Dataset) -> list[Panel]:
    volts = data["voltage"].to_numpy()[0]
    current = data["current"].to_numpy()[0].mean(axis=1).reshape(len(volts), -1)
    chosen = np.argsort(np.abs(current[-1]))[np.linspace(0, current.shape[1] - 1, 5).astype(int)]
    curves = [Curve(f"cell {c}", volts, current[:, c], marker=True) for c in chosen]
    a, b = (e.value for e in iv.nonlinearity(volts, current))
    shape = volts + a * volts * np.abs(volts) + b * volts**3
    scale = (shape @ current) / (shape @ shape)
    residual = (current - np.outer(shape, scale)) / np.abs(current).max(axis=0)
    rest = Curve("rms of all cells", volts, np.sqrt((residual**2).mean(axis=1)), marker=True)
    return [
        Panel("Current against voltage", figures.lines(curves, "V", "A")),
        Panel("What the fit leaves", figures.lines([rest], "V", "share of the largest current", low=0)),
    ]


def _transfer(data: xr.Dataset) -> list[Panel]:
    state, drive = data["state"].to_numpy()[0], data["drive"].to_numpy()[0]
    levels = np.unique(drive)
    means = np.array([state[drive == d].mean(axis=0) for d in levels])
    curves = [Curve(f"unit {u}", levels, means[:, u]) for u in range(min(4, means.shape[1]))]
    found = transfer.unit_fits(data).lines
    units = np.arange(len(found.gain))
    return [
        Panel("Drive to state", figures.lines(curves, "drive", "state")),
        Panel("Gain", figures.lines([Curve("", units, found.gain, marker=True)], "unit", "gain")),
        Panel("Offset", figures.lines([Curve("", units, found.offset, marker=True)], "unit", "drive at state 0")),
    ]


def _settle_time(data: xr.Dataset) -> list[Panel]:
    time, state = data["time"].to_numpy(), data["state"].to_numpy().mean(axis=(1, 2))
    order = np.argsort(time)
    curve = Curve("", time[order], state[order], marker=True)
    return [Panel("State after a shorter wait", figures.lines([curve], "s", "state"))]


def _nudge(data: xr.Dataset) -> list[Panel]:
    nudge, contrast = data["nudge"].to_numpy(), data["contrast"].to_numpy()
    slope = contrast.mean(axis=(1, 2)) / (2 * nudge)
    noise = contrast.std(axis=1, ddof=1).mean(axis=1) / np.abs(contrast.mean(axis=(1, 2)))
    return [
        Panel(
            "Response to a nudge", figures.lines([Curve("", nudge, slope, marker=True)], "nudge", "contrast / 2 nudge")
        ),
        Panel(
            "Noise of one contrast",
            figures.lines([Curve("", nudge, noise, marker=True)], "nudge", "relative", log=True),
        ),
    ]


PLOTS: dict[str, Callable[[xr.Dataset], list[Panel]]] = {
    "found": _found,
    "transfer": _transfer,
    "settle_time": _settle_time,
    "nudge": _nudge,
    "iv": _iv,
    "programming": _programming,
    "read_noise": _read_noise,
    "drift": _drift,
    "pulse_response": _pulse_response,
}

"""Reports of characterizations: one device in full, or several beside each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from hil.measuring.characterize.figure import Figure as Finding
from hil.measuring.characterize.folder import believed
from hil.measuring.characterize.run import Characterization
from hil.measuring.characterize.told import begun
from hil.measuring.verdict import between
from hil.report import figures
from hil.report.figures import Panel
from hil.report.measured_plots import plots
from hil.report.page import Badge, Facts, Figure, Fold, Page, Part, Section, Status, Table, Text, write
from hil.report.plot import BARS

STATUS: dict[str, Status] = {"agrees": "good", "differs": "bad", "no figure": "neutral", "not measured": "warning"}
Draw = Callable[[Axes], None]


def write_report(found: Characterization, path: Path) -> None:
    """Writes the report of one device.

    Raises:
        ChipError: what is in its folder does not fit together.
    """
    sections = [Section("Figures", [_figure_table(found)])]
    with believed(found.folder):
        drawings = plots(found)
        for name, data in found.data.items():
            panels = [plot.panel for plot in drawings.get(name, [])]
            drawn = [Figure(figures.row(panels, height=3.0), BARS)] if panels else []
            parts: list[Part] = [*drawn, Text(f"Data: {name}.nc, dimensions {dict(data.sizes)}")]
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
        rows.append([name, *("" if e is None else str(e) for e in found), between([e for e in found if e is not None])])
    beside = [Panel(name, _beside(name, runs)) for name in names if sum(_has(r, name) for r in runs) > 1]
    drawn = [Figure(figures.row(beside[i : i + 8], columns=4, height=2.0), BARS) for i in range(0, len(beside), 8)]
    sections = [Section("Figures", [Table(head, rows)]), Section("Beside each other", drawn)]
    write(path, Page("Comparison", f"{len(runs)} characterizations", [], sections))


def _has(run: Characterization, name: str) -> bool:
    return any(f.name == name for f in run.figures)


def _beside(name: str, runs: Sequence[Characterization]) -> Draw:
    def draw(axes: Axes) -> None:
        found = [(r.folder.name, r[name].measured) for r in runs if _has(r, name)]
        places = range(len(found))
        axes.errorbar(places, [e.value for _, e in found], [e.sigma for _, e in found], fmt="o", capsize=3)
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
        m, stated = f.measured, "" if f.stated is None else f"{f.stated:.5g}"
        parts = "; ".join(f"{source} {part:.2g}" for source, part in m.budget)
        verdict = Badge("", f.verdict, STATUS[f.verdict])
        return [f.name, str(m), f"{m.statistical:.2g}", f"{m.systematic:.2g}", parts, stated, verdict, f.note]

    head = ["figure", "measured", "type A", "type B", "of type B", "datasheet", "verdict", "note"]
    caption = (
        "+- is one combined standard uncertainty (k = 1): type A, from scatter, and type B, from what no repeating "
        "takes away. A figure differs where it is beyond the expanded uncertainty at 99.73 %."
    )
    return Table(head, [row(f) for f in found.figures], caption)


def write_figures(found: Characterization, folder: Path, *, overwrite: bool = True) -> list[Path]:
    """Every drawing of a characterization as SVG and PNG, with its table as CSV; returns the files.

    Raises:
        NotReplaced: without `overwrite`, one of them is there and somebody else's, or a table has other numbers;
            nothing was written.
    """
    drawn = [plot for some in plots(found).values() for plot in some]
    if not overwrite:
        for plot in drawn:
            plot.refuse_replacing(folder)
    return [path for plot in drawn for path in plot.save(folder)]


def _provenance(found: Characterization) -> list[Part]:
    said = begun(found.folder)
    pairs = [(f"skipped: {name}", why) for name, why in found.skipped.items()]
    if said is None:
        return [Facts(pairs), Text("There is no provenance.json.")]
    text = (found.folder / "provenance.json").read_text("utf-8", errors="replace")
    return [Facts([("address", said.address), ("started", said.started), *pairs]), Fold("provenance.json", text)]

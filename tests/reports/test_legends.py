"""Legends of a busy machine: matplotlib warns of its own choice of place once that has taken a second."""

import re
from pathlib import Path

import matplotlib.legend
import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("hil/**/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/notebooks/*.md")]


@pytest.mark.parametrize(("words", "warns"), [({}, True), ({"loc": "best"}, False)])
def test_a_place_that_was_asked_for_may_take_its_time(words, warns, monkeypatch, recwarn, tmp_path):
    ticks = iter(range(1000))
    monkeypatch.setattr(matplotlib.legend.time, "perf_counter", lambda: float(2 * next(ticks)))
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], label="a line")
    axes.legend(**words)
    with pytest.warns(UserWarning, match="can be slow") if warns else monkeypatch.context():
        figure.savefig(tmp_path / "figure.svg")
    assert not recwarn.list


def test_every_legend_has_a_place_that_was_asked_for():
    calls = [call for path in SOURCES for call in re.findall(r"\.legend\(.*", path.read_text(encoding="utf-8"))]
    assert len(calls) >= 5 and not [call for call in calls if "loc=" not in call]

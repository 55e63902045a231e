import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from hil.cli import main
from hil.commands import train as train_command
from hil.experiments import experiment_file
from hil.report import figures
from hil.report.page import Badge, Facts, Figure, Fold, Page, Section, Table, Text, render
from hil.report.training import write_report
from hil.training.run import folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A real, tiny run on the emulator; its report was written by the command."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    changes = ["run.epochs=2", "data.train_samples=128", "data.test_samples=60", "title='a <b>tiny</b> & odd title'"]
    train_command.command("digits", "emulator:mixed-8bit?seed=2", run_dir=path, set_=changes)
    return folder.reopen(path)


class _Outline(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.headings, self.attributes, self.tags = [], [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_a_run_leaves_a_report_with_every_section(run):
    text = run.report.read_text()
    outline = _Outline(text)
    assert outline.headings == [
        "Learning", "Settling", "Clipping", "Ledger", "Weights", "States", "Confusion matrix", "Provenance",
    ]  # fmt: skip
    assert text.count("<svg") == 7
    summary = json.loads(run.summary.read_text())
    assert f"{summary['test_accuracy']:.2%}" in text
    assert "block_1.energy.weight_0" in text


def test_a_report_loads_nothing_and_runs_its_own_script_alone(run):
    text = run.report.read_text()
    outline = _Outline(text)
    assert not outline.tags & {"link", "img", "iframe", "object"}
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (allowed,) = re.findall(r"script-src ([^;\"]*)", text)
    assert allowed == f"'sha256-{digest}'"
    script = script.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"fetch|XMLHttp|import|\beval|innerHTML|https?:", script)
    assert not any(name.startswith("on") for name, _ in outline.attributes)
    loading = [v for k, v in outline.attributes if k in ("src", "href", "xlink:href", "action", "data")]
    assert all(v.startswith(("#", "data:image/png;")) for v in loading)
    assert not re.search(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text


def test_texts_are_escaped(run):
    text = run.report.read_text()
    assert "a &lt;b&gt;tiny&lt;/b&gt; &amp; odd title" in text
    assert "<b>tiny" not in text


def test_a_report_can_be_written_again_and_is_the_same(run):
    before = run.report.read_bytes()
    write_report(run)
    assert run.report.read_bytes() == before


@pytest.mark.parametrize("missing", [["evaluation"], ["summary", "provenance"], ["metrics", "checkpoints"]])
def test_whatever_a_stopped_run_lacks_there_is_a_report(run, tmp_path, monkeypatch, missing):
    # what is there to draw differs, rendering does not and takes seconds
    monkeypatch.setattr(figures, "to_svg", lambda drawn: figures.Markup(f"<svg><!-- {len(drawn.axes)} axes --></svg>"))
    copy = shutil.copytree(run.path, tmp_path / "copy")
    for name in missing:
        part = getattr(folder.RunFolder(copy), name)
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    write_report(folder.RunFolder(copy))
    _Outline((copy / "report.html").read_text())


def test_a_run_that_never_made_a_step_has_a_report(tmp_path):
    started = folder.start(tmp_path / "new", experiment_file.load("digits"))
    write_report(started)
    assert "No step was completed" in started.report.read_text()


def test_losses_that_were_not_finite_leave_gaps(tmp_path):
    started = folder.start(tmp_path / "nan", experiment_file.load("digits"))
    records = [{"kind": "step", "step": n, "epoch": 0, "loss": None, "accuracy": 0.1, "lr": 0.1} for n in range(1, 4)]
    records.append({"kind": "epoch", "step": 3, "epoch": 1, "loss": None, "accuracy": 0.1, "test_loss": None})
    started.metrics.write_text("".join(json.dumps(r) + "\n" for r in records))
    write_report(started)
    _Outline(started.report.read_text())


def test_every_kind_of_part_is_rendered_and_empty_sections_are_left_out():
    drawing = Figure(
        figures.row([figures.Panel("a & b", figures.dots({"x": 0.999, "y<": 1.0}, "cosine", marks={"wanted": 0.99}))])
    )
    parts = [
        drawing,
        Table(["name", "verdict"], [["offset <1>", Badge("", "passed", "good")]], "caption"),
        Facts([("chip", "7 & 8")]),
        Text("a < b"),
        Fold("more", "{{ not a template }}"),
    ]
    text = render(Page("t", "s", [Badge("all", "ok", "good")], [Section("one", parts), Section("none", [])]))
    assert _Outline(text).headings == ["one"]
    for expected in ("offset &lt;1&gt;", "7 &amp; 8", "a &lt; b", "{{ not a template }}", "badge good"):
        assert expected in text


def test_long_series_are_drawn_as_binned_means_within_their_range():
    x = np.arange(100_000.0)
    y = np.sin(x / 7e3) + np.where(x % 2, 0.1, -0.1)
    y[500:900] = np.nan
    centre, mean, low, high = figures._binned(x, y)
    assert len(centre) == figures.POINTS
    assert np.isnan(mean[2])
    kept = ~np.isnan(mean)
    assert np.allclose(mean[kept], np.sin(centre[kept] / 7e3), atol=0.03)
    assert np.all(low[kept] <= mean[kept])
    assert np.all(mean[kept] <= high[kept])
    drawn = figures.row([figures.Panel("p", figures.lines([figures.Curve("c", x, y)], "x", "y", log=True))])
    assert len(drawn) < 100_000


def test_what_a_file_of_a_run_says_does_nothing_in_its_report():
    from hil.report.page import Facts, Fold, Page, Section, render

    evil = "\x1b[2J\u202e<script>"
    page = render(Page(evil, evil, [], [Section(evil, [Facts([(evil, evil)]), Fold(evil, f"{evil}\nnext line")])]))
    assert "\x1b" not in page and "\u202e" not in page and page.count("<script>") == 1  # its own
    assert page.count(r"\x1b[2J\u202e&lt;script&gt;") >= 6 and "\nnext line" in page


def test_a_folder_with_a_configuration_and_nothing_of_a_run_gets_no_report(tmp_path, capsys):
    (tmp_path / "config.toml").write_text('title = "settings of another program"\n')
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path)])
    assert ended.value.code == 2 and "holds no run: beside its config.toml there is neither" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]

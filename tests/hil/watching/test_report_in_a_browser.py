"""A report in a real browser: values under the pointer, a part of a drawing larger, sections open and close."""

import math

import pytest

from hil.report import figures
from hil.report.page import Badge, Figure, Page, Section, Table, Text, write

STEPS = list(range(1, 101))
LOSS = [2.0 * math.exp(-step / 30) + 0.01 for step in STEPS]


@pytest.fixture
def report(visit, tab, tmp_path):
    """`report(width, scheme)`: the page of a report; it asks nobody, and nothing fails."""
    drawings = [
        figures.Panel("Loss", figures.lines([figures.Curve("training", STEPS, LOSS)], "step", "loss", log=True)),
        figures.Panel("Answers", figures.matrix([[90, 10], [5, 95]], "answer", "true class")),
    ]
    sections = [Section("Learning", [Figure(figures.row(drawings))]), Section("More", [Text("something else")]),
                Section("Wide", [Table([f"a long column {n}" for n in range(30)], [["1"] * 30])])]  # fmt: skip
    write(tmp_path / "report.html", Page("A run", "somewhere", [Badge("run", "finished", "good")], sections))
    said = []

    def make(width=1100, scheme="light"):
        return visit((tmp_path / "report.html").as_uri(), ["file:"], width, scheme)

    def heard(words):
        if words.type == "error":
            said.append(words.text)

    tab.on("console", heard)
    yield make
    tab.remove_listener("console", heard)
    assert said == []


def pointer_at(shown, panel, x, y):
    """Where a value of a panel's axes is on the screen."""
    return shown.evaluate(
        """([panel, x, y]) => {
        const svg = document.querySelector("figure svg"), a = JSON.parse(svg.dataset.axes)[panel], [l, t, r, b] = a.box;
        const f = (axis, v) => {
          const s = w => axis[2] ? Math.log10(w) : w; return (s(v) - s(axis[0])) / (s(axis[1]) - s(axis[0])); };
        const p = new DOMPoint(l + f(a.x, x) * (r - l), b + f(a.y, y) * (t - b)).matrixTransform(svg.getScreenCTM());
        return [p.x, p.y]; }""",
        [panel, x, y],
    )


def test_the_value_under_the_pointer_is_said(report):
    shown = report()
    shown.mouse.move(*pointer_at(shown, 0, STEPS[49], LOSS[49]))
    words, _, value = shown.locator(".reading").inner_text().partition(": ")
    assert words == "training, step 50" and float(value) == pytest.approx(LOSS[49], rel=1e-3)
    shown.mouse.move(*pointer_at(shown, 1, 0, 1))
    assert shown.locator(".reading").inner_text() == "true class 1, answer 0: 0.05"  # the share that is drawn
    shown.mouse.move(2, 2)
    assert shown.locator(".reading").inner_text() == ""


def test_the_curve_is_drawn_where_its_values_are_said_to_be(report):
    """The drawing's own path, as the browser has it, ends where the last value is read."""
    shown = report()
    at = pointer_at(shown, 0, STEPS[-1], LOSS[-1])
    ends = shown.evaluate(
        """() => [...document.querySelectorAll("figure svg path")].filter(p => p.getTotalLength() > 100).map(p => {
        const e = p.getPointAtLength(p.getTotalLength()).matrixTransform(p.getScreenCTM()); return [e.x, e.y]; })"""
    )
    assert min(math.dist(at, end) for end in ends) < 1.5


def test_a_part_is_made_larger_and_the_whole_comes_back(report):
    shown = report()
    whole = shown.locator("figure svg").get_attribute("viewBox")
    start, end = pointer_at(shown, 0, 20, 1.0), pointer_at(shown, 0, 60, 0.1)
    shown.mouse.move(*start)
    shown.mouse.down()
    shown.mouse.move(*end)
    shown.mouse.up()
    part = [float(v) for v in shown.locator("figure svg").get_attribute("viewBox").split()]
    assert part[2] < 0.5 * float(whole.split()[2])
    shown.mouse.move(*pointer_at(shown, 0, STEPS[39], LOSS[39]))
    assert "step 40:" in shown.locator(".reading").inner_text()
    shown.get_by_role("button", name="whole drawing").click()
    assert shown.locator("figure svg").get_attribute("viewBox") == whole
    assert not shown.get_by_role("button", name="whole drawing").is_visible()


def test_sections_open_and_close(report):
    shown = report()
    words = shown.get_by_text("something else")
    assert words.is_visible()
    shown.locator("summary", has_text="More").click()
    assert not words.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_has_it_whole(report, scheme):
    shown = report(360, scheme)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = max(int(v) for v in paper.removeprefix("rgb(").removesuffix(")").split(",")) < 80
    assert dark is (scheme == "dark")

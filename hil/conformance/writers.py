"""Results of a conformance run as a table, HTML, JSON and JUnit XML."""

from __future__ import annotations

import json
from html import escape
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from rich.text import Text

from firmware_specs.printable import printable
from hil.conformance.check import Outcome
from hil.conformance.result import Conformance
from hil.outputs import MADE_BY, MAKER, PAGE_MARK, XML_MARK

MOST = 2000
"""Characters shown of what was seen."""
COLOUR = {"passed": "green", "failed": "red", "skipped": "yellow"}
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse}"
    "td,th{padding:.25em .7em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
    ".passed{color:#17692b}.failed{color:#b00020;font-weight:600}.skipped{color:#8a6d00}code{font-size:13px}"
)


def line(outcome: Outcome, number: int, total: int) -> Text:
    """One line a check, as it finishes; nothing of it is cut."""
    place = f"{outcome.check.section:<8} {outcome.check.level}"
    seen = f"  {printable(outcome.seen, MOST)}" if outcome.seen else ""
    return Text.assemble(
        f"{number:>3}/{total} ",
        (f"{outcome.verdict:<7}", COLOUR[outcome.verdict]),
        f" {outcome.check.name:<27} {place}{seen}".rstrip(),
    )


def html(result: Conformance) -> str:
    """A self-contained page."""
    return (
        f"<!doctype html><meta charset=utf-8>{PAGE_MARK}<title>Conformance of {escape(result.device)}</title>"
        f"<style>{_STYLE}</style>"
        f"<h1>Conformance</h1><p>{escape(result.identity)}</p>{result.to_html()}\n"
    )


def junit(result: Conformance) -> str:
    """JUnit XML; optional checks that failed count as skipped, as they do not fail the device."""
    required = [o for o in result.outcomes if o.verdict == "failed" and o.check.level == "required"]
    lenient = sum(o.verdict == "failed" for o in result.outcomes) - len(required)
    suite = Element(
        "testsuite",
        name="hil conform",
        tests=str(len(result.outcomes)),
        failures=str(len(required)),
        errors="0",
        skipped=str(result.count("skipped") + lenient),
        time=f"{sum(o.seconds for o in result.outcomes):.3f}",
    )
    for o in result.outcomes:
        group, _, name = o.check.name.partition(".")
        case = SubElement(suite, "testcase", classname=group, name=name, time=f"{o.seconds:.3f}")
        if o in required:
            SubElement(case, "failure", message=o.seen).text = f"Section {o.check.section}: {o.check.demand}"
        elif o.verdict != "passed":
            SubElement(case, "skipped", message=o.seen)
    indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + f"{XML_MARK}\n" + tostring(suite, encoding="unicode") + "\n"


def to_json(result: Conformance) -> str:
    """`Conformance.to_json` as text."""
    return json.dumps({MADE_BY: MAKER, **result.to_json()}, indent=2) + "\n"

"""A report says in its first line why the run ended, and where it comes from as a table."""

import re

from hil.report.origin import ending, parts
from hil.report.page import Facts, Page, Section, Table, Text, render


def test_the_end_is_said_with_its_error(scene):
    run = scene().steps(40)
    assert ending(run.folder).startswith("It has not ended")
    run.tripped()
    assert "failed: DeviceFault: tripped: OVER_TEMPERATURE, chip at 360 K" in ending(run.folder)
    run.log.write("session", from_step=40)
    assert ending(run.folder).startswith("It has not ended")
    run.ended()
    assert ending(run.folder).endswith("all epochs done")


def test_a_run_without_a_log_says_nothing(tmp_path):
    assert ending(tmp_path) == ""


def test_where_it_comes_from_is_a_table_of_every_session(tmp_path):
    counterpart = {"serial": "7", "limits": {"max_drive_a": "1 A"}, "datasheet": {"cells": {}}}
    session = {"started": "2026-11-29", "user": "ada", "code": {"version": "1", "modified": True}}
    session |= {"counterpart": counterpart}
    found = parts([session, session | {"from_step": 40}], tmp_path / "config.toml")
    facts = dict(next(part for part in found if isinstance(part, Facts)).pairs)
    assert facts["counterpart limits max drive a"] == "1 A" and facts["code modified"] == "True"
    assert not any("datasheet" in name for name in facts)
    table = next(part for part in found if isinstance(part, Table))
    assert len(table.rows) == 2 and table.rows[1][2] == "40"
    assert isinstance(parts([], tmp_path / "none")[0], Text)


def test_sections_open_and_close_dark_mode_is_there_and_nothing_is_loaded():
    page = render(Page("t", "s", [], [Section("One", [Text("x")]), Section("Empty", [])], "Stopped: <b>trip</b>"))
    assert "Stopped: &lt;b&gt;trip&lt;/b&gt;" in page and page.count("<details open>") == 1 and "Empty" not in page
    assert "prefers-color-scheme: dark" in page and not re.search(r'(src|href)="(?!#)', page)

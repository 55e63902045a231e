"""The table in docs/conformance.md is the suite's own; `python tests/docs/test_conformance_page.py` renews it."""

import re
from pathlib import Path

from hil.conformance.checks import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
MARK = "<!-- made by: python tests/docs/test_conformance_page.py -->\n"


def table():
    rows = [f"| `{c.name}` | {c.section} | {c.level} | {c.demand.replace('|', chr(92) + '|')} |\n" for c in CHECKS]
    return "| check | section | level | demand |\n|---|---|---|---|\n" + "".join(rows)


def test_the_page_lists_every_check_as_it_is():
    assert PAGE.read_text().partition(MARK)[2] == table()


def test_the_page_counts_the_checks():
    assert re.search(r"(\d+) checks", PAGE.read_text()).group(1) == str(len(CHECKS))


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + table())

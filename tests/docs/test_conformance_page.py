"""The tables in docs/how-to/conformance.md are the suites' own; run as a program this file renews them."""

import ast
import re
from pathlib import Path

from hil.conformance.suite import SCPI, SERIAL

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "conformance.md"
MARK = "<!-- made by: python tests/docs/test_conformance_page.py -->\n"


def table(suite):
    rows = [
        f"| `{c.name}` | {c.section} | {c.level} | {c.demand.replace('|', chr(92) + '|')} |\n" for c in suite.checks
    ]
    title = f"### {suite.text}: {len(suite.checks)} checks\n\n"
    return title + "| check | section | level | demand |\n|---|---|---|---|\n" + "".join(rows)


def tables():
    return table(SERIAL) + "\n" + table(SCPI)


def test_the_page_lists_every_check_as_it_is():
    assert PAGE.read_text().partition(MARK)[2] == tables()


def test_the_page_counts_the_checks():
    counts = re.findall(r"(\d+) checks", PAGE.read_text().partition(MARK)[0])
    assert counts == [str(len(SERIAL.checks)), str(len(SCPI.checks))]


def seeded(file):
    """How many defects a file of tests seeds."""
    tree = ast.parse((PAGE.parents[2] / file).read_text("utf-8"))
    made = {ast.unparse(a.targets[0]): a.value for a in tree.body if isinstance(a, ast.Assign)}
    return len(made["DEFECTS"].keys)


def test_the_page_counts_the_seeded_defects():
    sentence = PAGE.read_text("utf-8").partition("Seeded defects")[2].partition("\n\n")[0]
    said = re.findall(r"(\d+) of [^(]*\(([^)]*)\)", sentence)
    assert len(said) == 3
    for count, files in said:
        assert int(count) == sum(seeded(file) for file in re.findall(r"`(.*?)`", files))


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + tables())

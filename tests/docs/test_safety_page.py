"""Every promise of the safety page names the tests that show it, and they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = next((ROOT / "docs").rglob("safety.md"))
NAMED = re.compile(r"`((?:tests/)?[\w/]*test_[\w*]+\.py)`")
SAME = ("the same", "of devices the checks")


def test_every_promise_names_a_test_and_every_test_is_there():
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert [int(section.split(" ", 1)[0]) for section in sections] == list(range(1, 15))
    for section in sections:
        title, body = section.split("\n", 1)
        named = NAMED.findall(body)
        assert named, f"{title}: no test"
        for name in named:
            found = list(ROOT.glob(name)) if "/" in name else list((ROOT / "tests").rglob(name))
            assert found, f"{title}: {name} is not there"


def test_every_row_of_a_table_says_what_shows_it():
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ") and line.count("|") == 4]
    promises = [row for row in rows if "shown by" not in row and "what it may" not in row]
    shown = [row for row in promises if len(row.split("|")) == 5]
    assert len(shown) > 30
    for row in shown:
        last = row.split("|")[3].strip()
        counterpart_table = row.split("|")[1].strip() in {
            "a program of ours or yours", "a device", "a file (bench, experiment, run folder, data)",
            "a client of `hil emulate`, a second program",
        }  # fmt: skip
        assert counterpart_table or NAMED.search(last) or any(word in last for word in SAME), row

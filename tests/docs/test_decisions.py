"""Every decision has a number of its own, and says it."""

from collections import Counter
from pathlib import Path

DECISIONS = sorted((Path(__file__).parents[2] / "docs" / "decisions").glob("[0-9]*.md"))


def test_no_two_decisions_have_one_number():
    twice = [number for number, count in Counter(page.name[:4] for page in DECISIONS).items() if count > 1]
    assert DECISIONS and not twice


def test_a_decision_says_its_number():
    assert not [
        page.name for page in DECISIONS if not page.read_text(encoding="utf-8").startswith(f"# {page.name[:4]} ")
    ]

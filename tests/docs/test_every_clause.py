"""Nothing in the texts is without a check unless the page says so: every clause, every sentence with "shall"."""

import re
from importlib import resources
from pathlib import Path

import pytest

from hil.conformance.suite import SCPI, SERIAL

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "conformance.md").read_text()
TEXTS = {suite.text: (resources.files("firmware_specs") / suite.text).read_text() for suite in (SERIAL, SCPI)}


def table(heading):
    """Rows of the first table below a heading of the page."""
    below = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def without_check(text):
    """Clauses of a text that the page names as having no check; a file's name holds until the next one."""
    found, name = set(), ""
    for sections, *_ in table("What has no check"):
        for word in sections.replace(",", " ").split():
            name = word if word.endswith(".md") else name
            if name == text:
                found.add(word)
    return found


def clauses(text):
    """Numbers of its clauses: lines that begin with one, and headings."""
    return set(re.findall(r"^(?:#+ )?(\d+\.\d+)\b", TEXTS[text], re.MULTILINE))


@pytest.mark.parametrize("suite", [SERIAL, SCPI], ids=lambda suite: suite.text)
def test_every_clause_has_a_check_or_a_line(suite):
    checked = {section for check in suite.checks for section in re.findall(r"\d+\.\d+", check.section)}
    missing = clauses(suite.text) - checked - without_check(suite.text)
    assert not missing, f"{suite.text} {sorted(missing)}: neither a check nor a line in 'What has no check'"


def shalls(text):
    """Sentences that bind, without marks and with single blanks."""
    plain = " ".join(re.sub(r"[*`|]", "", TEXTS[text]).split())
    return [s.strip() for s in re.findall(r"[^.:;]*\bshall\b[^.:;]*", plain)]


def test_every_sentence_with_shall_has_a_check_or_a_reason():
    rows = {re.sub(r"[*`]", "", sentence): answer for _, sentence, answer in table("Every sentence with shall")}
    names = {check.name for suite in (SERIAL, SCPI) for check in suite.checks}
    sentences = [sentence for text in TEXTS for sentence in shalls(text)]
    assert len(sentences) >= 9
    for sentence in sentences:
        found = [answer for part, answer in rows.items() if part in sentence]
        assert found, f"no row for: {sentence}"
        cited = re.findall(r"`([a-z-]+\.[a-z-]+)`", found[0])
        assert set(cited) <= names, f"{set(cited) - names} are no checks"
        assert cited or len(found[0]) > 20, f"neither a check nor a reason: {sentence}"

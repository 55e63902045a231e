"""Times in a table say where they come from: processor, threads, date and command stand in the table's section."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = [page for page in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in page.parts]
PAGES = [ROOT / "README.md", ROOT / "benchmarks" / "NOTES.md", *DOCS]
TIME = re.compile(r"(?<![\w.])\d[\d,.]*\s?(?:ms|us|s|min|GFLOP/s|images/s|MB/s|steps/s)\b")
HEAD = re.compile(r"\btimes?\b|\bms\b|\bus\b|\bseconds\b|/s\b")
MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
ORIGIN = {
    "processor": re.compile(r"EPYC|Xeon|Ryzen|Core i\d|Apple M\d|x86-64|aarch64"),
    "threads": re.compile(r"\bthreads?\b"),
    "date": re.compile(rf"\b20\d\d-\d\d-\d\d\b|\b(?:{MONTH}) 20\d\d\b"),
    "command": re.compile(
        r"`[^`]*(?:python (?:-m|benchmarks/)|hil |make |pytest )[^`]*`|^(?:hil|make|python) ", re.MULTILINE
    ),
}
DEMANDS = {
    "safety.md": "| | holds against | shown by |",
    "bench.md": "| event | device | host | then |",
    "conformance.md": "| check | section | level | demand |",
    "rack.md": "| instrument | by its own means | what to do |",
    "chip-physics.md": "| wait, time constants |",
    "benchmark.md": "| task | sheet | rule |",
}
"""Tables whose times are asked for, or a chip's, and not a processor's."""


def timed(text):
    """Heads of the tables with times, each with its section."""
    bare = re.sub(
        r"(?ms)^```.*?^```", lambda fenced: re.sub(r"(?m)^#", " #", fenced.group()), text
    )  # comments are no heads
    for section in re.split(r"(?m)^(?=#+ )", bare):
        for table in re.findall(r"(?m)(?:^\|.*\n?)+", section):
            head, _, *rows = table.splitlines()
            if HEAD.search(head) or any(TIME.search(row) for row in rows):
                yield head, section


def unsaid(section):
    """What a section with times does not say of where they come from."""
    return [what for what, pattern in ORIGIN.items() if not pattern.search(section)]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_tables_of_times_name_processor_threads_date_and_command(page):
    found = {
        head: unsaid(section)
        for head, section in timed(page.read_text(encoding="utf-8"))
        if not head.startswith(DEMANDS.get(page.name, "\n"))
    }
    assert not {head: missing for head, missing in found.items() if missing}


SAID = "AMD EPYC, one thread, 2026-11-30, `python -m benchmarks`\n"


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ("AMD EPYC, ", "processor"),
        ("one thread, ", "threads"),
        ("2026-11-30, ", "date"),
        ("`python -m benchmarks`", "command"),
    ],
)
@pytest.mark.parametrize(
    "table", ["| step | CPU time |\n|---|---|\n| a | 3 |\n", "| step | found |\n|---|---|\n| a | 2.1 ms |\n"]
)
def test_a_table_that_leaves_one_of_them_out_is_found(without, missing, table):
    ((_, whole),) = timed(f"## Speed\n\n{SAID}\n{table}")
    ((_, part),) = timed(f"# Page\n\n{SAID}\n## Speed\n\n{SAID.replace(without, '')}\n{table}")
    assert (unsaid(whole), unsaid(part)) == ([], [missing])
    assert not list(timed("## Volts\n\n| step | found |\n|---|---|\n| a | 2.1 V |\n"))

"""Command tables, and that every instrument keeps what its table says."""

import math
import re
import tomllib
from pathlib import Path

import pytest

from emulator.circuits.laboratory import Laboratory
from emulator.instruments.core import ScpiInstrument
from firmware_specs.instruments import load_table, tables
from firmware_specs.labs import single
from firmware_specs.racks import model, models

ROOT = Path(__file__).parents[2]
KEPT_APART = ("keep.", "list.", "sweep.")
SCPI = [name for name in models() if isinstance(Laboratory(single(name, "open")).boxes["instrument"], ScpiInstrument)]


def box_of(model, dut="resistor:1e3"):
    laboratory = Laboratory(single(model, dut))
    feed = laboratory.feed("instrument")
    return laboratory.boxes["instrument"], lambda line: feed(line.encode() + b"\n").decode().rstrip("\n")


def commands_of(name):
    """Commands of a table that no included file brings unchanged."""
    included = tomllib.loads((ROOT / "firmware_specs" / "instruments" / f"{name}.toml").read_text("utf-8")).get(
        "include", []
    )
    shared = {command.header: command for other in included for command in load_table(other).commands}
    return [command for command in load_table(name).commands if shared.get(command.header) != command]


def short(header):
    """A header by its short forms, optional nodes out, suffixes left to their default."""
    out, depth = "", 0
    for char in header:
        depth += (char == "[") - (char == "]")
        if depth == 0 and char not in "]#" and not char.islower():
            out += char
    return out.lstrip(":")


def test_every_model_of_the_facts_has_a_virtual_instrument():
    assert len(models()) >= 25
    assert [name for name in models() if not model(name).twin] == []


@pytest.mark.parametrize("name", tables())
def test_every_row_names_a_source_and_its_default_fits_its_own_range(name):
    table = load_table(name)
    assert len(table.commands) >= 5
    for command in table.commands:
        words = command.source.replace(";", " ").replace(",", " ").replace(":", " ").replace("(", " ").split()
        assert any(word in table.sources for word in words), command
        if isinstance(command.reset, int | float) and not isinstance(command.reset, bool) and command.kind.unit:
            assert command.kind.low <= command.reset <= command.kind.high, command


def test_the_page_counts_what_is_from_memory():
    """Commands of each file, without those that it includes; `U` alone, and `U` beside another source."""
    every = whole = part = 0
    for name in [*tables(), "common-ieee"]:
        for command in commands_of(name):
            keys = {word for word in re.findall(r"[A-Z]+", command.source) if word in load_table(name).sources}
            every += 1
            whole += keys == {"U"}
            part += "U" in keys and keys != {"U"}
    page = (ROOT / "docs" / "how-to" / "virtual-laboratory.md").read_text("utf-8")
    assert f"{whole} of {every:,} commands whole; {part} more" in " ".join(page.split())


@pytest.mark.parametrize("model", SCPI)
def test_every_setting_takes_its_limits_and_reads_them_back(model):
    box, ask = box_of(model)
    tried = 0
    for command in box.table.commands:
        if not (command.sets and command.asks) or command.name in box.actions or "{" in command.header:
            continue
        kind, header = command.kind, short(command.header)
        if kind.name in ("real", "int") and command.name not in box.hooks and math.isfinite(kind.high):
            for value in (kind.low, kind.high):
                ask(f"{header} {value:.9g}")
                assert float(ask(f"{header}?")) == pytest.approx(value), header
        elif kind.name in ("word", "bool") and command.name not in box.hooks:
            for word in kind.words or ("ON", "OFF"):
                ask(f"{header} {word}")
                wanted = kind.words[word] if kind.words else str(int(word == "ON"))
                assert ask(f"{header}?") == wanted, header
        else:
            continue
        tried += 1
        assert list(box.queue) == [], header
    assert tried >= (0 if model.endswith("clock") else 10)


@pytest.mark.parametrize("model", SCPI)
def test_every_query_answers_or_says_why_not_and_never_is_silent(model):
    box, ask = box_of(model)
    for command in box.table.commands:
        if command.asks:
            answer = ask(f"{short(command.header)}?")
            assert answer or box.queue or command.name in ("trace.data", "wait"), command.header
            assert not any(code == -113 for code, _ in box.queue), command.header
            box.queue.clear()


@pytest.mark.parametrize("model", SCPI)
def test_what_is_in_no_table_is_an_undefined_header(model):
    box, ask = box_of(model)
    for line in ("NONSENSE", "SOUR:NONSENSE 1", "SENS:VOLT:NONSENSE?", "*NON?"):
        assert ask(line) == ""
        assert box.queue.pop()[0] == -113


@pytest.mark.parametrize("model", SCPI)
def test_reset_brings_every_default_back(model):
    box, ask = box_of(model)
    before = {
        c.header: ask(f"{short(c.header)}?") for c in box.table.commands if c.asks and c.sets and c.reset is not None
    }
    for command in box.table.commands:
        if command.sets and command.kind.name == "bool" and not command.name.startswith("keep."):
            ask(f"{short(command.header)} ON")
    ask("*RST")
    box.queue.clear()
    after = {header: ask(f"{short(header)}?") for header in before}
    assert after == before

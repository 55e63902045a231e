"""TOML that anybody may have written: texts that come again are not read again, and nobody changes another's."""

import pytest

from firmware_specs import documents
from firmware_specs.documents import DocumentError, parse_toml

TEXT = "day = 2026-12-01\nrows = [1, [2, {a = 3}]]\n[chip.cells]\ng_max_s = 1e-4\nname = 'x'\n"


def test_what_one_reader_changes_the_next_does_not_see():
    first = parse_toml(TEXT)
    expected = parse_toml(TEXT)
    first["rows"][1][1]["a"] = 4
    first["rows"][1].append(5)
    first["chip"]["cells"].clear()
    del first["day"]
    assert parse_toml(TEXT) == expected == documents.tomllib.loads(TEXT)


def test_a_text_that_comes_again_is_not_read_again(monkeypatch):
    parse_toml(TEXT)
    monkeypatch.setattr(documents.tomllib, "loads", lambda text: pytest.fail(f"read again: {text[:40]!r}"))
    assert parse_toml(TEXT)["chip"] == {"cells": {"g_max_s": 1e-4, "name": "x"}}


def test_a_refused_text_is_refused_each_time_and_a_long_one_is_not_kept():
    for _ in range(2):
        with pytest.raises(DocumentError, match="not TOML"):
            parse_toml("a = ")
    before = documents._kept.cache_info().misses
    assert parse_toml(f"a = '{'x' * documents.MOST_KEPT}'")["a"].endswith("xx")
    assert documents._kept.cache_info().misses == before

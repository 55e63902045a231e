"""A refused document is answered with the keys and names that are close to what it says."""

import pytest

from firmware_specs.datasheet import DatasheetError, load
from firmware_specs.racks.load import RackError, load_rack
from firmware_specs.refusals import no_such


def test_a_misspelled_key_of_a_datasheet_is_answered_with_the_close_one(tmp_path):
    sheet = tmp_path / "mine.toml"
    sheet.write_text("[cells]\ng_max = 1e-3\n")
    with pytest.raises(DatasheetError, match=r"cells.g_max: unknown key; did you mean g_max_s\?"):
        load(sheet)


def test_a_key_like_no_other_is_answered_with_all_there_are(tmp_path):
    sheet = tmp_path / "mine.toml"
    sheet.write_text("[fabric]\nzzz = 1\n")
    with pytest.raises(DatasheetError, match=r"fabric.zzz: unknown key; known: .*arrays.*substrate"):
        load(sheet)


def test_a_misspelled_name_is_answered_with_the_close_one():
    with pytest.raises(DatasheetError, match=r"mixed8bit: .*; did you mean mixed-8bit\?"):
        load("mixed8bit")
    with pytest.raises(RackError, match=r"bench-16: .*; did you mean bench-16x16\?"):
        load_rack("bench-16")


def test_of_a_path_only_what_is_wrong_with_it_is_said(tmp_path):
    missing = FileNotFoundError(2, "No such file or directory")
    assert no_such("datasheet", f"{tmp_path}/a.toml", ["ideal"], missing) == f"{tmp_path}/a.toml: {missing.strerror}"
    assert "looked in" in no_such("datasheet", "a.toml", ["ideal"], missing)

"""The headers of the firmware in C are those that the protocol's tables and the datasheet make."""

import re

import pytest

from firmware_specs.datasheet import Datasheet, load
from firmware_specs.firmware import board, codes


def test_the_committed_codes_are_fresh():
    assert codes.HEADER.read_text() == codes.text(), "python -m firmware_specs.firmware.codes"


def test_the_committed_board_is_fresh():
    made = board.text(load(board.FOLDER / "board.toml"), "board.toml")
    assert (board.FOLDER / "board.h").read_text() == made, "python -m firmware_specs.firmware.board"


def test_the_page_says_how_long_the_core_is():
    page = (board.FOLDER.parents[1] / "docs" / "tutorials" / "first-board.md").read_text()
    said = re.search(
        r"The core is ([\d,]+) lines .*\(([\d,]+) of code; ([\d,]+) of code with its headers", page
    ).groups()
    sources = sorted(board.FOLDER.glob("core/*.c"))
    headers = [path for path in board.FOLDER.glob("core/*.h") if path != codes.HEADER]
    found = [sum(len(path.read_text().splitlines()) for path in sources), code(sources), code(sources + headers)]
    assert found == pytest.approx([int(number.replace(",", "")) for number in said], rel=0.005)
    assert max(found) <= 1100


def code(paths):
    """Lines without those that are blank or comment alone."""
    texts = [re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL) for path in paths]
    return sum(bool(line.strip()) for text in texts for line in text.splitlines())


@pytest.mark.parametrize(("name", "why"), [("resistive-board", "resistive"), ("openmena-8x8-like", "multiplies")])
def test_a_datasheet_the_firmware_cannot_be_is_refused_with_a_reason(name, why):
    with pytest.raises(board.BoardError, match=why):
        board.text(load(name), name)


def test_words_of_a_datasheet_cannot_leave_their_string():
    plain = load(board.FOLDER / "board.toml").model_dump()
    plain["identity"] |= {"model": 'a"; evil\\\n#define X', "vendor": "Zürich"}
    made = board.text(Datasheet.model_validate(plain), "x")
    assert '#define BOARD_MODEL "a\\"; evil\\\\ #define X"' in made and "Z?rich" in made

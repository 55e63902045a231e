import pytest

from firmware_specs.printable import printable
from firmware_specs.registry import UnknownName, find
from firmware_specs.shown import Shown
from hil.measuring.estimate import Estimate

NASTY = [
    "\x1b[2J\x1b[31mgone",
    "\x1b]0;title\x07",
    "a\rb\nc\td\x00e\x7f",
    "\x9b31m",
    "\u202eabc\u202c",
    "\u2066x\u2069 \u200b\u200d\ufeff",
    "\u2028\u2029",
    "\ud800\udfff",
    "".join(map(chr, range(0x20))),
]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_a_terminal_obeys_is_left(text):
    shown = printable(f"before {text} after")
    assert shown.isprintable()
    assert shown.startswith("before ") and shown.endswith(" after")
    shown.encode()  # no half characters either


@pytest.mark.parametrize("text", ["", "plain", "Ωµ é 漢字 — ±5 %", "[/x] [bold]", "back\\slash"])
def test_what_can_be_read_stays_as_it_is(text):
    assert printable(text) == text


def test_it_is_spelled_so_that_a_person_sees_what_came():
    assert printable("\x1b[2J\n\u202e") == "\\x1b[2J\\n\\u202e"


def test_newlines_of_our_own_text_stay_where_asked():
    assert printable("one\ntwo\x1b", lines=True) == "one\ntwo\\x1b"


def test_bytes_that_are_no_text_are_shown():
    assert printable(b"\xff\xfeabc\x00") == "\\xff\\xfeabc\\x00"


@pytest.mark.parametrize("text", ["x" * 1_000_000, b"\xff" * 1_000_000])
def test_length_is_bounded(text):
    assert len(printable(text)) < 5000
    assert "more characters" in printable(text)


def test_a_notebook_is_shown_what_strangers_say_as_text():
    class Board(Shown):
        def facts(self):
            return {"serial \x1b]0;x\x07": "<b>\u202e</b>"}

    shown = Board()._repr_html_() + Estimate(1.0, 0.1, "<i>\x1b</i>")._repr_html_()
    assert shown.isprintable()
    assert "<b>" not in shown and "<i>" not in shown


@pytest.mark.parametrize("name", ["x" * 100_000, "\x1b[2J", "m" * 100_000 + ":Class"])
def test_a_name_that_nothing_answers_to_is_said_again_in_part(name):
    with pytest.raises(UnknownName) as refused:
        find("duts", name)
    assert len(str(refused.value)) < 1000 and str(refused.value).isprintable()

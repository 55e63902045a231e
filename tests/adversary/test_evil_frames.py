"""Every field of every reply of the serial protocol, replaced: an error of ours or a right result, and no third."""

import importlib.util
import random
from pathlib import Path

import pytest


def beside(name):
    spec = importlib.util.spec_from_file_location(f"adversary_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


board, host = beside("board"), beside("host")
HEADERS = {"version": (0, 2, 255), "kind": (0, 1, 3, 4, 5, 6, 7, 255), "opcode": (0, 0x7F, 255), "flags": (255, 0xF0),
           "session": (0, 1, 2**32 - 1), "sequence": (0, 2**31, 2**32 - 1), "part": (1, 65535), "parts": (0, 2, 65535),
           "length": (0, 1, 65535)}  # fmt: skip


def every_field():
    """All there is to spoil, as a sound dialogue shows it."""
    sound = board.PlainBoard()
    assert host.met(host.framed(sound)) is None
    return [(verb, n) for verb, fields in sorted(sound.fields_of.items()) for n in range(len(fields))]


def test_board_written_from_the_protocol_alone_is_served_by_the_driver():
    fields = every_field()
    assert len(fields) > 120 and len({verb for verb, _ in fields}) == 21


def attack(cases):
    return host.attack(cases, lambda case: host.framed(board.PlainBoard(evil=case)))


def test_evil_values_end_in_a_result_or_an_error_of_ours():
    cases = [
        board.Evil(verb, n, board.HOWS[(7 * at + k) % len(board.HOWS)])
        for at, (verb, n) in enumerate(every_field())
        for k in range(2)
    ]
    assert not attack(cases)


@pytest.mark.soak
def test_every_evil_value_in_every_field():
    cases = [board.Evil(verb, n, how) for verb, n in every_field() for how in board.HOWS]
    assert len(cases) > 2400
    bad = attack(cases)
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("name", HEADERS)
def test_evil_headers_end_in_an_error_of_ours(name):
    value = random.Random(name).choice(HEADERS[name])
    host.met(host.framed(board.PlainBoard(header={name: value})))


@pytest.mark.soak
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in HEADERS.items() for value in values])
def test_every_evil_header(name, value):
    host.met(host.framed(board.PlainBoard(header={name: value})))

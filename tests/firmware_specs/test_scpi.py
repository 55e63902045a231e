import contextlib
import itertools
import re
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs import scpi
from firmware_specs.scpi import Overrun, Parameters, ScpiError, Splitter, tree, units

TEXT = (resources.files("firmware_specs") / "SCPI.md").read_text()
payloads = st.binary(max_size=300) | st.sampled_from([b"\n" * 100, b"\0" * 100, b"\xff" * 100, b"#15;,\"'(", b'"'])


def test_the_text_holds_the_command_tree_and_the_error_codes():
    assert tree.table() in TEXT
    rows = re.findall(r"^\| (-\d+) \| ([\w .]+) \|", TEXT, re.MULTILINE)
    assert {int(code): words for code, words in rows} == {c: t for c, t in scpi.TEXTS.items() if c}


@pytest.mark.parametrize("header", ["SYSTem:ERRor:NEXT", "syst:err", "SYST:ERROR:next", "System1:Err"])
def test_long_and_short_forms_in_any_case_find_one_command(header):
    assert scpi.find(header).header == "SYSTem:ERRor[:NEXT]"


@pytest.mark.parametrize("header", ["SYSTE:ERR", "SYST", "ERR", "SYST:ERR:NEXT:MORE", "*IDN2X", ""])
def test_other_spellings_find_nothing(header):
    with pytest.raises(LookupError):
        scpi.find(header)


def test_a_header_suffix_other_than_one_is_out_of_range():
    with pytest.raises(ValueError):
        scpi.find("OUTP2:STAT")


def test_every_spelling_of_a_header_finds_its_command_and_no_other():
    for command in scpi.COMMANDS:
        nodes = re.findall(r"\[:(\w+)\]|:?([*\w]+)", command.header)
        short = [re.sub("[a-z]", "", optional or node) for optional, node in nodes]
        choices = [
            {(optional or node).upper(), letters, *([""] if optional else [])}
            for (optional, node), letters in zip(nodes, short, strict=True)
        ]
        for spelled in itertools.product(*choices):
            assert scpi.find(":".join(filter(None, spelled))) is command


@given(st.lists(payloads, min_size=1, max_size=3), st.integers(1, 50))
def test_blocks_pass_whole_whatever_their_bytes_and_the_portions(blocks, step):
    message = b"ARR:SETT? 1," + b",".join(scpi.block(data) for data in blocks) + b";*OPC?\r"
    stream, splitter, found = message + b"\n" + message + b"\n", Splitter(), []
    for at in range(0, len(stream), step):
        found += splitter.feed(stream[at : at + step])
    assert found == [message, message] and splitter.pending == 0
    settle, done = units(message)
    parameters = Parameters(settle.parameters)
    assert (settle.header, settle.query, parameters.integer()) == ("ARR:SETT", True, 1)
    assert [parameters.block() for _ in blocks] == blocks
    parameters.end()
    assert (done.header, done.query, done.parameters) == ("*OPC", True, ())


@given(st.binary(max_size=400), st.integers(1, 40))
def test_any_bytes_are_cut_with_bounded_memory_and_parsed_or_refused(data, step):
    splitter = Splitter(max_block=100)
    for at in range(0, len(data), step):
        for message in splitter.feed(data[at : at + step]):
            if isinstance(message, Overrun):
                continue
            try:
                for unit in units(message):
                    drain(Parameters(unit.parameters))
            except ValueError:
                pass
        assert splitter.pending <= 70_000


def drain(parameters):
    for kind in ("number", "string", "layers", "block", "boolean", "limit"):
        with contextlib.suppress(ScpiError):
            getattr(parameters, kind)()


def test_an_overlong_message_is_dropped_and_the_next_one_arrives():
    splitter = Splitter(max_block=1000)
    found = splitter.feed(b"A" * 70_000) + splitter.feed(b"A" * 70_000)
    assert found == [] and splitter.pending == 0
    first, second = splitter.feed(b"\n*IDN?\n")
    assert isinstance(first, Overrun) and second == b"*IDN?"


@pytest.mark.parametrize("step", [1, 7, 5000])
def test_a_block_beyond_the_limit_is_left_out_and_its_unit_refused(step):
    splitter, found = Splitter(max_block=1000), []
    stream = b"X #13abc,#42000" + b"\n" * 2000 + b",1;*OPC?\n*IDN?\n"
    for at in range(0, len(stream), step):
        found += splitter.feed(stream[at : at + step])
        assert splitter.pending < 100 + step
    assert found[1:] == [b"*IDN?"]
    bad, sound = units(found[0])
    assert (bad.header, sound.header) == ("X", "*OPC")
    parameters = Parameters(bad.parameters)
    assert parameters.block() == b"abc"
    with pytest.raises(ScpiError, match="2000 bytes") as refused:
        parameters.block()
    assert refused.value.code == -223 and parameters.integer() == 1


def test_a_block_that_is_left_out_may_end_with_the_link_s_own_end():
    splitter = Splitter(max_block=10)
    assert splitter.feed(b"*OPC?;X #215abc") == [] and splitter.end() == [b"*OPC?;X #!15"]
    assert splitter.feed(b"*IDN?\n") == [b"*IDN?"]


def test_blocks_of_one_message_share_the_limit():
    (message,) = Splitter(max_block=10).feed(b"X #16abcdef,#16ghijkl\n")
    assert message == b"X #16abcdef,#!6"


def test_an_indefinite_block_ends_with_the_message():
    (message,) = Splitter().feed(b"SYST:SNAP #0abc;,\r\n")
    assert Parameters(units(message)[0].parameters).block() == b"abc;,\r"
    splitter = Splitter()
    assert splitter.feed(b"SYST:SNAP #0abc") == [] and splitter.end() == [b"SYST:SNAP #0abc"]


def test_units_after_a_semicolon_start_at_the_parent_of_the_header_before():
    found = units(b"OUTP:PROT:WDOG 2;TRIP?;*OPC?;CLE;:OUTP ON;FORM:BORD?")
    assert [unit.header for unit in found] == [
        "OUTP:PROT:WDOG", "OUTP:PROT:TRIP", "*OPC", "OUTP:PROT:CLE", "OUTP", "FORM:BORD"]  # fmt: skip
    assert [unit.query for unit in found] == [False, True, True, False, False, True]


def test_separators_inside_strings_and_lists_separate_nothing():
    (unit,) = units(b'SYST:ECHO? "a;b,c""d#12", (@0,1) ,\'#3\'')
    parameters = Parameters(unit.parameters)
    assert (parameters.string(), parameters.layers(), parameters.string()) == ('a;b,c"d#12', (0, 1), "#3")
    assert Splitter().feed(b'SYST:ECHO? "#15"\n') == [b'SYST:ECHO? "#15"']


@pytest.mark.parametrize("message", [b'X "abc', b"X (@1", b"X #15ab", b"X #2", b"\xff\xfe? 1", b"a b:c;d-e"])
def test_messages_that_cannot_be_cut_are_refused(message):
    with pytest.raises(ValueError):
        units(message)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2", 2), ("-1.5", -1.5), (".5e-3", 5e-4), ("3 uA", 3e-6), ("3mV", 3e-3), ("300 K", 300), ("2KV", 2000),
     ("5 ms", 5e-3), ("4 MOHM", 4e6), ("2 MAOHM", 2e6), ("7 USIE", 7e-6), ("#H1F", 31), ("#B101", 5), ("#q17", 15)],
)  # fmt: skip
def test_numbers_take_units_and_multipliers(text, value):
    assert Parameters((text.encode(),)).number() == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("call", "raw", "code"),
    [
        (Parameters.number, b"abc", -104),
        (Parameters.number, b"1 XY", -131),
        (Parameters.number, b"1e999", -222),
        (Parameters.number, b"nan", -104),
        (Parameters.number, b"#HXY", -104),
        (Parameters.number, b"\xff", -101),
        (Parameters.integer, b"1.5", -104),
        (Parameters.integer, b"-1", -222),
        (Parameters.boolean, b"2", -222),
        (Parameters.layers, b"0,1", -104),
        (Parameters.layers, b"(@200)", -222),
        (Parameters.block, b"12", -161),
        (Parameters.block, b"#13abcd", -161),
        (lambda p: p.block(2), b"#13abc", -161),
        (lambda p: p.word("UP", "DOWN"), b"left", -224),
        (Parameters.string, b"'", -151),
        (Parameters.number, b"", -109),
    ],
)
def test_parameters_of_another_kind_are_refused_with_the_standard_code(call, raw, code):
    with pytest.raises(ScpiError) as refused:
        call(Parameters((raw,)))
    assert refused.value.code == code


def test_too_few_and_too_many_parameters_are_refused():
    with pytest.raises(ScpiError, match="-109"):
        Parameters(()).number()
    with pytest.raises(ScpiError, match="-108"):
        Parameters((b"1",)).end()


def test_the_error_queue_overflows_in_its_last_place():
    queue = scpi.ErrorQueue()
    for number in range(20):
        queue.put(-222, f'no "{number}"')
    assert len(queue) == 16 and queue.take() == "-222,\"Data out of range;no '0'\""
    assert queue.take_all().endswith('-350,"Queue overflow"') and queue.take() == '0,"No error"'


@pytest.mark.parametrize("swapped", [False, True])
def test_arrays_in_blocks_keep_their_byte_order(swapped):
    data = scpi.pack_array(np.array([1, 0x0A0B], "u2"), swapped=swapped)
    assert data == (b"#14\x01\x00\x0b\x0a" if swapped else b"#14\x00\x01\x0a\x0b")
    assert scpi.parse_array(data[3:], "u2", swapped=swapped).tolist() == [1, 0x0A0B]
    with pytest.raises(scpi.BlockError):
        scpi.parse_array(b"abc", "u2", swapped=swapped)


@given(st.binary(max_size=20))
def test_block_headers_parse_or_are_refused(data):
    with contextlib.suppress(scpi.BlockError):
        scpi.data_length(data[: scpi.header_length(data)])

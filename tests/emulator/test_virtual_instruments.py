"""Dialects of the virtual instruments, line by line, from the manuals' forms; nothing of the drivers is used."""

import struct

import pytest

from emulator.rack.rack import VirtualRack
from emulator.rack.serve import RackServer
from firmware_specs.racks import load_rack


@pytest.fixture
def bench():
    return VirtualRack(load_rack("bench-16x16"))


@pytest.fixture
def keithley():
    return VirtualRack(load_rack("keithley-8x8"))


@pytest.fixture
def keysight():
    return VirtualRack(load_rack("keysight-8x8"))


def ask(rack, box, line):
    return rack.feed(box)(line.encode() + b"\n")


def test_identities_are_the_makers_forms(bench, keithley, keysight):
    assert ask(bench, "smu1", "*IDN?") == b"Keithley Instruments Inc., Model 2636B, 1000001, 3.3.5\n"
    assert ask(keithley, "smu2", "*IDN?").startswith(b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1000001,")
    assert ask(keithley, "meter", "*IDN?") == b"KEITHLEY INSTRUMENTS,MODEL DAQ6510,1000001,1.7.12b\n"
    assert ask(keysight, "smu", "*IDN?").startswith(b"Keysight Technologies,B2902A,1000001,")


@pytest.mark.parametrize(
    ("rack", "box", "empty", "undefined"),
    [
        ("keithley-8x8", "smu2", b'0,"No error"\n', b'-113,"Undefined header"\n'),
        ("keithley-8x8", "smu1", b'0,"No error;0;0 0"\n', b'-113,"Undefined header;1;2026/01/01 00:00:00.000"\n'),
        ("keysight-8x8", "mainframe", b'+0,"No error"\n', b'-113,"Undefined header"\n'),
    ],
)
def test_error_queues_speak_their_box_s_dialect(rack, box, empty, undefined):
    virtual = VirtualRack(load_rack(rack))
    assert ask(virtual, box, "SYST:ERR?") == empty
    assert ask(virtual, box, ":NONSENSE 1") == b""
    assert ask(virtual, box, "*STB?") == b"4\n"
    assert ask(virtual, box, "SYST:ERR?") == undefined
    assert ask(virtual, box, "SYST:ERR?") == empty


def test_a_full_error_queue_ends_in_queue_overflow(keysight):
    for _ in range(22):
        ask(keysight, "mainframe", "BAD")
    entries = [ask(keysight, "mainframe", "SYST:ERR?") for _ in range(21)]
    assert entries[19] == b'-350,"Queue overflow"\n'
    assert entries[20] == b'+0,"No error"\n'


def test_tsp_error_queue_prints_code_text_severity_and_node(bench):
    assert ask(bench, "smu1", "print(errorqueue.count)") == b"0.00000e+00\n"
    assert ask(bench, "smu1", "smua.source.levelv=") == b""
    assert ask(bench, "smu1", "print(errorqueue.next())") == (
        b"-2.85000e+02\tTSP Syntax error at line 1: unexpected symbol near '<eof>'\t2.00000e+01\t1.00000e+00\n"
    )
    assert ask(bench, "smu1", "print(errorqueue.next())") == b"0.00000e+00\tQueue Is Empty\t0.00000e+00\t1.00000e+00\n"


def test_tsp_takes_several_statements_a_line_and_prints_tab_separated(bench):
    assert ask(bench, "smu1", "smua.source.levelv=0.1 smua.source.limiti=1e-4;smua.source.output=1") == b""
    assert ask(bench, "smu1", "print(smua.source.levelv, smua.source.limiti)") == b"1.00000e-01\t1.00000e-04\n"
    assert ask(bench, "smu1", "print(smua.nothing)") == b""
    assert ask(bench, "smu1", "print(errorqueue.count)") == b"1.00000e+00\n"


def test_a_tsp_box_that_waits_for_a_trigger_holds_what_comes_until_it_or_the_time_is_over(bench):
    ask(bench, "smu1", "function w() if not trigger.wait(wait_s) then late=1 end end")
    ask(bench, "smu1", "late=0 wait_s=900")
    assert ask(bench, "smu1", "w()\nprint(late)") == b""
    assert bench.patience_s() > 800
    assert ask(bench, "smu1", "*TRG") == b"0.00000e+00\n"
    assert bench.patience_s() is None
    assert ask(bench, "smu1", "*TRG\nw()\nprint(late)") == b"0.00000e+00\n"  # a trigger that came before counts
    assert ask(bench, "smu1", "trigger.clear() wait_s=0\nw()\nprint(late)") == b"1.00000e+00\n"
    assert ask(bench, "smu1", "print(errorqueue.count)") == b"0.00000e+00\n"


@pytest.mark.parametrize("line", ["function w()", "if not 1 then x=", "function w() x= end", "end", "x=1 end"])
def test_tsp_that_is_cut_short_is_a_syntax_error(bench, line):
    ask(bench, "smu1", line)
    assert ask(bench, "smu1", "print(errorqueue.next())").startswith(b"-2.85000e+02\tTSP Syntax error")


def test_707b_lists_closed_channels_with_semicolons_and_nil_for_none(bench):
    assert ask(bench, "matrix", 'print(channel.getclose("allslots"))') == b"nil\n"
    ask(bench, "matrix", 'channel.close("1A01,2D12")')
    assert ask(bench, "matrix", 'print(channel.getclose("allslots"))') == b"1A01;2D12\n"
    ask(bench, "matrix", 'channel.close("9Z99")')
    assert b"1.11400e+03" in ask(bench, "matrix", "print(errorqueue.next())")


def test_long_and_short_headers_and_chained_paths_mean_the_same(keysight):
    ask(keysight, "smu", ":SOURce1:VOLTage:LEVel 0.1;:sens1:curr:prot 5E-5;nplc 2")
    assert ask(keysight, "smu", ":SOUR1:VOLT?;:SENSE1:CURRENT:PROTECTION?;NPLC?") == (
        b"+1.000000000E-01;+5.000000000E-05;+2.000000000E+00\n"
    )
    ask(keysight, "smu", ":SOURC1:VOLT 1")
    assert ask(keysight, "smu", "SYST:ERR?") == b'-113,"Undefined header"\n'


@pytest.mark.parametrize(("order", "mark"), [("NORM", ">"), ("SWAP", "<")])
def test_keysight_blocks_are_definite_and_follow_the_byte_order(keysight, order, mark):
    for line in (":SENS1:CURR:PROT 1e-4", ":OUTP1 1", ":SOUR1:VOLT:MODE LIST", ":SOUR1:LIST:VOLT 0.1,0.2",
                 ":TRIG1:COUN 2", ":INIT (@1)", ":FORM REAL,64", f":FORM:BORD {order}"):  # fmt: skip
        ask(keysight, "smu", line)
    block = ask(keysight, "smu", ":FETC:ARR:CURR? (@1)")
    assert block[:4] == b"#216"
    assert len(block) == 4 + 16 + 1
    assert all(abs(value) < 1e-6 for value in struct.unpack(f"{mark}2d", block[4:20]))  # nothing is connected


def test_keithley_blocks_are_indefinite(bench):
    ask(bench, "smu1", "smua.source.output=1 smua.nvbuffer1.clear() smua.measure.i(smua.nvbuffer1)")
    ask(bench, "smu1", "format.data=format.REAL32 format.byteorder=format.LITTLEENDIAN")
    block = ask(bench, "smu1", "printbuffer(1,1,smua.nvbuffer1.readings)")
    assert block[:2] == b"#0"
    assert len(block) == 2 + 4 + 1


def test_34980a_scan_list_is_answered_as_a_block_of_text(bench):
    assert ask(bench, "mainframe", "ROUT:SCAN?") == b"#13(@)\n"
    ask(bench, "mainframe", "ROUT:SCAN (@6001:6003)")
    assert ask(bench, "mainframe", "ROUT:SCAN?") == b"#217(@6001,6002,6003)\n"


def test_a_reading_beyond_its_range_is_the_overflow_sentinel(keithley):
    for line in (":SOUR:VOLT:RANG 2", ":SENSE:CURRENT:PROTECTION 1e-3", ":SENSE:CURRENT:RANGE 1e-6", "OUTPUT 1"):
        ask(keithley, "smu2", line)
    ask(keithley, "matrix", 'channel.close("1B01,1D09")')  # row0 to the 2400, col0 to ground
    ask(keithley, "smu2", ":SOURCE:VOLTAGE 1.0")
    assert b"+9.900000E+37" in ask(keithley, "smu2", ":READ?")


def test_reading_with_the_output_off_is_an_error_not_a_value(keithley):
    assert ask(keithley, "smu2", ":READ?") == b""
    assert ask(keithley, "smu2", "SYST:ERR?") == b'803,"Not permitted with OUTPUT off"\n'


def test_integration_and_relays_cost_virtual_time_only(bench):
    begin = float(ask(bench, "clock", "TIME?"))
    ask(bench, "matrix", 'channel.close("1A01")')
    relay = float(ask(bench, "clock", "TIME?")) - begin
    ask(bench, "smu1", "smua.measure.nplc=10 smua.source.output=1 print(smua.measure.i())")
    reading = float(ask(bench, "clock", "TIME?")) - begin - relay
    assert relay == pytest.approx(3e-3 + 2e-4, abs=1e-6)
    assert reading == pytest.approx(10 / 50 + 5e-4 + 2e-4, abs=1e-6)
    assert ask(bench, "clock", "WAIT 2.5") == b"1\n"
    assert float(ask(bench, "clock", "TIME?")) - begin > 2.7


def test_a_line_may_arrive_byte_by_byte(keysight):
    feed = keysight.feed("mainframe")
    answers = [feed(bytes([byte])) for byte in b"*OPC?\n"]
    assert b"".join(answers) == b"1\n"
    assert answers[:-1] == [b""] * 5


def test_servers_listen_on_this_machine_only(bench):
    server = RackServer(bench)
    try:
        assert all(spec.address.startswith("TCPIP::127.0.0.1::") for spec in server.bench_rack().instruments.values())
    finally:
        server.stop()
        server.run()

import json

import numpy as np
import pytest

from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from firmware_specs import messages, scpi
from firmware_specs.codes import Opcode, State
from firmware_specs.datasheet import load
from firmware_specs.messages import Settle

TOPOLOGY = json.dumps({
    "layers": [{"shape": [4]}, {"shape": [3], "clamped": False}],
    "couplings": [{"kind": "dense", "pre": 0, "post": 1}],
}).encode()  # fmt: skip


@pytest.fixture
def scpi_link(machine):
    return ScpiEndpoint(machine, "scpi")


@pytest.fixture
def say(scpi_link):
    def saying(*message):
        parts = [m if isinstance(m, bytes) else m.encode() for m in message]
        return scpi_link.feed(b"".join(parts) + b"\n")

    return saying


@pytest.fixture
def on(say):
    say("FORM:BORD SWAP;:ARR:TOP 0,", scpi.block(TOPOLOGY), ";:OUTP:PROT:WDOG 2;:OUTP ON")
    assert say("SYST:ERR?;:OUTP?;:FORM:BORD?") == b'0,"No error";1;SWAP\n'
    return say


def data(reply):
    head = reply[: scpi.header_length(reply)]
    return reply[len(head) : len(head) + scpi.data_length(head)]


def test_the_usual_greeting(say):
    assert say("*IDN?") == b"crossbar-hil,mixed-8bit,seed-3,1.0.0\n"
    assert say("*ESR?;*ESR?") == b"128;0\n"
    assert say("*OPC?;*STB?;:SYST:VERS?;:syst:err:coun?") == b"1;0;1999.0;0\n"
    assert say("*CLS;*RST;*WAI") == b""
    assert say('SYSTEM:ECHO? "a ""b"" c"') == b'"a ""b"" c"\n'
    assert say("*TST?") == b"0\n"


def test_help_lists_every_command_and_every_command_has_a_handler(say):
    from emulator.scpi.endpoint import HANDLERS

    lines = data(say("SYST:HELP:HEAD?")).decode().splitlines()
    assert len(lines) == len(scpi.COMMANDS) == len(HANDLERS)
    assert ":ARRay:SETTle?/qonly/" in lines and "*CLS/nquery/" in lines


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("NONSENSE", "-113"),
        ("OUTP2 ON", "-114"),
        ("*IDN", "-113"),
        ("*CLS?", "-113"),
        ("OUTP", "-109"),
        ("OUTP ON,2", "-108"),
        ("OUTP PERHAPS", "-104"),
        ("OUTP ON", '-221,"Settings conflict;NO_WATCHDOG'),
        ("OUTP:PROT:WDOG 1000", "-224"),
        ("ARR:CELL:READ? 0,0,0,0,1,0,1", '-221,"Settings conflict;NOT_ARMED'),
        ("ARR:TOP? 0", '-221,"Settings conflict;NOT_CONFIGURED'),
        ("ARR:TOP 0,#15{bad}", "-224"),
        ("SYST:ERR? 5", "-108"),
        ('SYST:ECHO? "abc', "-102"),
        ("ARR:SETT:STAT?", "-221"),
    ],
)
def test_a_unit_that_fails_answers_nothing_and_leaves_its_error(say, device, message, error):
    assert say(message) == b""
    assert say("SYST:ERR?").decode().startswith(error)
    assert say("SYST:ERR?") == b'0,"No error"\n'
    assert not device.outputs.on and int(say("*ESR?")) & (32 | 16)


def test_what_a_device_has_no_hardware_for_is_missing_hardware():
    endpoint = ScpiEndpoint(Machine(Device(Chip(load("ideal")))), "scpi")
    assert endpoint.feed(b"ARR:CELL:PULS 0,0,0,0,1,0,1,UP,1,1e-6,1\n") == b""
    assert endpoint.feed(b"SYST:ERR?\n").startswith(b'-241,"Hardware missing;UNSUPPORTED')


def test_units_after_a_failed_one_are_executed(say):
    assert say("ARR:SETT:STAT?;:SYST:ERR:ALL?").startswith(b"-221")


def test_settle_answers_the_codes_that_frames_carry(on, machine, device):
    rng = np.random.default_rng(0)
    drive, nudge = rng.integers(0, 256, (2, 4), dtype="u1"), rng.integers(0, 256, (1, 2, 3), dtype="u1")
    snapshot = machine.execute(Opcode.SNAPSHOT, b"", "scpi")
    blocks = b",".join(scpi.block(a.tobytes()) for a in (drive, nudge))
    states, statistics = on("ARR:SETT? 0,2,1,1,0,(@1,0),", blocks, ";:ARR:SETT:STAT?").split(b";#")
    got = np.frombuffer(data(states), "u1")
    machine.execute(Opcode.DISARM, b"", "scpi")
    machine.execute(Opcode.RESTORE, snapshot, "scpi")
    machine.execute(Opcode.ARM, b"", "scpi")
    request = Settle(0, drive, (nudge[0],), layers=(1, 0))
    reply = messages.SettleReply.parse(machine.execute(Opcode.SETTLE, request.pack(), "scpi"))
    assert got.tolist() == np.concatenate([codes.ravel() for codes in reply.states]).tolist()
    figures = np.frombuffer(data(b"#" + statistics), "<f8")
    assert figures[:16].reshape(2, 2, 4)[..., 1].tolist() == reply.iterations.tolist()
    assert figures[16:].tolist() == reply.clipped.tolist()


def test_written_cells_read_back_in_both_byte_orders(on):
    codes = np.arange(15, dtype="u4") * 2**28
    assert on("ARR:CELL:WRIT? 0,0,0,0,0,0,5,0,3,", scpi.pack_array(codes, swapped=True)) == b"15,15,0\n"
    swapped = np.frombuffer(data(on("ARR:CELL:READ? 0,0,0,0,5,0,3")), "<u4")
    normal = np.frombuffer(data(on("FORM:BORD NORM;:ARR:CELL:READ? 0,0,0,0,5,0,3")), ">u4")
    assert swapped.tolist() == normal.tolist() and swapped.max() > 2**31
    usage = np.frombuffer(data(on("ARR:CELL:USAG? 0,0,0,0,5,0,3")), ">f8")
    assert usage.tolist() == [1.0] * 15 + [0.0] * 15
    amperes = np.frombuffer(data(on("ARR:CELL:MEAS? 0,0,0,4,1,2,1,2,100 mV,-0.1")), ">f8")
    assert amperes == pytest.approx([amperes[0]] * 2 + [-amperes[0]] * 2) and amperes[0] > 0


def test_listed_cells_come_with_a_block_of_positions(on):
    codes = scpi.pack_array(np.array([1, 2], "u4"), swapped=True)
    places = scpi.pack_array(np.array([3, 9], "u4"), swapped=True)
    assert on("ARR:CELL:WRIT? 0,0,0,0,0,0,5,0,3,", codes, ",", places) == b"2,2,0\n"
    assert on("ARR:CELL:WRIT 0,0,0,0,0,0,5,0,3,", codes) == b""
    assert on("SYST:ERR?").startswith(b"-161")


def test_limits_status_and_description_in_numbers(on):
    assert on("SOUR:LIM:ABS?") == b"0.00050000000000000001,0.20000000000000001,3,0.001,1000000,INF,358,INF\n"
    assert on("SOUR:LIM 1e-4,0.1,3,1 MS,10,INF,358,INF;:SYST:ERR?") == b'0,"No error"\n'
    assert float(on("SOUR:LIM?").split(b",")[0]) == 1e-4
    state, trip, watchdog = on("STAT:DEV?").split(b",")[:3]
    assert (state, trip, watchdog) == (b"1", b"0", b"2")
    assert on("DEV:FABR?") == b"0,8,8,32768,32769,32768\n"
    assert len(on("DEV:CONV?").split(b",")) == 24
    assert on("DEV:PAR?").startswith(b"1,1,2,10000,")


def test_writes_are_counted_so_that_none_is_repeated_blindly(on):
    before = int(on("SYST:TRAN?"))
    on("ARR:CELL:WRIT 0,0,0,0,0,0,1,0,1,#14\0\0\0\0")
    assert int(on("SYST:TRAN?")) == before + 1


def test_the_topology_reads_back_as_json(on):
    assert json.loads(data(on("ARR:TOP? 0")))["layers"][0]["shape"] == [4]


def test_every_message_feeds_the_watchdog_and_silence_trips(on, clock, device):
    for _ in range(4):
        clock.now += 1.5
        on("*OPC?")
    assert device.outputs.on
    clock.now += 2.1
    assert on("OUTP?;:OUTP:PROT:TRIP?") == b"0;1\n"
    assert on("OUTP ON;:SYST:ERR?").startswith(b"-221")
    on("OUTP:PROT:CLE;:OUTP ON")
    assert device.outputs.on


def test_a_link_that_closes_while_armed_trips(on, scpi_link, device):
    scpi_link.closed()
    assert device.outputs.state is State.TRIPPED


def test_messages_arrive_byte_by_byte_and_after_rubbish(scpi_link):
    replies = [scpi_link.feed(bytes([byte])) for byte in b"\x00\xff rubbish\n*OPC?\r\n"]
    assert b"".join(replies) == b"1\n"


def test_an_overlong_message_is_refused_and_the_next_is_served(say):
    assert say("X" * 70_000) == b""
    assert say("SYST:ERR?").startswith(b"-363")


def test_a_snapshot_travels_as_a_block(on, say):
    saved = on("SYST:SNAP?")
    assert on("OUTP OFF;:SYST:SNAP ", saved.rstrip(b"\n"), ";:SYST:ERR?") == b'0,"No error"\n'


def test_temperature_and_clock_of_the_emulated_chip(on):
    assert on("SYST:TEMP 310 K;:SYST:TEMP?;:SYST:WAIT? 3600") == b"310;3600\n"
    assert float(on("SYST:CLOC?")) >= 3600


PULSE = "ARR:CELL:PULS? 0,0,0,1,1,2,1,UP,1,1e-6,3"
MEASURE = "ARR:CELL:MEAS? 0,0,0,0,5,0,3,2,0.1"


def pulses_of(on):
    return int(np.frombuffer(data(on("ARR:CELL:USAG? 0,0,0,1,1,2,1")), "<f8")[0])


def test_a_numbered_message_is_done_once_and_answered_as_often_as_it_comes(on, scpi_link):
    message = f":SYST:SEQ 5;:{PULSE};:{MEASURE};:SYST:ERR:ALL?"
    on("ARR:CELL:WRIT 0,0,0,0,0,0,5,0,3,", scpi.block(np.full(15, 1 << 31, "<u4").tobytes()))
    first, before = on(message), int(on("SYST:TRAN?"))
    on("*CLS;:SYST:ECHO? 'a nonce'")
    scpi_link.clear()
    assert on(message) == on(message) == first and pulses_of(on) == 1 + 3 and int(on("SYST:TRAN?")) == before
    assert on("SYST:SEQ?") == b"5\n"
    assert on(message.replace("5", "6", 1)) != first and pulses_of(on) == 1 + 6


def test_another_message_under_a_number_that_is_kept_is_refused_and_does_nothing(on):
    first = on(f":SYST:SEQ 5;:{PULSE};:SYST:ERR:ALL?")
    said = on(f":SYST:SEQ 5;:{PULSE[:-1]}4;:{MEASURE};:SYST:ERR:ALL?")
    assert said.startswith(b'-221,"Settings conflict;CONFLICT: another message had number 5') and pulses_of(on) == 3
    assert on(f":SYST:SEQ 5;:{PULSE};:SYST:ERR:ALL?") == first and pulses_of(on) == 3


@pytest.mark.parametrize("number", ["0", "-1", "4294967296", "1.5", "NAN", ""])
def test_what_is_no_number_keeps_nothing(on, number):
    message = f":SYST:SEQ {number};:{PULSE};:SYST:ERR:ALL?"
    on(message)
    on(message)
    assert pulses_of(on) == 6 and on("SYST:SEQ?") == b"0\n"


def test_a_message_has_one_number_and_a_refusal_is_kept_as_any_reply(on):
    assert b"one number" in on(f":SYST:SEQ 7;:SYST:SEQ 8;:{PULSE};:SYST:ERR:ALL?") and on("SYST:SEQ?") == b"7\n"
    refused = on(":SYST:SEQ 9;:ARR:CELL:READ? 9,0,0,0,5,0,3;:SYST:ERR:ALL?")
    assert refused.startswith(b"-22") and on(":SYST:SEQ 9;:ARR:CELL:READ? 9,0,0,0,5,0,3;:SYST:ERR:ALL?") == refused
    assert on("SYST:ERR?") == b'0,"No error"\n'


def test_numbers_belong_to_a_link(on, machine):
    on(f":SYST:SEQ 5;:{PULSE}")
    other = ScpiEndpoint(machine, "other")
    assert other.feed(b"SYST:SEQ?\n") == b"0\n"

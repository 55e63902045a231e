"""The SCPI link against a scripted instrument, and the dialect over a wire that loses and delays messages."""

import itertools
import time
from collections import Counter

import numpy as np
import pytest

from drivers import scpi_dialect, scpi_link
from drivers.crossbar import Crossbar
from drivers.errors import Busy, DeviceFault, LinkError, LinkLost, LinkTimeout, ProtocolViolation
from drivers.loopback import Loopback
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.scpi_numbers import Numbers
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.faults import FaultPlan, Faulty, message_cutter
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.datasheet.coincidence import Coincidence
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.messages import (
    Coincide,
    Measure,
    Patch,
    Pulse,
    ReadCells,
    Region,
    Settle,
    Train,
    WriteCells,
)
from firmware_specs.scpi import block

NO_ERROR = b'0,"No error"\n'


class Script:
    """An instrument that repeats nonces, counts no acts, and answers the rest from a table."""

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.asked = []

    def feed(self, data):
        if b"ECHO?" in data:
            return data.rpartition(b" ")[2]
        question = data.removesuffix(b";:SYST:ERR:ALL?\n")
        self.asked.append(question)
        if question == b":SYST:TRAN?":
            return b"0;" + NO_ERROR
        if question == b":SYST:SEQ 0;SEQ?":
            return b'-113,"Undefined header"\n'  # as firmware of before there were numbers
        answer = self.answers.get(question, b"")
        return answer(self) if callable(answer) else answer


def link_to(script):
    link = ScpiLink(Loopback(script.feed, "scpi"))
    link.open(10.0)
    return link


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (b"1.5;" + NO_ERROR, [b"1.5"]),
        (NO_ERROR, []),
        (b'"a;b""c;";7;' + NO_ERROR, [b'"a;b""c;"', b"7"]),
        (b"#15\n;\n#1;" + NO_ERROR, [b"\n;\n#1"]),
        (b"#10;" + NO_ERROR, [b""]),
        (b"#3012" + b"\n" * 12 + b";#14" + b"\n" * 4 + b";" + NO_ERROR, [b"\n" * 12, b"\n" * 4]),
        (b"#49000" + b"\n" * 9000 + b";" + NO_ERROR, [b"\n" * 9000]),
        (b"#49000" + b"x" * 9000 + b";" + NO_ERROR, [b"x" * 9000]),
        (b"#0;" + NO_ERROR, [b""]),
        (b"#0abc\n\x00;#15;\n;" + NO_ERROR, [b"abc\n\x00;#15;\n"]),
        (b"#13abc;#0" + b"\n" * 9000 + b";" + NO_ERROR, [b"abc", b"\n" * 9000]),
    ],
)
def test_replies_are_told_apart_whatever_their_bytes(answer, parts):
    assert link_to(Script({b"Q?": answer})).ask(b"Q?", "asking", 30.0, answer_s=10.0) == parts


@pytest.mark.parametrize(
    ("errors", "kind", "expected"),
    [
        (b'-221,"Settings conflict;NOT_ARMED: outputs are off"\n', DeviceFault, "NOT_ARMED: outputs are off"),
        (b'-113,"Undefined header"\n', DeviceFault, "error -113"),
        (b'-200,"Execution error;BUSY: owned by pty"\n', Busy, "owned by pty"),
        (b'-222,"Data out of range;LIMIT: a ""b"" c"\n', DeviceFault, "LIMIT"),
    ],
)
def test_refusal_comes_with_the_message_that_caused_it(errors, kind, expected):
    link = link_to(Script({b"Q?": errors, b"R?": b"1;" + NO_ERROR}))
    with pytest.raises(kind, match=expected):
        link.ask(b"Q?", "asking", 1.0)
    assert link.ask(b"R?", "asking", 1.0) == [b"1"]


@pytest.mark.parametrize("answer", [b"hello\n", b"#2ab\n", b"#15abcde\n", b"#1xabc\n", b'1;-1,"x\n', b"#0abc\n"])
def test_answer_that_is_none_is_a_protocol_violation(answer):
    with pytest.raises((ProtocolViolation, LinkTimeout)):
        link_to(Script({b"Q?": answer})).ask(b"Q?", "asking", 0.05)


def test_rubbish_for_an_answer_is_asked_again_and_then_given_up():
    script = Script({b"Q?": lambda script: b"hello\n" if len(script.asked) < 4 else b"7;" + NO_ERROR})
    assert link_to(script).ask(b"Q?", "asking", 1.0) == [b"7"]
    script = Script({b"Q?": b"hello\n"})
    with pytest.raises(ProtocolViolation, match="does not end with the errors"):
        link_to(script).ask(b"Q?", "asking", 30.0)
    assert script.asked.count(b"Q?") == 3


class Patient(Loopback):
    """A wire that waits until the deadline of a read, as real ones do, by a clock that only waiting moves."""

    def __init__(self, clock, *loop):
        super().__init__(*loop)
        self.clock = clock

    def _fill(self, deadline):
        if not self._arrived:
            self.clock.sleep(deadline - self.clock.now_s)
        return super()._fill(deadline)


class Clock:
    def __init__(self, own_clock):
        self.now_s = 1000.0
        own_clock(lambda: self.now_s, self.sleep)

    def sleep(self, seconds):
        self.now_s += max(seconds, 1e-4)


@pytest.mark.parametrize("trouble", ["lost message", "lost message and nonces", "busy"])
def test_watchdog_is_fed_while_an_answer_is_waited_for(trouble, own_clock):
    heard, left, watchdog_s, clock = [], [], 0.6, Clock(own_clock)
    busy = b'-200,"Execution error;BUSY: 1000 ms, nothing was done"\n'

    class Numbered(Script):
        def feed(self, data):
            heard.append(time.monotonic())
            if data.startswith(b":SYST:SEQ 0;SEQ?"):
                return b"0;" + NO_ERROR
            if b"Q?" in data:
                left.append(data)
                if len(left) == 1:
                    return busy if trouble == "busy" else b""
                assert (left[1] == left[0]) is (trouble != "busy"), (
                    "repeated under its number, asked anew under another"
                )
                return b"7;" + NO_ERROR
            if (
                trouble == "lost message and nonces"
                and len(left) == 1
                and not self.asked.append(data)
                and len(self.asked) < 4
            ):
                return b""
            return super().feed(data)

    link = ScpiLink(Patient(clock, Numbered().feed, "scpi"))
    link.open(1.0)
    link.watched(watchdog_s)
    heard.clear()
    assert link.ask(b"Q?", "asking", 5.0, 1.3, once=True) == [b"7"]
    assert len(heard) > 2
    silent_s = max(after - before for before, after in itertools.pairwise(heard))
    assert silent_s < watchdog_s, "a device that never got the message counts that as silence"


def test_late_answer_is_never_taken_for_the_next_one():
    held = []

    def late(script):
        held.append(b"1111;" + NO_ERROR)
        return b""

    class Late(Script):
        def feed(self, data):
            answer = super().feed(data)
            if held and b"A?" not in data:
                answer = held.pop() + answer
            return answer

    script = Late({b"A?": late, b"B?": b"2222;" + NO_ERROR})
    link = link_to(script)
    with pytest.raises((LinkTimeout, LinkLost)):
        link.ask(b"A?", "asking A", 0.05)
    assert link.ask(b"B?", "asking B", 1.0) == [b"2222"]


def test_instrument_that_does_not_repeat_the_nonce_is_lost():
    with pytest.raises(LinkLost, match="nonce"):
        ScpiLink(Loopback(lambda data: b"12345\n")).open(0.05)


def pulsed_sheet(name="mixed-8bit"):
    sheet = load(name)
    limits = sheet.limits.model_copy(update={"max_pulses_per_cell": 10**9})
    able = {"pulses": Pulses(law="constant", step=1e-9), "coincidence": Coincidence(half_select=0.0)}
    return sheet.model_copy(update=able | {"limits": limits})


def open_instrument(plan, sheet="mixed-8bit"):
    device = Device(Chip(pulsed_sheet(sheet)))
    wire = Faulty(ScpiEndpoint(Machine(device), "bad wire"), device, FaultPlan(), message_cutter())
    # nothing waits on a loopback: only a host that gets no processor comes near its deadline, and then rightly gives up
    dialect = Scpi(ScpiLink(Loopback(wire.feed)), timeout_s=30.0)
    dialect.open(1.0)
    dialect.parameters()
    dialect.configure(0, dense_chain([4, 3]))
    dialect.set_watchdog(60.0)
    dialect.arm()
    wire.change(plan)
    return dialect, device, wire


def test_busy_instrument_is_asked_again_until_the_deadline():
    busy = b'-200,"Execution error;BUSY: 2 ms, nothing was done"\n'
    script = Script({b"Q?": lambda script: busy if len(script.asked) < 9 else b"7;" + NO_ERROR, b"R?": busy})
    link = link_to(script)
    assert link.ask(b"Q?", "asking", 1.0) == [b"7"]
    with pytest.raises(Busy, match="until its deadline"):
        link.ask(b"R?", "asking", 0.05)


@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "late_reply", "busy"])
@pytest.mark.parametrize("lines", [False, True], ids=["PULSe", "COINcide"])
def test_no_pulse_is_lost_or_doubled_when_messages_are(fault, lines):
    dialect, _, wire = open_instrument(FaultPlan({fault: 0.1}, seed=2))
    wanted, done, lost = Counter(), 0, 0
    draw = np.random.default_rng(0)
    while wire.struck.total() < 40:
        row, column = int(draw.integers(5)), int(draw.integers(3))
        try:
            if lines:
                bits = np.arange(5)[None] == row, np.arange(3)[None] == column
                train = Train(Region(0, 0, 0, 0, 5, 0, 3), True, *bits)
                dialect.coincide(Coincide(0, 1.0, 1e-6, (train,)), 0.0)
            else:
                dialect.pulse(Pulse(Region(0, 0, 0, row, 1, column, 1), True, 1.0, 1e-6, 1), 0.0)
            wanted[row, column] += 1
            done += 1
        except LinkError:
            lost += 1
            wire.change(FaultPlan())
            wanted = Counter(counts_of(dialect))
            wire.change(FaultPlan({fault: 0.1}, seed=done))
    wire.change(FaultPlan())
    assert Counter(counts_of(dialect)) == wanted
    assert done > 100 and lost == 0


def counts_of(dialect):
    pulses = dialect.usage(Region(0, 0, 0, 0, 5, 0, 3)).pulses
    return {(row, column): int(n) for (row, column), n in np.ndenumerate(pulses) if n}


def drawn(dialect, count=20):
    """Readings that each draw noise, and acts between them, as the driver hands them on."""
    found = []
    for number in range(count):
        region = Region(0, 0, 0, number % 5, 1, 0, 3)
        found.append(dialect.read_cells(ReadCells(region, 2), 0.0).codes.tolist())
        patch = Patch(region, np.full((1, 3), 1 << 31, np.uint32), None)
        found.append(dialect.write_cells(WriteCells(0, (patch,), 2, 0.01), 0.0))
        found.append(dialect.measure(Measure(region, np.array([0.1]), 2), 0.0).amperes.tolist())
        found.append(dialect.pulse(Pulse(region, True, 1.0, 1e-6, 2), 0.0))
        drive = np.full((2, 4), 60 + number, np.uint8)
        states = dialect.settle([Settle(0, drive, (), (0, 1), 1, 0.0, None)], [0.0])[0].states
        found.append([codes.tolist() for codes in states])
    return found


@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "late_reply", "truncation", "busy"])
def test_a_question_that_is_asked_again_gets_the_answer_it_had(fault, monkeypatch):
    """Two equal chips, one behind a bad wire: every reading, every pulse and every report of a write is the same."""
    monkeypatch.setattr(scpi_link, "NONCE_S", 0.01)
    monkeypatch.setattr(scpi_dialect, "ANSWER_S", 0.01)
    sound, _, _ = open_instrument(FaultPlan(), "reram")
    bad, _, wire = open_instrument(FaultPlan({fault: 0.2}, seed=4), "reram")
    assert drawn(bad) == drawn(sound)
    twice = [sound.read_cells(ReadCells(Region(0, 0, 0, 0, 5, 0, 3), 2), 0.0).codes.tolist() for _ in range(2)]
    assert twice[0] != twice[1], "nothing here draws noise"
    assert wire.struck[fault] > 15


def test_a_link_that_was_opened_anew_has_no_answer_kept_and_nothing_is_done_twice():
    machine = Machine(Device(Chip(pulsed_sheet())))
    ends = [ScpiEndpoint(machine, "first"), ScpiEndpoint(machine, "second")]
    losing = []

    def feed(data):
        if losing and b"PULS" in data:
            losing.pop()
            ends.pop(0).feed(data)  # done, and the link goes away with its answer
            return b""
        return ends[0].feed(data)

    sound, _, _ = open_instrument(FaultPlan())
    link = ScpiLink(Loopback(feed))
    link.open(3.0)
    setup = b":ARR:TOP 0,%b;:OUTP:PROT:WDOG 60;:OUTP ON" % block(sound.topology(0).model_dump_json().encode())
    link.ask(setup, "setting up", 3.0)
    losing.append(True)
    assert link.act(b":ARR:CELL:PULS? 0,0,0,1,1,2,1,UP,1,1e-6,7", "pulses", 3.0) is None
    assert len(ends) == 1 and int(machine.device.chip.usage(0, 0)[0].max()) == 7


def test_numbers_begin_again_after_the_largest():
    numbers = Numbers()
    assert numbers.fresh(b":X") == b":X"
    numbers.kept, numbers.last = True, 0xFFFFFFFE
    assert [numbers.fresh(b":X") for _ in range(2)] == [b":SYST:SEQ 4294967295;:X", b":SYST:SEQ 1;:X"]


@pytest.mark.parametrize("answer", [b"banana;" + NO_ERROR, b"1;" + NO_ERROR, b"0;0;" + NO_ERROR])
def test_an_instrument_that_says_something_else_about_numbers_is_not_believed(answer):
    class Odd(Script):
        def feed(self, data):
            return answer if b"SEQ" in data else super().feed(data)

    with pytest.raises(ProtocolViolation, match="SYSTem:SEQuence"):
        link_to(Odd())


def test_the_dialect_sends_no_longer_blocks_than_the_instrument_takes():
    device = Device(Chip(load("ideal"), seed=1), max_request=5000)
    dialect = Scpi(ScpiLink(Loopback(ScpiEndpoint(Machine(device), "door").feed, "scpi")))
    dialect.open(1.0)
    assert dialect.max_request == 5000 < dialect.max_reply


class OpenedAnew(Loopback):
    """A session that cannot be cleared: draining it opens another one, whose settings are those of a new link."""

    def __init__(self, machine):
        self.machine, self.sessions = machine, itertools.count(1)
        self.again()

    def again(self):
        super().__init__(ScpiEndpoint(self.machine, f"session {next(self.sessions)}").feed, "scpi")

    def drain(self, quiet_s, deadline):
        self.again()
        return super().drain(quiet_s, deadline)


def test_blocks_keep_their_byte_order_when_the_session_had_to_be_opened_anew():
    wire = OpenedAnew(Machine(Device(Chip(load("discrete-board"), 0))))
    with Crossbar(Session(Scpi(ScpiLink(wire)))) as crossbar:
        crossbar.configure(0, dense_chain([6, 4]))
        before = next(wire.sessions)
        crossbar.session.dialect.link._dirty = True  # as after an answer that never came
        crossbar.arm()
        assert next(wire.sessions) > before + 1
        low_s, high_s = crossbar.g_range_s
        wanted_s = np.random.default_rng(0).uniform(low_s, high_s, (2, 7, 4))
        crossbar.program(0, [wanted_s])
        np.testing.assert_allclose(crossbar.read_conductances(0, 0, reads=10), wanted_s, atol=0.05 * high_s)

"""What boxes answer, as people have seen it: read, or one sentence; and a late answer is never data."""

import re
import time

import pytest

from drivers import answers
from drivers.errors import DeviceError, ProtocolViolation
from drivers.instruments.boxes import scpi_errors, tsp_errors
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Allowed, Fence
from drivers.instruments.keithley707b import Keithley707B
from drivers.instruments.keithley2400 import Keithley2400
from drivers.instruments.keithley2450 import Keithley2450
from drivers.instruments.keithley2600 import Keithley2600
from drivers.instruments.keysight34980a import Keysight34980A
from drivers.instruments.keysight_b2900 import KeysightB2900
from drivers.instruments.lakeshore import LakeShore33x
from drivers.instruments.meters import KeithleyDAQ6510, Keysight34465A
from drivers.loopback import Loopback
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.visa import VisaSession

LINES = [  # what came, what it is
    (b"+1.5E-03\n", "+1.5E-03"),
    (b"+1.5E-03\r\n", "+1.5E-03"),
    (b"+1.5E-03\0\n", "+1.5E-03"),
    (b"\0+1.5E-03\0\0\r\n\0", "+1.5E-03"),
    (b"TSP>1.00000e+00\n", "1.00000e+00"),
    (b"TSP?\r\n", ""),
    (b"SCPI> 1\n", "1"),
    (b"34980A> 1,0\n", "1,0"),
    (b">>>>1\n", "1"),
    (b"\x111\x13\n", "1"),
    (b"KEITHLEY,2450,1,1.7\n", "KEITHLEY,2450,1,1.7"),
    (b"\xff\xfe\n", r"\xff\xfe"),
]


@pytest.mark.parametrize("row", LINES, ids=lambda row: repr(row[0]))
def test_a_line_is_what_is_left_without_ends_nuls_and_prompts(row):
    assert answers.line(row[0]) == row[1]


NUMBERS = [  # an answer, what reads it, the value or words of the refusal
    ("1", "whole", 1), ("+1", "whole", 1), ("1.0e+00", "whole", 1), ("1.00000e+00", "flag", True),
    ("ON", "flag", True), ("0", "flag", False), ("OFF", "flag", False), (" 2 ", "number", 2.0), ('"2"', "number", 2.0),
    ("9.9E37", "number", 9.9e37), ("1.5", "whole", "whole number"), ("9.91E37", "whole", "whole number"),
    ("NaN", "whole", "whole number"), ("2", "flag", "0 or 1"), ("nil", "flag", "0 or 1"),
    ("nil", "number", "no value here"), ("", "number", "no value here"), ("0,5", "number", "decimal point"),
    ("-1,25E-3", "number", "decimal point"), ("1_000", "number", "number is expected"),
    ("\u0661", "number", "number is expected"), ("ERROR", "number", "number is expected"),
]  # fmt: skip


@pytest.mark.parametrize("row", NUMBERS, ids=str)
def test_a_number_is_read_or_refused_with_box_question_and_answer(row):
    text, reader, wanted = row
    if not isinstance(wanted, str):
        assert getattr(answers, reader)(text, "READ?", "visa:X") == wanted
        return
    with pytest.raises(ProtocolViolation, match=wanted) as refused:
        getattr(answers, reader)(text, "READ?", "visa:X")
    assert "READ? was answered" in str(refused.value) and "visa:X" in str(refused.value)
    assert str(refused.value).isprintable()


class Box:
    """A stranger's box: a reply for each question that begins so; numbers count up, `odd` spoils lines.

    Attributes:
        asked: Questions for a reading so far; the reading number k is k / 1000.
    """

    def __init__(self, replies, reading, odd=lambda line: line, late=lambda box, line: line):
        self.replies, self.reading, self.odd, self.late = replies, reading, odd, late
        self.asked, self.rest = 0, b""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        return b"".join(self.line(line.decode()) for line in lines)

    def line(self, text):
        if self.reading in text:
            self.asked += 1
            said = self.replies[self.reading].format(k=self.asked / 1000.0)
            if tie := re.match(r"\*ESE (\d+);.*;\*ESE\?$", text):
                said += f";{tie[1]}"
            if tie := re.match(r"print\((\d+),", text):
                said = f"{float(tie[1]):.5e}\t{said}"
            return self.late(self, self.odd(said.encode() + b"\n"))
        for question, reply in self.replies.items():
            if question != self.reading and question in text:
                return self.late(self, reply.encode() + b"\n")
        return b""


def opened(channel):
    channel.source, channel.on = "volts", True
    return lambda: channel.measure().volts


def scanned(box):
    return lambda: box.scan(["1001", "1002"])[0]


BOXES = {  # how it is opened, the question for a reading, what it and others are answered with
    "34465A": (lambda d: Keysight34465A(d, "m").measure, "READ?", {"READ?": "{k:.6E}"}, "9.999"),
    "DAQ6510": (lambda d: KeithleyDAQ6510(d, "m").measure, ":READ?", {":READ?": "{k:.6E}"}, "9.999"),
    "2400": (
        lambda d: opened(Keithley2400(d, "s").channels["1"]), ":READ?", {":READ?": "{k:.6E},1E-6,9.91E37,1.0,0"},
        "9.999,1,1,1,0",
    ),
    "2450": (
        lambda d: opened(Keithley2450(d, "s").channels["1"]), ":READ?", {":READ?": "{k:.6E},1E-6", "TRIP?": "0"},
        "9.999,1",
    ),
    "2600": (
        lambda d: opened(Keithley2600(d, "s").channels["a"]), "measure.iv",
        {"measure.iv": "1.0e-06\t{k:.6e}\n0.00000e+00"}, "9.0\t9.999\n0.00000e+00",
    ),
    "B2900": (
        lambda d: opened(KeysightB2900(d, "s").channels["1"]), ":MEAS?", {":MEAS?": "{k:.6E},1E-6", "TRIP?": "0"},
        "9.999,1",
    ),
    "34980A": (
        lambda d: scanned(Keysight34980A(d, "x")), "READ?", {"READ?": "{k:.6E},0.5"}, "9.999,0.5",
    ),
    "335": (lambda d: LakeShore33x(d, "t").temperature, "KRDG?", {"KRDG?": "{k:+.4f}", "*OPC?": "1"}, "+9.9990"),
}  # fmt: skip


@pytest.fixture
def dialogue(wires):
    """`dialogue(box)`: over a real socket."""
    made = []

    def make(feed, **options):
        wire = VisaSession(f"TCPIP::127.0.0.1::{wires.tcp(feed, **options)}::SOCKET")
        made.append(wire)
        return Dialogue(wire, Fence("box", Allowed(0.2, 1e-4, 2.0, 1e-3)), timeout_s=0.4)

    yield make
    for wire in made:
        wire.close()


def replaced(old, new):
    return lambda line: line.replace(old, new, 1)


ODD = {  # what is odd about the line with the reading, words of the refusal; "" where it is read
    "as it should be": (lambda line: line, ""),
    "NULs at the end": (lambda line: line[:-1] + b"\0\0\n", ""),
    "a NUL behind the end": (lambda line: line + b"\0", ""),
    "CR LF": (lambda line: line.replace(b"\n", b"\r\n"), ""),
    "blanks": (lambda line: b"  " + line, ""),
    "a prompt before it": (lambda line: b"TSP>" + line, ""),
    "a prompt line before it": (lambda line: b"TSP>\n" + line, ""),
    "a field more": (lambda line: re.sub(rb"(,|\t|^)([^,\t;]+)(?=\n|;)", rb"\1\2,1", line, count=1), "answered"),
    "a decimal comma": (replaced(b".", b","), "answered"),
    "nil": (lambda line: re.sub(rb"[-+0-9.Ee]+", b"nil", line), "answered"),
    "an error text": (lambda _: b"Error: -113\n", ""),
    "bytes": (lambda _: b"\xff\xfe\xfd\n", ""),
    "empty": (lambda _: b"\n", ""),
}


@pytest.mark.parametrize("model", BOXES)
def test_odd_answers_are_read_or_refused_in_one_sentence(model, dialogue):
    make, reading, replies, _ = BOXES[model]
    for case, (odd, words) in ODD.items():
        box = Box(replies, reading, odd)
        measure = make(dialogue(box.feed))
        try:
            value = measure()
        except DeviceError as error:
            assert words in str(error) and str(error).isprintable() and len(str(error)) < 700, f"{case}: {error}"
            assert case not in list(ODD)[:7], f"{case}: {error}"
        else:
            assert value == pytest.approx(box.asked / 1000.0), case
            assert case in list(ODD)[:7], f"{case} was taken for {value}"


def with_it(stray):
    return lambda box, line: (stray + b"\n" + line) if box.asked == 2 else line


def before_it(stray):
    def late(box, line):
        box.held = line
        return stray + b"\n"

    return late


LATE = {  # when a stray line comes
    "with the answer": lambda stray: lambda box, line: stray + b"\n" + line if box.asked == 2 else line,
    "behind the answer": lambda stray: lambda box, line: line + stray + b"\n" if box.asked == 2 else line,
    "the answer comes twice": lambda _: lambda box, line: 2 * line if box.asked == 2 else line,
    "one late from here on": lambda stray: one_late(stray),
}


def one_late(stray):
    """Every answer is that of the question before."""
    held = []

    def late(box, line):
        held.append(line)
        return stray + b"\n" if len(held) == 1 else held[-2]

    return late


@pytest.mark.parametrize("when", LATE)
@pytest.mark.parametrize("model", BOXES)
def test_a_late_answer_is_found_and_never_becomes_data(model, when, dialogue):
    make, reading, replies, stray = BOXES[model]
    box = Box(replies, reading, late=LATE[when](stray.encode()))
    session = dialogue(box.feed)
    measure, found = make(session), []
    with pytest.raises(DeviceError) as error:
        for _ in range(4):
            time.sleep(0.005)  # what is behind an answer has come
            found.append((measure(), box.asked / 1000.0))
    assert all(value == pytest.approx(true) for value, true in found), found
    assert "9.999" not in [value for value, _ in found]
    assert str(error.value).isprintable()
    with pytest.raises(DeviceError):
        measure()


@pytest.mark.parametrize("late", [False, True])
def test_an_instrument_with_crossbar_verbs_that_answers_twice_is_brought_back_in_step(late, crossbar_box):
    device, sent = crossbar_box(), []

    def feed(data):
        out = device.feed(data)
        if b"SYST:TEMP?" in data:
            sent.append(out.replace(b"300.0", b"%d.0" % (300 + len(sent)), 1))
            return (sent[-2] if late and len(sent) > 1 else b"") + sent[-1] + (b"" if late else sent[-1])
        return out

    dialect = Scpi(ScpiLink(Loopback(feed)), 1.0)
    dialect.open(1.0)
    for _ in range(5):
        before = len(sent)
        assert dialect.temperature() in range(300 + before, 300 + len(sent)), "an answer of another question"


QUEUES = [  # what the error queue answers, codes that were found or words of the refusal
    (scpi_errors, ['0,"No error"'], 0),
    (scpi_errors, ['+0,"No error"'], 0),
    (scpi_errors, ['0.0e+00,"No error"'], 0),
    (scpi_errors, ['-113,"Undefined header"', "0, No Error"], 1),
    (scpi_errors, ["1.23E-4"], "SYST:ERR? was answered"),
    (scpi_errors, ["nil,x"], "SYST:ERR? was answered"),
    (tsp_errors, ["0.00000e+00"], 0),
    (tsp_errors, ["1", "-2.85e+02\tTSP Syntax error\t20\t1", "0"], 1),
    (tsp_errors, ["nil"], "errorqueue.count"),
    (tsp_errors, ["1.0", "nothing"], "errorqueue.next"),
]


@pytest.mark.parametrize("row", QUEUES, ids=lambda row: f"{row[0].__name__}: {row[1]}")
def test_error_queues_of_all_makers_are_emptied_or_refused(row, dialogue):
    drain, said, wanted = row
    replies = iter(said)
    session = dialogue(lambda data: next(replies).encode() + b"\0\n" if b"?" in data or b"print" in data else b"")
    if isinstance(wanted, int):
        assert len(drain(session)) == wanted
    else:
        with pytest.raises(ProtocolViolation, match=re.escape(wanted)):
            drain(session)


RELAYS = [
    ("nil", set()),
    ("1A01;1A02", {"1A01", "1A02"}),
    ("1A01;", {"1A01"}),
    ("", None),
    ("1.0e+00", None),
    ("x y", None),
]


@pytest.mark.parametrize("row", RELAYS, ids=lambda row: str(row[0]))
def test_closed_relays_are_read_or_refused(row, dialogue):
    said, wanted = row
    matrix = Keithley707B(dialogue(lambda data: said.encode() + b"\n"), "m")
    if wanted is None:
        with pytest.raises(ProtocolViolation, match="channels like 2A01"):
            matrix.closed()
    else:
        assert matrix.closed() == wanted


STATES = [("1,0", {"1001"}), ("1.0E+00,0", {"1001"}), ("1", None), ("1,0,0", None), ("1,nil", None), ("1,2", None)]


@pytest.mark.parametrize("row", STATES, ids=lambda row: str(row[0]))
def test_relay_states_are_counted_and_read(row, dialogue):
    said, wanted = row
    box = Keysight34980A(
        dialogue(lambda data: said.encode() + b"\n" if b"CLOS?" in data else b"1\n" if b"OPC" in data else b""), "x"
    )
    box.close_channels(["1001", "1002"])
    if wanted is None:
        with pytest.raises(ProtocolViolation, match=r"ROUT:CLOS\? was answered"):
            box.closed()
    else:
        assert box.closed() == wanted


def test_what_waits_before_the_first_question_is_no_answer(dialogue):
    session = dialogue(lambda data: b"1.5\n", greeting=b"Welcome to the box\r\nSCPI> ")
    time.sleep(0.05)
    assert session.ask("READ?") == "1.5"


BAD_BOXES = {
    "nil to everything": lambda data: b"nil\n",
    "NULs": lambda data: b"\0\0\0\n",
    "numbers": lambda data: b"1.0e+00\n",
    "silence": lambda data: b"",
}


@pytest.mark.parametrize("case", BAD_BOXES)
def test_conform_leaves_its_files_whatever_a_box_answers(case, wires, hil, tmp_path):
    address = f"visa:TCPIP::127.0.0.1::{wires.tcp(BAD_BOXES[case])}::SOCKET"
    wanted = [part for kind in ("json", "html", "junit") for part in (f"--{kind}", tmp_path / f"r.{kind}")]
    found = hil("conform", "--device", address, "--only", "identity", "--patience", 0.1, *wanted)
    assert found.code in (1, 3), found.said
    assert all((tmp_path / f"r.{kind}").stat().st_size for kind in ("json", "html", "junit")), found.said

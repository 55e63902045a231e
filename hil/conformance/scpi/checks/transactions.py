"""Once and only once, and recovery after whatever went wrong (SCPI.md sections 3.3, 4 and 5.4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from firmware_specs.codes import Capability
from firmware_specs.scpi import block
from hil.conformance.check import Check
from hil.conformance.checks.pulses import ready
from hil.conformance.conversation import demand
from hil.conformance.scpi.subject import ScpiSubject

NONCE = "20931"


def _count(subject: ScpiSubject) -> int:
    return int(subject.talk.number("SYST:TRAN?"))


def _pulse(subject: ScpiSubject, sign: str, count: int) -> str:
    volts, seconds = subject.pulse_shape()
    shape = f"{volts:.9g},{seconds:.9g}"
    return f"ARR:CELL:PULS{sign} {subject.place},UP,{shape},{count}"


def _counted(subject: ScpiSubject) -> None:
    subject.needs(Capability.WRITE, Capability.READ)
    subject.prepare()
    before = _count(subject)
    subject.write({0: 0.5})
    demand(_count(subject) == before + 1, f"a write counts {_count(subject) - before}, expected 1")
    subject.read_levels(subject.region())
    subject.talk.ask("*IDN?")
    demand(_count(subject) == before + 1, "a verb that changes nothing is counted")
    subject.talk.send(f"ARR:CELL:WRIT 0,0,0,{subject.place[2:]},".encode() + block(b""))
    subject.talk.errors()
    demand(_count(subject) == before + 1, "a write that was refused is counted")


def _pulses_counted(subject: ScpiSubject) -> None:
    ready(subject)
    before, used = _count(subject), subject.usage(subject.region()).pulses.astype(np.int64)
    subject.talk.accepted(_pulse(subject, "", 2))
    subject.talk.ask(_pulse(subject, "?", 1))
    grown = subject.usage(subject.region()).pulses - used
    demand(bool((grown == 3).all()), f"2 pulses as a command and 1 as a query gave {grown.min()} .. {grown.max()}")
    demand(_count(subject) == before + 2, f"two pulse messages count {_count(subject) - before}")


def _armed_counted(subject: ScpiSubject) -> None:
    """A write, two readings of which one is sent again under its number, and what must not count."""
    subject.needs(Capability.WRITE, Capability.READ)
    subject.prepare()
    question = "SYST:TRAN:ARM?"
    before = int(subject.talk.number(question))
    subject.write({0: 0.5})
    subject.read_levels(subject.region())
    numbered = f"SYST:SEQ 45;:ARR:CELL:READ? {subject.place}"
    for _ in range(2):
        subject.talk.block(numbered)
    subject.talk.ask("*IDN?")
    subject.talk.send(f"ARR:CELL:WRIT 0,0,0,{subject.place[2:]},".encode() + block(b""))
    subject.talk.errors()
    grown = int(subject.talk.number(question)) - before
    said = "1 write, 2 readings, 1 repeated under its number, a refused write and an identification"
    demand(grown == 3, f"{said} count {grown}, expected 3")


def _reply_lost(subject: ScpiSubject) -> None:
    """As a host sees it whose reply was lost: device clear, nonce, and the count says that nothing need be repeated."""
    ready(subject)
    before, used = _count(subject), subject.usage(subject.region()).pulses.astype(np.int64)
    subject.talk.send(_pulse(subject, "?", 1))
    subject.device_clear()
    answer = subject.talk.echoed(NONCE)
    demand(answer == NONCE, f"after a device clear the nonce came back as {answer!r}: an older reply is still there")
    grown = subject.usage(subject.region()).pulses - used
    counted = _count(subject) - before
    demand(bool((grown == counted).all()), f"{counted} acts are counted, cells took {grown.min()} .. {grown.max()}")


def _numbered(subject: ScpiSubject) -> None:
    """As a host does that missed the answer: a nonce first, then the same message again."""
    ready(subject)
    subject.talk.accepted("SYST:SEQ 0")
    used = subject.usage(subject.region()).pulses.astype(np.int64)
    message = f"SYST:SEQ 41;:{_pulse(subject, '?', 1)}"
    first = subject.talk.ask(message)
    subject.talk.ask(f'SYST:ECHO? "{NONCE}"')
    again = subject.talk.ask(message)
    grown = subject.usage(subject.region()).pulses - used
    demand(bool((grown == 1).all()), f"a numbered pulse that came twice gave {grown.min()} .. {grown.max()} pulses")
    demand(again == first, f"a numbered message was answered {first!r}, and {again!r} when it came again")
    kept = subject.talk.ask("SYST:SEQ?")
    demand(kept == "41", f"SYSTem:SEQuence? is {kept} after a message of number 41")
    subject.talk.ask(message.replace("41", "42", 1))
    grown = subject.usage(subject.region()).pulses - used
    demand(bool((grown == 2).all()), f"a new number is a new message: pulses grew by {grown.min()} .. {grown.max()}")


def _number_taken(subject: ScpiSubject) -> None:
    ready(subject)
    subject.talk.accepted("SYST:SEQ 0")
    used = subject.usage(subject.region()).pulses.astype(np.int64)
    subject.talk.ask(f"SYST:SEQ 43;:{_pulse(subject, '?', 1)}")
    words = subject.talk.refused(f"SYST:SEQ 43;:{_pulse(subject, '', 2)}", -221)
    demand("CONFLICT" in words, f"another message under a kept number was refused with {words!r}, not CONFLICT")
    grown = subject.usage(subject.region()).pulses - used
    demand(bool((grown == 1).all()), f"another message under a kept number was done: {grown.min()} .. {grown.max()}")


def _refusal_kept(subject: ScpiSubject) -> None:
    subject.talk.accepted("SYST:SEQ 0")
    message = "SYST:SEQ 44;:ARR:TOP? 65535;:SYST:ERR:ALL?"
    first, again = subject.talk.ask(message), subject.talk.ask(message)
    demand(first[:1] == "-" and again == first, f"a numbered refusal was {first!r}, and {again!r} when it came again")
    demand(not subject.talk.errors(), "a refusal that was sent again is in the error queue, too")


def _wait_once(subject: ScpiSubject) -> None:
    subject.needs(Capability.VIRTUAL_CLOCK)
    before, started = _count(subject), subject.talk.number("SYST:CLOC?")
    subject.talk.number("SYST:WAIT? 3600")
    passed = subject.talk.number("SYST:CLOC?") - started
    demand(3600 <= passed < 3700, f"SYSTem:WAIT of 3600 s moved the clock by {passed:.0f} s")
    demand(_count(subject) == before + 1, "SYSTem:WAIT is not counted")


def _nonce(subject: ScpiSubject) -> None:
    for text in ("7", "a b,c", "it's", 'say ""so""'):
        answer = subject.talk.ask(f'SYST:ECHO? "{text}"')
        demand(answer == f'"{text}"', f'SYSTem:ECHO? "{text}" answered {answer}')


def _statistics(subject: ScpiSubject) -> None:
    subject.needs(Capability.SETTLE)
    topology = subject.prepare()
    if subject.fabric.resistive:
        subject.write_all(0.5)
    batch, units = 2, int(np.prod(topology.drive_shape))
    codes = subject.drive_codes(np.zeros((batch, units)))
    head = f"ARR:SETT? 0,{batch},0,1,0,(@0),".encode()
    data = codes.tobytes()
    subject.talk.send(head + block(data))
    subject.talk.take_block("ARRay:SETTle?")
    found = np.frombuffer(subject.talk.block("ARR:SETT:STAT?"), "<f8")
    demand(
        found.size == 4 * batch + batch, f"{found.size} reals about a settle of {batch} samples, expected {5 * batch}"
    )
    settled = found[: 4 * batch].reshape(batch, 4)[:, 0]
    demand(bool(np.isin(settled, (0, 1)).all()), f"settled flags {settled}")


def _recovers(name: str, fault: Callable[[ScpiSubject], None]) -> Callable[[ScpiSubject], None]:
    def run(subject: ScpiSubject) -> None:
        fault(subject)
        subject.device_clear()
        answer = subject.talk.echoed(NONCE)
        demand(answer == NONCE, f"after {name} and a device clear the nonce came back as {answer!r}")
        subject.talk.errors()
        demand(subject.talk.ask("*OPC?") == "1", f"after {name} *OPC? is not answered")
        demand(not subject.talk.errors(), f"after {name} a sound message leaves an error")

    return run


def _half_a_message(subject: ScpiSubject) -> None:
    subject.talk.send_raw(b"SYST:ECHO? " if subject.talk.stream else b"SYST:ECHO? \n")


def _open_string(subject: ScpiSubject) -> None:
    subject.talk.send('SYST:ECHO? "abc')


def _noise(subject: ScpiSubject) -> None:
    subject.talk.send_raw(bytes(range(1, 32)).replace(b"\n", b"") + bytes(range(128, 256)) + b"\n")


def _bad_block(subject: ScpiSubject) -> None:
    subject.talk.send(b"ARR:TOP 0,#2x7{}")


def _unread_reply(subject: ScpiSubject) -> None:
    subject.talk.send("*IDN?")


CHECKS = (
    Check("transactions.counted", "4.1", "the count grows by one with every write, by none with reads", _counted),
    Check("transactions.armed", "4.4", "armed verbs are counted, once each, refused ones are not", _armed_counted),
    Check("transactions.pulses", "4.1", "pulses are done once, as command and as query, and counted", _pulses_counted),
    Check("transactions.reply-lost", "4.1", "after a lost reply the count says whether pulses were done", _reply_lost),
    Check("transactions.numbered", "4.3", "a numbered message that comes again is answered, and not done", _numbered),
    Check("transactions.number-taken", "4.3", "another message under a kept number is refused", _number_taken),
    Check("transactions.refusal-kept", "4.3", "a refusal in a numbered message is sent again", _refusal_kept),
    Check("transactions.wait", "4.1", "SYSTem:WAIT moves the clock once and is counted", _wait_once),
    Check("transactions.nonce", "4.1", "SYSTem:ECHO? answers the same string", _nonce),
    Check("settle.statistics", "5.4", "the figures of the last settle have their shape", _statistics),
    Check(
        "recovery.half-a-message", "4.1", "half a message is forgotten", _recovers("half a message", _half_a_message)
    ),
    Check(
        "recovery.open-string",
        "3.3",
        "a string that does not end is dropped",
        _recovers("an open string", _open_string),
    ),
    Check("recovery.noise", "3.3", "bytes that are no message do no harm", _recovers("noise", _noise)),
    Check(
        "recovery.bad-block", "3.3", "a block header that is none does no harm", _recovers("a bad block", _bad_block)
    ),
    Check(
        "recovery.unread-reply",
        "4.1",
        "a reply that nobody read is cleared",
        _recovers("an unread reply", _unread_reply),
    ),
)

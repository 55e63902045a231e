"""Common commands and status registers of IEEE 488.2 (SCPI.md sections 3.1, 3.4 and 5.6)."""

from __future__ import annotations

from firmware_specs.codes import Capability
from hil.conformance.check import Check
from hil.conformance.conversation import Skipped, demand
from hil.conformance.scpi.subject import ScpiSubject

COMPLETE, EXECUTION, COMMAND, POWER_ON = 1, 16, 32, 128
QUEUE, SUMMARY, SERVICE = 4, 32, 64


def _register(subject: ScpiSubject, query: str) -> int:
    value = subject.talk.number(query)
    demand(value == int(value) and 0 <= value < 256, f"{query} answered {value}, a byte was expected")
    return int(value)


def _identity(subject: ScpiSubject) -> None:
    fields = [field.strip() for field in subject.talk.fields("*IDN?")]
    demand(len(fields) == 4 and all(fields), f"*IDN? answered {fields}, expected vendor,model,serial,firmware")
    again = [field.strip() for field in subject.talk.fields("*IDN?")]
    demand(fields == again, f"*IDN? answered {fields}, then {again}")


def _complete(subject: ScpiSubject) -> None:
    demand(subject.talk.ask("*OPC?") == "1", "*OPC? did not answer 1")


def _complete_event(subject: ScpiSubject) -> None:
    _register(subject, "*ESR?")
    subject.talk.send("*OPC")
    seen = _register(subject, "*ESR?")
    demand(bool(seen & COMPLETE), f"*ESR? answered {seen} after *OPC")
    demand(not _register(subject, "*ESR?") & COMPLETE, "reading *ESR? did not clear it")


def _wait(subject: ScpiSubject) -> None:
    subject.talk.accepted("*WAI")


def _command_error(subject: ScpiSubject) -> None:
    _register(subject, "*ESR?")
    subject.talk.send("NO:SUCH:HEADER")
    seen = _register(subject, "*ESR?")
    demand(bool(seen & COMMAND), f"*ESR? answered {seen} after an unknown header, bit {COMMAND} is not set")
    demand(not seen & EXECUTION, f"*ESR? answered {seen}: an unknown header is no execution error")


def _execution_error(subject: ScpiSubject) -> None:
    if not subject.watchdog:
        raise Skipped("the device lacks WATCHDOG")
    _register(subject, "*ESR?")
    subject.talk.send("OUTP:PROT:WDOG -1")
    seen = _register(subject, "*ESR?")
    demand(bool(seen & EXECUTION), f"*ESR? answered {seen} after a value out of range, bit {EXECUTION} is not set")


def _queue_bit(subject: ScpiSubject) -> None:
    demand(not _register(subject, "*STB?") & QUEUE, f"bit {QUEUE} of *STB? is set, the error queue is empty")
    subject.talk.send("NO:SUCH:HEADER")
    demand(bool(_register(subject, "*STB?") & QUEUE), f"bit {QUEUE} of *STB? is not set with an error in the queue")


def _event_summary(subject: ScpiSubject) -> None:
    _register(subject, "*ESR?")
    subject.talk.send(f"*ESE {COMMAND}")
    demand(_register(subject, "*ESE?") == COMMAND, f"*ESE? does not answer the {COMMAND} that was set")
    demand(not _register(subject, "*STB?") & SUMMARY, "the summary bit is set without an event")
    subject.talk.send("NO:SUCH:HEADER")
    demand(bool(_register(subject, "*STB?") & SUMMARY), "the summary bit is not set by an enabled event")
    subject.talk.send("*ESE 0")
    demand(not _register(subject, "*STB?") & SUMMARY, "the summary bit is set by an event that is not enabled")


def _service(subject: ScpiSubject) -> None:
    subject.talk.send(f"*SRE {QUEUE}")
    demand(_register(subject, "*SRE?") == QUEUE, f"*SRE? does not answer the {QUEUE} that was set")
    subject.talk.send("NO:SUCH:HEADER")
    demand(bool(_register(subject, "*STB?") & SERVICE), f"bit {SERVICE} of *STB? is not set by an enabled reason")
    subject.talk.send("*SRE 0")


def _clear(subject: ScpiSubject) -> None:
    subject.talk.send("NO:SUCH:HEADER;*OPC")
    subject.talk.send("*CLS")
    demand(not subject.talk.errors(), "*CLS left errors in the queue")
    seen = _register(subject, "*ESR?")
    demand(not seen, f"*CLS left {seen} in the event register")


def _reset(subject: ScpiSubject) -> None:
    boot = subject.talk.number("SYST:BOOT?")
    subject.arm()
    subject.talk.send("FORM:BORD SWAP")
    subject.talk.send("*RST")
    demand(subject.talk.ask("OUTP?") == "0", "outputs are on after *RST")
    order = subject.talk.ask("FORM:BORD?").upper()
    demand(order.startswith("NORM"), f"byte order {order} after *RST, expected NORM")
    demand(subject.talk.number("SYST:BOOT?") != boot, "the boot number did not change with *RST")
    if subject.watchdog:
        left_s = subject.talk.number("OUTP:PROT:WDOG?")
        demand(left_s == 0, f"a watchdog of {left_s} s is still set after *RST")


def _self_test(subject: ScpiSubject) -> None:
    subject.needs(Capability.SELF_TEST)
    demand(subject.talk.ask("*TST?") == "0", "the device's own self test failed")


CHECKS = (
    Check("common.identity", "5.6", "*IDN? answers vendor, model, serial and firmware, always the same", _identity),
    Check("common.complete", "3.4", "*OPC? answers 1", _complete),
    Check("common.complete-event", "3.1", "*OPC sets the first bit of *ESR?, reading clears it", _complete_event),
    Check("common.wait", "3.4", "*WAI does nothing", _wait),
    Check("common.command-error", "3.1", "an unknown header sets the command error bit", _command_error),
    Check("common.execution-error", "3.1", "a value out of range sets the execution error bit", _execution_error),
    Check("common.queue-bit", "3.1", "*STB? says whether the error queue holds entries", _queue_bit),
    Check("common.event-summary", "3.1", "*STB? sums up the events that *ESE enables", _event_summary),
    Check("common.service", "3.1", "*STB? sums up the reasons that *SRE enables", _service),
    Check("common.clear", "3.1", "*CLS clears the event register and the error queue", _clear),
    Check("common.reset", "5.6", "*RST turns outputs off, sets byte order NORMal, changes the boot number", _reset),
    Check("common.self-test", "5.6", "*TST? answers 0", _self_test, "optional"),
)

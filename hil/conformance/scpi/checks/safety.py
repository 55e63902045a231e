"""Outputs and watchdog (SCPI.md sections 4.2 and 5; PROTOCOL.md sections 6.1 to 6.4)."""

from __future__ import annotations

from firmware_specs.codes import Capability, State, Trip
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.feeding import feeds
from hil.conformance.scpi.subject import ScpiSubject

SHORT_S = 0.3
MARGIN_S = 0.15


def _arm(subject: ScpiSubject) -> None:
    subject.arm()
    demand(subject.talk.ask("OUTP?") == "1", "OUTPut? is not 1 after OUTPut ON")
    demand(subject.status.state == State.ARMED, f"state {subject.status.state.name} after OUTPut ON")
    demand(subject.talk.ask("OUTP OFF;:OUTP?") == "0", "OUTPut? is not 0 behind OUTPut OFF")
    demand(subject.status.state == State.SAFE, f"state {subject.status.state.name} after OUTPut OFF")


def _watchdog_first(subject: ScpiSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    subject.restart()
    words = subject.talk.refused("OUTP ON", -221)
    demand("NO_WATCHDOG" in words, f"the refusal says {words!r}, NO_WATCHDOG is not named")
    demand(subject.talk.ask("OUTP?") == "0", "a refused OUTPut ON turned outputs on")


def _trip(subject: ScpiSubject) -> None:
    """Arms with a short watchdog and keeps silent until it must have tripped."""
    subject.needs(Capability.WATCHDOG)
    subject.arm(SHORT_S)
    subject.talk.silence(SHORT_S + MARGIN_S)


def _trips(subject: ScpiSubject) -> None:
    _trip(subject)
    demand(subject.talk.ask("OUTP?") == "0", "outputs are on after the watchdog's time")
    cause = subject.talk.ask("OUTP:PROT:TRIP?")
    demand(cause == str(int(Trip.WATCHDOG)), f"trip {cause}, expected {int(Trip.WATCHDOG)} (watchdog)")


def _latched(subject: ScpiSubject) -> None:
    _trip(subject)
    words = subject.talk.refused("OUTP ON", -221)
    demand("TRIPPED" in words, f"the refusal says {words!r}, TRIPPED is not named")
    subject.talk.send("OUTP OFF")
    demand(subject.status.state == State.TRIPPED, "OUTPut OFF left the trip")
    subject.talk.accepted("OUTP:PROT:CLE")
    demand(subject.status.state == State.SAFE, "OUTPut:PROTection:CLEar does not lead to SAFE")
    demand(subject.talk.ask("OUTP?") == "0", "outputs went on by themselves after a trip was cleared")


def _kept_alive(subject: ScpiSubject) -> None:
    def beat(seconds: float) -> None:
        subject.talk.silence(seconds)
        subject.talk.ask("*OPC?")

    feeds(subject, "messages", beat)


def _read_back(subject: ScpiSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    subject.arm(5.0)
    status = subject.status
    seconds = subject.talk.number("OUTP:PROT:WDOG?")
    demand(seconds == status.watchdog_s <= 5.0, f"5 s were asked for, {seconds} and {status.watchdog_s} s read back")
    demand(0 < status.remaining_s <= seconds, f"{status.remaining_s} s of {seconds} s remain")


def _safe_after_clear(subject: ScpiSubject) -> None:
    subject.arm()
    subject.talk.send("*CLS")
    demand(subject.talk.ask("OUTP?") == "1", "*CLS turned outputs off: it clears the status only")
    subject.talk.send("*RST")
    demand(subject.talk.ask("OUTP?") == "0", "outputs are on after *RST")


def _status(subject: ScpiSubject) -> None:
    fields = subject.talk.fields("STAT:DEV?")
    demand(len(fields) >= 9, f"STATus:DEVice? answered {len(fields)} fields, expected 9")
    demand(fields[8].startswith('"'), f"the owner {fields[8]!r} is no string")


CHECKS = (
    Check("outputs.arm", "5", "OUTPut ON and OFF do so before the next unit is answered", _arm),
    Check("outputs.watchdog-first", "5 (6.3 there)", "OUTPut ON is refused until a watchdog was set", _watchdog_first),
    Check("outputs.reset", "5.6", "*CLS leaves outputs as they are, *RST turns them off", _safe_after_clear),
    Check("outputs.status", "5", "STATus:DEVice? has its nine fields", _status),
    Check("watchdog.trips", "4.2 (6.3 there)", "without messages outputs go off in time", _trips),
    Check("watchdog.latched", "5 (6.2 there)", "a trip is left by OUTPut:PROTection:CLEar alone, to SAFE", _latched),
    Check("watchdog.kept-alive", "4.2", "any message restarts the watchdog", _kept_alive),
    Check("watchdog.read-back", "5", "the watchdog's time is set and read back", _read_back),
)

"""Runs the checks one after another, each from a known state, and leaves the outputs off."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from drivers.chip_ledger import ChipLedger
from drivers.errors import DeviceError, LinkError, LinkLost, LinkTimeout
from drivers.reopenable import Reopenable
from drivers.transport import Transport
from hil.conformance.check import Check, Outcome
from hil.conformance.checks import CHECKS
from hil.conformance.conversation import Conversation, Failed, NoSession, Skipped
from hil.conformance.counting import Counting
from hil.conformance.result import Conformance
from hil.conformance.scpi.checks import CHECKS as SCPI_CHECKS
from hil.conformance.scpi.subject import ScpiSubject
from hil.conformance.subject import FrameSubject, Subject
from hil.counterparts.opening.wire import Protocol

Checks = tuple[Check[Any], ...]
SET_UP = "set-up, before the check itself: "
UNKNOWN = "a device that does not say who it is"


@dataclass(frozen=True)
class Suite:
    """The checks of one protocol.

    Attributes:
        text: The protocol's text, whose sections the checks name.
        checks: In the order of the text.
        subject: What they look at, from a wire and how long to wait for one answer.
    """

    text: str
    checks: Checks
    subject: Callable[[Transport, float], Subject]

    def select(self, names: Iterable[str]) -> Checks:
        """Checks whose name starts with one of the names; all for none.

        Raises:
            ValueError: a name that fits no check.
        """
        wanted = tuple(names)
        for name in wanted:
            if not any(check.name.startswith(name) for check in self.checks):
                groups = sorted({check.name.partition(".")[0] for check in self.checks})
                raise ValueError(f"no check is called {name!r}; groups are {', '.join(groups)}")
        return tuple(check for check in self.checks if not wanted or check.name.startswith(wanted))

    def run(
        self,
        transport: Transport,
        checks: Checks | None = None,
        *,
        patience_s: float = 2.0,
        observer: Callable[[Outcome], None] = lambda _: None,
        pulse: tuple[float, float] | None = None,
        ledger: Callable[[str], ChipLedger] | None = None,
    ) -> Conformance:
        """Runs checks against a device.

        Args:
            transport: An open wire to it. The device is disarmed at the end; its cells are left written.
            checks: Which ones; all if not given.
            patience_s: How long to wait for one answer.
            pulse: Amplitude and width of its pulses, V and s; the device's own nominal ones where not given.
            observer: Told of every outcome as it comes.
            ledger: Opens the total of a chip that does not count itself, by who it is: the checks' pulses belong to it.

        Raises:
            LinkError: the link broke and cannot be opened again. A cable that was pulled is no finding.
        """
        subject = self.subject(transport, patience_s)
        subject.chosen_pulse = pulse
        if ledger is not None:
            subject.verbs.told = Counting(subject, ledger)
        wanted, outcomes, stopped = self.checks if checks is None else checks, [], ""
        try:
            for check in wanted:
                outcome = perform(subject, check)
                outcomes.append(outcome)
                observer(outcome)
                if outcome.verdict == "failed":
                    stopped = _reach(subject, transport, patience_s, outcomes)
                if stopped:
                    break
        finally:
            if not stopped:
                with contextlib.suppress(DeviceError, Failed):
                    subject.settle_down()
        name = UNKNOWN if stopped else _named(subject)
        left = len(wanted) - len(outcomes)
        return Conformance(transport.address, name, tuple(outcomes), stopped, left, subject.pulsed_with)


def _reach(subject: Subject, transport: Transport, patience_s: float, made: list[Outcome]) -> str:
    """Opens the link again where the last check broke it, so that the next one is not blamed for that.

    Returns:
        Why no session can be opened, or the set-up fails again, and all other checks would only say the same; else
        nothing.
    """
    last = made[-1]
    try:
        subject.settle_down()
    except NoSession as silence:
        return str(silence) if last.set_up else last.seen
    except Failed:
        return "" if last.set_up else last.seen  # at the second failure in a row: a check may have left a trace
    except LinkLost as lost:
        if not isinstance(transport, Reopenable):
            return str(lost) if last.set_up else last.seen
        try:
            transport.reopen(time.monotonic() + patience_s)
        except LinkError as error:
            error.add_note(f"The link broke in check {len(made)}, and those after it were not made: no verdict.")
            raise
        return _answers(subject, last)
    except DeviceError:
        return ""  # it answers: the next checks say how
    return ""


def _answers(subject: Subject, last: Outcome) -> str:
    """Nothing, or why a link that was opened again is of no use."""
    try:
        subject.settle_down()
    except (NoSession, LinkLost) as error:
        return str(error) if last.set_up else last.seen
    except (DeviceError, Failed):
        return ""
    return ""


SERIAL = Suite("PROTOCOL.md", CHECKS, lambda wire, patience_s: FrameSubject(Conversation(wire, patience_s)))
SCPI = Suite("SCPI.md", SCPI_CHECKS, ScpiSubject)


def suite_of(protocol: Protocol) -> Suite:
    """The suite of a protocol."""
    return SCPI if protocol == "scpi" else SERIAL


def perform(subject: Subject, check: Check[Any]) -> Outcome:
    """One check, from a known state."""
    started = time.perf_counter()
    verdict, seen, set_up = "passed", "", False
    try:
        try:
            subject.settle_down()
        except (Failed, LinkTimeout, LinkLost) as failure:
            raise Failed(f"{SET_UP}{failure}") from failure
        set_up = True
        seen = check.run(subject) or ""
    except Skipped as reason:
        verdict, seen = "skipped", str(reason)
    except Failed as failure:
        verdict, seen = "failed", str(failure)
    except DeviceError as error:
        verdict, seen = "failed", f"the link broke: {error}"
    return Outcome(check, verdict, seen, time.perf_counter() - started, set_up)  # type: ignore[arg-type]


def _named(subject: Subject) -> str:
    try:
        identity = subject.identity
    except (DeviceError, Failed) as error:
        return f"{UNKNOWN} ({error})"
    return f"{identity.vendor} {identity.model}, serial {identity.serial}, firmware {identity.firmware}"

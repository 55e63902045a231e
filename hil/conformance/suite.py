"""Runs the checks one after another, each from a known state, and leaves the outputs off."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

from drivers.errors import DeviceError
from drivers.transport import Transport
from hil.conformance.check import Check, Outcome
from hil.conformance.checks import CHECKS
from hil.conformance.conversation import Conversation, Failed, Skipped
from hil.conformance.result import Conformance
from hil.conformance.subject import Subject


def select(names: Iterable[str]) -> tuple[Check, ...]:
    """Checks whose name starts with one of the names; all for none.

    Raises:
        ValueError: a name that fits no check.
    """
    wanted = tuple(names)
    for name in wanted:
        if not any(check.name.startswith(name) for check in CHECKS):
            groups = sorted({check.name.partition(".")[0] for check in CHECKS})
            raise ValueError(f"no check is called {name!r}; groups are {', '.join(groups)}")
    return tuple(check for check in CHECKS if not wanted or check.name.startswith(wanted))


def run(
    transport: Transport,
    checks: Iterable[Check] = CHECKS,
    *,
    patience_s: float = 2.0,
    observer: Callable[[Outcome], None] = lambda _: None,
) -> Conformance:
    """Runs checks against a device that speaks the serial protocol.

    Args:
        transport: An open wire to it. The device is disarmed at the end; its cells are left written.
        checks: Which ones.
        patience_s: How long to wait for one answer.
        observer: Told of every outcome as it comes.
    """
    subject = Subject(Conversation(transport, patience_s))
    outcomes = []
    try:
        for check in checks:
            outcome = perform(subject, check)
            outcomes.append(outcome)
            observer(outcome)
    finally:
        with contextlib.suppress(DeviceError, Failed):
            subject.settle_down()
    return Conformance(transport.address, _named(subject), tuple(outcomes))


def perform(subject: Subject, check: Check) -> Outcome:
    """One check, from a known state."""
    started = time.perf_counter()
    verdict, seen = "passed", ""
    try:
        subject.settle_down()
        check.run(subject)
    except Skipped as reason:
        verdict, seen = "skipped", str(reason)
    except Failed as failure:
        verdict, seen = "failed", str(failure)
    except DeviceError as error:
        verdict, seen = "failed", f"the link broke: {error}"
    return Outcome(check, verdict, seen, time.perf_counter() - started)  # type: ignore[arg-type]


def _named(subject: Subject) -> str:
    try:
        identity = subject.identity
    except (DeviceError, Failed) as error:
        return f"unknown ({error})"
    return f"{identity.vendor} {identity.model}, serial {identity.serial}, firmware {identity.firmware}"

"""A link that closes, and several links to one instrument (SCPI.md 2.4, 4.1, 4.2; PROTOCOL.md 6.3 and 6.7)."""

from __future__ import annotations

import time

from firmware_specs.codes import Capability, State, Trip
from hil.conformance.check import Check
from hil.conformance.conversation import demand
from hil.conformance.feeding import does_not_feed
from hil.conformance.scpi.subject import ScpiSubject

LONG_S = 60.0
POLL_S = 0.02
SEEN_S = 0.1
"""For a device to notice that another link has closed."""
BUSY = -200


def _link_lost(subject: ScpiSubject) -> None:
    """The watchdog is far away: what turns outputs off is the link that closed."""
    subject.needs(Capability.LINK_LOSS)
    wire = subject.closing_seen()
    subject.arm(LONG_S)
    wire.reopen(time.monotonic() + subject.talk.patience_s)
    until = time.monotonic() + subject.talk.patience_s
    while (on := subject.talk.ask("OUTP?")) != "0" and time.monotonic() < until:
        time.sleep(POLL_S)
    cause = subject.talk.ask("OUTP:PROT:TRIP?")
    lost = str(int(Trip.LINK_LOST))
    seen = f"the link that had armed was closed: OUTPut? is {on}, the trip {cause}"
    demand((on, cause) == ("0", lost), f"{seen}; expected 0 and {lost} (link lost)")
    words = subject.talk.refused("OUTP ON", -221)
    demand("TRIPPED" in words, f"OUTPut ON on a new link was refused with {words!r}, TRIPPED is not named")


def _owner(subject: ScpiSubject) -> None:
    with subject.second_link() as other:
        subject.arm()
        owner = subject.status.owner
        for message in ("OUTP ON", "OUTP:PROT:WDOG 10", "*RST", f"ARR:CELL:READ? {subject.place}"):
            words = other.refused(message, BUSY)
            demand("BUSY" in words and owner in words, f"{message} of another link: {words!r}, not BUSY and {owner!r}")
        demand(other.ask("OUTP?") == "1", "another link cannot see the outputs, or turned them off")
    demand(subject.status.state == State.ARMED, "what another link asked for changed the state")


def _always_off(subject: ScpiSubject) -> None:
    with subject.second_link() as other:
        subject.arm()
        other.accepted("OUTP OFF")
        demand(subject.talk.ask("OUTP?") == "0", "OUTPut OFF of another link did not turn outputs off")


def _others_close(subject: ScpiSubject) -> None:
    with subject.second_link() as other:
        subject.arm()
        other.ask("*OPC?")
    time.sleep(SEEN_S)
    demand(subject.status.state == State.ARMED, "outputs went off when a link closed that did not own them")


def _others_talk(subject: ScpiSubject) -> None:
    subject.needs(Capability.WATCHDOG)
    with subject.second_link() as other:

        def act(wait_s: float) -> None:
            other.ask("*OPC?")
            time.sleep(wait_s)

        does_not_feed(subject, "messages of another link", act)


def _own_order(subject: ScpiSubject) -> None:
    with subject.second_link() as other:
        other.accepted("FORM:BORD NORM")
        seen = subject.talk.ask("FORM:BORD?").upper()
        demand(seen.startswith("SWAP"), f"the byte order of this link became {seen} when another link set its own")


def _one_count(subject: ScpiSubject) -> None:
    subject.needs(Capability.WRITE)
    subject.prepare()
    with subject.second_link() as other:
        before = other.number("SYST:TRAN?")
        subject.write({0: 0.5})
        grown = other.number("SYST:TRAN?") - before
        demand(grown == 1, f"a write of one link grew the count that another reads by {grown:g}, expected 1")


CHECKS = (
    Check("outputs.link-lost", "4.2", "a link that closes while it owns armed outputs is a trip", _link_lost),
    Check("links.owner", "4.2 (6.7 there)", "what another link armed answers BUSY and names the owner", _owner),
    Check("links.always-off", "4.2 (6.7 there)", "every link can turn the outputs off", _always_off),
    Check("links.others-close", "4.2", "a link that closes without owning the outputs leaves them on", _others_close),
    Check("links.others-talk", "4.2 (6.3 there)", "messages of another link do not restart the watchdog", _others_talk),
    Check("links.byte-order", "2.4", "every link has its own byte order", _own_order),
    Check("links.one-count", "4.1", "acts are counted over all links", _one_count),
)

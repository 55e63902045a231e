"""Sessions and once-only transactions (PROTOCOL.md sections 3 and 5)."""

from __future__ import annotations

from firmware_specs.codes import DeviceFlag, ErrorCode, Kind, NakReason, Opcode, State
from firmware_specs.frame import MAX_PAYLOAD, Frame
from firmware_specs.messages import Refusal, Sync
from hil.conformance.check import Check
from hil.conformance.conversation import OWN_WINDOW, Failed, demand, parsed
from hil.conformance.subject import FrameSubject


def _synced(subject: FrameSubject) -> None:
    answer = subject.raw.sync()
    demand(answer.version == 1, f"version {answer.version}")
    demand(answer.window >= 2, f"window {answer.window}, at least 2")
    demand(answer.replies >= answer.window, f"{answer.replies} kept replies, at least the window, {answer.window}")
    demand(answer.last == 0 and not answer.continued, f"a new session with last = {answer.last}")


def _no_version(subject: FrameSubject) -> None:
    answer = subject.raw.sync_raw(0x1234567, Sync(OWN_WINDOW, owner="hil conform", lowest=200, highest=201))
    demand(answer.version == 0, f"version {answer.version} agreed, where the host speaks 200 and 201 only")


def _repeated_sync(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.ask(Opcode.IDENTIFY)
    answer = raw.sync_raw(raw.session, Sync(OWN_WINDOW, owner="hil conform"))
    seen = f"continued {answer.continued}, last {answer.last} after {raw.sequence} transactions"
    demand(answer.continued and answer.last == raw.sequence, seen)
    raw.ask(Opcode.IDENTIFY)


def _continued(subject: FrameSubject) -> None:
    raw = subject.raw
    subject.arm()
    before = raw.sequence
    answer = raw.sync(previous=raw.session)
    demand(answer.continued and answer.last == before, f"continued {answer.continued}, last {answer.last} of {before}")
    demand(subject.status.state == State.ARMED, "the outputs went off although the session was continued")


def _new_session_is_safe(subject: FrameSubject) -> None:
    subject.arm()
    subject.raw.sync()
    status = subject.status
    demand(status.state == State.SAFE, f"state {status.state.name} after a new session, expected SAFE")


def _other_previous(subject: FrameSubject) -> None:
    """As from a host that continues the session it had with another device, or before somebody else's."""
    raw = subject.raw
    raw.ask(Opcode.IDENTIFY)
    subject.arm()
    answer = raw.sync(previous=raw.session ^ 0x5A5A5A5A or 1)
    demand(not answer.continued and answer.last == 0, f"continued {answer.continued}, last {answer.last}, expected new")
    demand(subject.status.state == State.SAFE, "outputs stayed on in a session that continues none")


def _foreign_session(subject: FrameSubject) -> None:
    raw = subject.raw
    before = subject.status.transactions
    stranger = raw.session ^ 0x5A5A5A5A or 1
    raw.send_frame(Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, stranger, raw.sequence + 1))
    nak = raw.nak(session=stranger)
    demand(nak.reason == NakReason.NO_SESSION, f"NAK reason {nak.reason}, expected 4 (no such session)")
    demand(subject.status.transactions - before <= 1, "a request of another session was executed")


def _one_nak_a_request(subject: FrameSubject) -> None:
    raw = subject.raw
    stranger = raw.session ^ 0x5A5A5A5A or 1
    frames = [
        Frame(Kind.REQUEST, Opcode.ECHO, 0, stranger, 7, part, 3, bytes(MAX_PAYLOAD if part < 2 else 1))
        for part in range(3)
    ]
    for frame in frames[: min(3, raw.window)]:
        raw.send_frame(frame)
    raw.nak(session=stranger)
    raw.silence(0.1)
    raw.send_frame(frames[0]._replace(sequence=8))
    raw.nak(session=stranger)


def _closed(subject: FrameSubject) -> None:
    raw = subject.raw
    subject.arm()
    old, sequence = raw.session, raw.sequence
    answer = raw.sync_raw(0x1234567, Sync(OWN_WINDOW, owner="hil conform", lowest=200, highest=201))
    demand(not answer.continued, "continued is 1 without a version in common")
    demand(not raw.flags & DeviceFlag.OUTPUTS_ON, "outputs stay on behind a SYNC without a version in common")
    for session in (old, 0x1234567):
        raw.send_frame(Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, session, sequence + 1))
        nak = raw.nak(session=session)
        demand(nak.reason == NakReason.NO_SESSION, f"NAK reason {nak.reason} after version 0, expected 4")
    raw.sync(previous=old)
    demand(subject.status.state == State.SAFE, "outputs stayed on behind a SYNC without a version in common")


def _malformed(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.ask(Opcode.IDENTIFY)
    sound = Sync(OWN_WINDOW, owner="hil conform").pack()
    wrong = (
        Frame(Kind.SYNC, 0, 0, 0, 0, 0, 1, sound),
        Frame(Kind.SYNC, 0, 0, 5, 0, 0, 1, sound[:-1]),
        Frame(Kind.SYNC, 0, 0, 5, 0, 0, 1, Sync(OWN_WINDOW, owner="o" * 200).pack()),
        Frame(Kind.SYNC, 0, 0, 5, 0, 0, 1, Sync(1, owner="hil conform").pack()),
    )
    for frame in wrong:
        raw.send_frame(frame)
        nak = raw.nak()
        demand(nak.reason == NakReason.DAMAGED, f"NAK reason {nak.reason} for a malformed SYNC, expected 1")
        raw.ask(Opcode.IDENTIFY)


def _owner(subject: FrameSubject) -> None:
    owner = subject.status.owner
    demand(owner == "hil conform", f"STATUS names the owner {owner!r}, SYNC said 'hil conform'")


def _old_session(subject: FrameSubject) -> None:
    raw = subject.raw
    old, sequence = raw.session, raw.sequence
    raw.sync()
    raw.send_frame(Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, old, sequence + 1))
    demand(raw.nak(session=old).reason == NakReason.NO_SESSION, "a request of the closed session was taken")


def _replayed(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, raw.session, raw.sequence)
    first, second = raw.exchange([frame]), raw.exchange([frame])
    demand(first.payload == second.payload and first.kind == second.kind, "a duplicate got another reply")
    demand(bool(second.flags & DeviceFlag.REPLAYED), "the replayed flag of the second reply is not set")
    demand(not first.flags & DeviceFlag.REPLAYED, "the replayed flag of the first reply is set")


def _not_twice(subject: FrameSubject) -> None:
    raw = subject.raw
    before = subject.status.transactions
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, Opcode.HEARTBEAT, 0, raw.session, raw.sequence)
    for _ in range(4):
        raw.exchange([frame])
    grown = subject.status.transactions - before
    demand(grown == 2, f"1 request sent four times and 1 STATUS counted as {grown} transactions, expected 2")


def _replayed_error(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.sequence += 1
    frame = Frame(Kind.REQUEST, 0xEE, 0, raw.session, raw.sequence)
    first, second = raw.exchange([frame]), raw.exchange([frame])
    demand(first.kind == second.kind == Kind.ERROR, "an ERROR was not replayed as an ERROR")
    demand(first.payload == second.payload, "a duplicate got another ERROR")


def _old_replies(subject: FrameSubject) -> None:
    raw = subject.raw
    kept = raw.sync().replies
    echoes = [raw.request(Opcode.ECHO, bytes([i])) for i in range(kept)]
    for back in (1, kept // 2, kept):
        sequence = raw.sequence - back + 1
        frame = Frame(Kind.REQUEST, Opcode.ECHO, 0, raw.session, sequence, 0, 1, bytes([sequence - 1]))
        answer = raw.exchange([frame])
        demand(answer.payload == echoes[sequence - 1].payload, f"reply {back} back is not the one that was given")


def _stale(subject: FrameSubject) -> None:
    raw = subject.raw
    kept = raw.sync().replies
    for _ in range(kept + 40):
        raw.ask(Opcode.HEARTBEAT)
    before = subject.status.transactions
    answer = raw.exchange([Frame(Kind.REQUEST, Opcode.HEARTBEAT, 0, raw.session, 1)])
    if answer.kind == Kind.ERROR:
        code = parsed(Refusal, answer.payload, "ERROR").code
        demand(code == ErrorCode.STALE, f"refused with 0x{code:02x}, expected STALE")
        demand(not answer.flags & DeviceFlag.REPLAYED, "STALE is flagged as replayed")
    else:
        demand(bool(answer.flags & DeviceFlag.REPLAYED), "answered anew, neither replayed nor STALE")
    demand(subject.status.transactions - before == 1, "an old duplicate was executed")


def _gap(subject: FrameSubject) -> None:
    raw = subject.raw
    raw.send_frame(Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, raw.session, raw.sequence + 5))
    nak = raw.nak()
    demand(nak.reason == NakReason.GAP, f"NAK reason {nak.reason}, expected 2 (gap)")
    demand(nak.sequence == raw.sequence + 1, f"NAK names sequence {nak.sequence}, expected {raw.sequence + 1}")
    raw.ask(Opcode.IDENTIFY)


def _late_reply(subject: FrameSubject) -> None:
    raw = subject.raw
    old = raw.session
    raw.send_frame(Frame(Kind.REQUEST, Opcode.IDENTIFY, 0, raw.session, raw.sequence + 1))
    raw.sync(previous=old)
    while (frame := raw.receive(0.1)) is not None:
        if frame.session != old:
            raise Failed("the reply to a request of the old nonce came under the new one without being asked for")


CHECKS = (
    Check("sessions.sync", "3.1", "SYNC opens a session with a window, a reply cache and last = 0", _synced),
    Check("sessions.no-version", "3.1", "no common protocol version is answered with version 0", _no_version),
    Check("sessions.repeated", "3.2", "a repeated SYNC continues the session", _repeated_sync),
    Check("sessions.continued", "3.2", "a SYNC with `previous` keeps sequence and outputs", _continued),
    Check("sessions.new-is-safe", "3.2", "a new session turns the outputs off", _new_session_is_safe),
    Check("sessions.other-previous", "3.2", "a SYNC with another `previous` is a new session", _other_previous),
    Check("sessions.foreign", "3.3", "a request of another session is not executed and gets NAK 4", _foreign_session),
    Check(
        "sessions.one-nak",
        "5.4",
        "a request of another session gets one NAK 4",
        _one_nak_a_request,
    ),
    Check("sessions.closed", "3.2", "a SYNC without a common version closes the session, outputs off", _closed),
    Check("sessions.malformed", "3.1", "a malformed SYNC is a damaged frame, and the session stays", _malformed),
    Check("sessions.owner", "7.3", "STATUS names the owner of SYNC", _owner),
    Check("sessions.old", "3.3", "a request of the closed session gets NAK 4", _old_session),
    Check("sessions.late-reply", "3.4", "late replies carry the nonce of their request", _late_reply),
    Check("transactions.replayed", "5.2", "a duplicate gets the kept reply, flagged as replayed", _replayed),
    Check(
        "transactions.replayed-error", "5.2", "a duplicate of a refused request gets the same ERROR", _replayed_error
    ),
    Check("transactions.not-twice", "5.2", "a duplicate is not executed again", _not_twice),
    Check("transactions.kept", "5.2", "as many replies are kept as SYNCED says", _old_replies),
    Check("transactions.stale", "5.2", "a duplicate without a kept reply gets STALE and is not executed", _stale),
    Check("transactions.gap", "5.1", "a sequence that is not due is not executed and gets NAK 2", _gap),
)

"""The SCPI suite: passes the virtual instrument, in process and over a socket, and finds seeded defects in it.

A defect is a function that breaks a sound endpoint; beside it stands the group of checks that must notice.
"""

import threading

import pytest
from typer.testing import CliRunner

from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from emulator.chip import Chip
from emulator.device import Device
from emulator.faults import FaultPlan
from emulator.machine import Machine
from emulator.outputs import Outputs
from emulator.scpi import ScpiEndpoint, endpoint
from emulator.scpi.once import Once
from emulator.serve import Board, Doors
from firmware_specs.codes import Opcode, Trip
from firmware_specs.datasheet import load
from firmware_specs.scpi import ErrorQueue, Overrun, Parameters, ScpiError, Splitter, Unit, errors
from firmware_specs.scpi.blocks import LEFT_OUT
from hil.cli import build_app
from hil.conformance.suite import SCPI
from hil.counterparts.opening.wire import links_of, open_wire

MAX_REQUEST = 1 << 20


def device(datasheet):
    return Device(Chip(load(datasheet), seed=1), max_request=MAX_REQUEST)


def instrument(datasheet="discrete-board"):
    return ScpiEndpoint(Machine(device(datasheet)), "loopback")


@pytest.mark.parametrize("datasheet", ["mixed-8bit", "discrete-board", "resistive-board", "ecram"])
def test_the_virtual_instrument_conforms(datasheet):
    result = SCPI.run(Reopenable(links_of(Machine(device(datasheet)), "loopback", "scpi")), patience_s=0.5)
    assert not failures(result)
    assert result.count("passed") >= 90


def failures(result):
    return {outcome.check.name: outcome.seen for outcome in result.outcomes if outcome.verdict == "failed"}


def over_a_wire(doors, groups, faults=None, patience_s=20.0):
    """What the suite says of an instrument behind a door; a busy machine may stand still."""
    board = Board(device("ecram"), doors, faults)
    server = threading.Thread(target=board.run)
    server.start()
    try:
        with open_wire(board.addresses[0]) as wire:
            return SCPI.run(wire, SCPI.select(groups), patience_s=patience_s)
    finally:
        board.stop()
        server.join()


ON_WIRES = ["common", "links", "queue", "blocks", "order", "recovery", "transactions", "outputs"]
WIRES = {"socket": Doors(scpi=0), "hislip": Doors(hislip=0)}


@pytest.mark.parametrize("doors", WIRES.values(), ids=WIRES)
def test_it_conforms_over_wires(doors):
    result = over_a_wire(doors, ON_WIRES)
    assert not failures(result)
    assert [o.verdict for o in result.outcomes if o.check.name == "outputs.link-lost"] == ["passed"]


@pytest.mark.long
def test_a_slow_instrument_conforms_where_a_reply_was_on_its_way_when_it_was_cleared():
    """Each reply leaves 0.1 s after its message; a host takes a socket for clear that was quiet for a fifth of that."""
    late = FaultPlan({"late_reply": 1.0}, late_s=0.1)
    result = over_a_wire(WIRES["socket"], ["transactions.reply-lost", "recovery.half"], late)
    assert not failures(result) and result.count("passed") == 2


@pytest.mark.parametrize("doors", WIRES.values(), ids=WIRES)
def test_lost_links_and_long_blocks_are_looked_at_over_wires(doors, monkeypatch):
    monkeypatch.setattr(ScpiEndpoint, "closed", lambda self: None)
    monkeypatch.setattr(endpoint, "Splitter", lambda most: Splitter(2 * most))
    found = failures(over_a_wire(doors, ["blocks", "outputs"], patience_s=2.0))  # it waits for what never comes
    assert set(found) == {"outputs.link-lost", "blocks.too-long"}
    assert "OUTPut? is 1, the trip 0; expected 0 and 3" in found["outputs.link-lost"]
    assert f"a block of {MAX_REQUEST + 1} bytes, {MAX_REQUEST} being the most" in found["blocks.too-long"]


def test_every_check_has_a_name_and_a_section_of_the_text():
    names = [check.name for check in SCPI.checks]
    assert len(names) == len(set(names)) >= 100
    assert all(check.section for check in SCPI.checks)


def test_the_command_takes_the_suite_that_the_address_speaks():
    def conform(*arguments):
        return CliRunner().invoke(build_app(), ["conform", "--device", *arguments, "--only", "common.identity"])

    assert conform("emulator:ideal", "--protocol", "scpi").exit_code == 0
    assert "speaks serial, not scpi" in str(conform("serial:/dev/null", "--protocol", "scpi").exception)
    assert "groups are cells" in conform("emulator:ideal").output.replace("\n", " ")


def handler(end, patch, header, new):
    """Replaces what a header does; `new` gets the sound handler first."""
    sound = endpoint.HANDLERS[header]
    patch.setitem(endpoint.HANDLERS, header, lambda *arguments: new(sound, *arguments))


def event_register_is_not_cleared(end, patch):
    handler(end, patch, "*ESR", lambda sound, link, p, query: str(link.events))


def newest_error_first(end, patch):
    patch.setattr(ErrorQueue, "take", lambda self: self._entries.pop() if self._entries else errors.entry(0))


def queue_without_bound(end, patch):
    patch.setattr(errors, "QUEUE_DEPTH", 1000)


def unknown_headers_are_ignored(end, patch):
    unit = end._unit

    def lenient(found):
        try:
            endpoint.find(found.header)
        except LookupError:
            return None
        except ValueError:
            pass
        return unit(found)

    end._unit = lenient


def a_failed_unit_ends_the_message(end, patch):
    message = end.message

    def stopping(data):
        out = b""
        for part in data.split(b";"):
            failed = len(end.link.errors)
            out += message(part)
            if len(end.link.errors) > failed:
                break
        return out

    end.message = stopping


def byte_order_is_ignored(end, patch):
    handler(
        end, patch, "FORMat:BORDer", lambda sound, link, p, query: "SWAP" if query else p.word("NORM", "SWAP") and None
    )


def reset_keeps_the_byte_order(end, patch):
    def keeping(sound, link, p, query):
        order = link.swapped
        sound(link, p, query)
        link.swapped = order

    handler(end, patch, "*RST", keeping)


def a_line_feed_ends_a_block(end, patch):
    class Naive:
        def __init__(self):
            self._data = b""

        def feed(self, data):
            *found, self._data = (self._data + data).split(b"\n")
            return found

        def clear(self):
            self._data = b""

    end._splitter = Naive()


def pieces_are_messages(end, patch):
    end.feed = lambda data: b"".join(end.message(part) for part in data.split(b"\n") if part)


def block_lengths_are_not_checked(end, patch):
    sound = Parameters.block

    def padded(self, expected=None):
        data = sound(self)
        return data if expected is None else data.ljust(expected, b"\0")[:expected]

    patch.setattr(Parameters, "block", padded)
    write = endpoint.HANDLERS["ARRay:CELLs:WRITe"]

    def careless(link, p, query):
        try:
            return write(link, p, query)
        except ScpiError as error:
            if error.code != -161:
                raise
            return "0,0,0"

    patch.setitem(endpoint.HANDLERS, "ARRay:CELLs:WRITe", careless)


def acts_are_not_counted(end, patch):
    handler(end, patch, "SYSTem:TRANsactions", lambda sound, link, p, query: "0")


def refused_acts_are_counted(end, patch):
    fail = endpoint.ScpiLink.fail

    def counting(self, error):
        self.device.deeds += 1
        fail(self, error)

    patch.setattr(endpoint.ScpiLink, "fail", counting)


def refused_armed_verbs_are_counted(end, patch):
    fail = endpoint.ScpiLink.fail

    def counting(self, error):
        self.device.armed_verbs += 1
        fail(self, error)

    patch.setattr(endpoint.ScpiLink, "fail", counting)


def readings_are_no_armed_verbs(end, patch):
    handler(end, patch, "SYSTem:TRANsactions:ARMed", lambda sound, link, p, query: str(link.device.deeds))


def armed_verbs_that_come_again_are_counted_again(end, patch):
    sound = Once.end

    def end_of(self, reply):
        if self._again:
            end.machine.device.armed_verbs += 1
        return sound(self, reply)

    patch.setattr(Once, "end", end_of)


def pulse_queries_pulse_twice(end, patch):
    def twice(sound, link, p, query):
        raw = p._raw
        if query:
            sound(link, Parameters(raw), query)
        return sound(link, p, query)

    handler(end, patch, "ARRay:CELLs:PULSe", twice)


def numbers_are_taken_and_forgotten(end, patch):
    patch.setattr(Once, "named", lambda self, number: setattr(self, "number", number))


def the_number_alone_is_compared(end, patch):
    sound = Once.begin
    patch.setattr(Once, "begin", lambda self, message: sound(self, b"any"))


def answers_are_kept_without_their_refusals(end, patch):
    sound = Once.end
    patch.setattr(Once, "end", lambda self, reply: sound(self, reply) if not reply.startswith(b"-") else b"0\n")


def a_nonce_takes_the_kept_answer_away(end, patch):
    def forgetting(sound, link, p, query):
        link.once.number = 0
        return sound(link, p, query)

    handler(end, patch, "SYSTem:ECHO", forgetting)


def repeated_messages_are_done_again(end, patch):
    patch.setattr(Once, "passing", property(lambda self: False, lambda self, value: None), raising=False)


def echo_loses_its_quotes(end, patch):
    handler(end, patch, "SYSTem:ECHO", lambda sound, link, p, query: p.string())


def replies_on_lines_of_their_own(end, patch):
    message = end.message
    end.message = lambda data: message(data).replace(b";", b"\n")


def headers_always_from_the_root(end, patch):
    sound = endpoint.units

    def rootless(message):
        names = [part.strip().lstrip(b":").split(b" ")[0].split(b"?")[0].decode() for part in message.split(b";")]
        found = sound(message)
        return (
            [Unit(n, u.query, u.parameters) for n, u in zip(names, found, strict=True)]
            if len(names) == len(found)
            else found
        )

    patch.setattr(endpoint, "units", rootless)


def queue_bit_is_missing(end, patch):
    handler(end, patch, "*STB", lambda sound, link, p, query: str(link.status_byte & ~4))


def clear_status_turns_outputs_off(end, patch):
    def clearing(sound, link, p, query):
        link.device.disarm("clear")
        return sound(link, p, query)

    handler(end, patch, "*CLS", clearing)


def statistics_of_one_sample(end, patch):
    handler(end, patch, "ARRay:SETTle:STATistics", lambda sound, link, p, query: link.block(link.statistics[:5]))


def wait_is_done_twice(end, patch):
    def twice(sound, link, p, query):
        sound(link, Parameters(p._raw), query)
        return sound(link, p, query)

    handler(end, patch, "SYSTem:WAIT", twice)


def closing_is_not_seen(end, patch):
    end.closed = lambda: None


def closing_disarms_without_a_trip(end, patch):
    end.closed = lambda: end.machine.device.disarm("link closed")


def blocks_of_any_length_are_taken(end, patch):
    end._splitter = Splitter(2 * MAX_REQUEST)


def messages_with_a_long_block_are_dropped(end, patch):
    message = end.message
    end.message = lambda data: b"" if isinstance(data, bytes) and LEFT_OUT in data else message(data)


def long_blocks_are_cut_short(end, patch):
    message = end.message

    def cut(data):
        return message(data if isinstance(data, Overrun) else data.replace(LEFT_OUT + b"1048577", b"#15short"))

    end.message = cut


def owners_are_not_asked_for(machine, patch):
    patch.setattr(Outputs, "owner", property(lambda self: "", lambda self, owner: None), raising=False)


def only_the_owner_can_turn_outputs_off(machine, patch):
    sound = Machine.execute

    def stubborn(self, opcode, payload, door):
        owned = self.device.outputs.owner not in ("", door)
        return b"" if owned and opcode == Opcode.DISARM else sound(self, opcode, payload, door)

    patch.setattr(Machine, "execute", stubborn)


def any_link_that_closes_is_a_trip(machine, patch):
    machine.device.link_closed = lambda door: machine.device.trip(Trip.LINK_LOST, door)


def any_link_feeds_the_watchdog(machine, patch):
    sound = Outputs.feed
    patch.setattr(Outputs, "feed", lambda self, door: sound(self, self.owner))


def links_share_a_byte_order(machine, patch):
    order = {}
    patch.setattr(
        endpoint.ScpiLink,
        "swapped",
        property(lambda self: order.get(1, False), lambda self, swapped: order.update({1: swapped})),
        raising=False,
    )


def every_link_counts_for_itself(machine, patch):
    handler(machine, patch, "SYSTem:TRANsactions", lambda sound, link, p, query: "7" if "2" in link.door else "8")


OF_SEVERAL_LINKS = {
    owners_are_not_asked_for: "links.owner",
    only_the_owner_can_turn_outputs_off: "links.always-off",
    any_link_that_closes_is_a_trip: "links.others-close",
    any_link_feeds_the_watchdog: "links.others-talk",
    links_share_a_byte_order: "links.byte-order",
    every_link_counts_for_itself: "links.one-count",
}


@pytest.mark.parametrize(("defect", "check"), OF_SEVERAL_LINKS.items(), ids=lambda i: getattr(i, "__name__", i))
def test_the_suite_finds_what_goes_wrong_between_links(defect, check, monkeypatch):
    machine = Machine(device("ecram"))
    defect(machine, monkeypatch)
    result = SCPI.run(Reopenable(links_of(machine, "loopback", "scpi")), SCPI.select(["links"]), patience_s=0.1)
    assert check in failures(result)


def not_a_number_is_taken(end, patch):
    sound = Parameters.number

    def lenient(self):
        try:
            return sound(self)
        except ScpiError:
            return 1.0

    patch.setattr(Parameters, "number", lenient)


def the_sign_is_dropped(end, patch):
    sound = Parameters.number
    patch.setattr(Parameters, "number", lambda self: abs(sound(self)) or 1.0)


DEFECTS = {
    event_register_is_not_cleared: "common",
    newest_error_first: "queue",
    queue_without_bound: "queue",
    unknown_headers_are_ignored: "codes",
    a_failed_unit_ends_the_message: "units",
    byte_order_is_ignored: "order",
    reset_keeps_the_byte_order: "common.reset",
    a_line_feed_ends_a_block: "blocks",
    pieces_are_messages: "messages.in-pieces",
    block_lengths_are_not_checked: "blocks.wrong-length",
    acts_are_not_counted: "transactions",
    refused_acts_are_counted: "transactions.counted",
    refused_armed_verbs_are_counted: "transactions.armed",
    readings_are_no_armed_verbs: "transactions.armed",
    armed_verbs_that_come_again_are_counted_again: "transactions.armed",
    pulse_queries_pulse_twice: "transactions.pulses",
    numbers_are_taken_and_forgotten: "transactions.numbered",
    a_nonce_takes_the_kept_answer_away: "transactions.numbered",
    repeated_messages_are_done_again: "transactions.numbered",
    the_number_alone_is_compared: "transactions.number-taken",
    answers_are_kept_without_their_refusals: "transactions.refusal-kept",
    echo_loses_its_quotes: "transactions.nonce",
    replies_on_lines_of_their_own: "messages",
    headers_always_from_the_root: "messages.tree",
    queue_bit_is_missing: "common.queue-bit",
    clear_status_turns_outputs_off: "outputs.reset",
    statistics_of_one_sample: "settle.statistics",
    wait_is_done_twice: "transactions.wait",
    closing_is_not_seen: "outputs.link-lost",
    closing_disarms_without_a_trip: "outputs.link-lost",
    blocks_of_any_length_are_taken: "blocks.too-long",
    messages_with_a_long_block_are_dropped: "blocks.too-long",
    long_blocks_are_cut_short: "blocks.too-long",
    not_a_number_is_taken: "codes.not-a-number",
    the_sign_is_dropped: "limits.signs",
}
ONE_CHECK_EACH = ("outputs.link-lost", "blocks.too-long")
NEITHER_CELLS_NOR_SETTLING = ["common", "queue", "codes", "units", "messages", "blocks", "order", "outputs", "recovery"]


def wire_to(end):
    """A link to an endpoint, whose methods a defect may have replaced, that can be closed and opened again."""
    return Reopenable(lambda: Loopback(lambda data: end.feed(data), "loopback", lambda: end.closed()))


@pytest.mark.parametrize(("defect", "group"), DEFECTS.items(), ids=lambda item: getattr(item, "__name__", item))
def test_the_suite_finds(defect, group, monkeypatch):
    end = instrument("ecram")
    defect(end, monkeypatch)
    found = SCPI.run(wire_to(end), SCPI.select([group]), patience_s=0.1)
    assert not found.conforms


@pytest.mark.parametrize(
    "defect", [d for d, check in DEFECTS.items() if check in ("outputs.link-lost", "blocks.too-long")]
)
def test_lost_links_and_long_blocks_have_one_check_each(defect, monkeypatch):
    end = instrument("ecram")
    defect(end, monkeypatch)
    found = SCPI.run(wire_to(end), SCPI.select(NEITHER_CELLS_NOR_SETTLING), patience_s=0.1)
    assert set(failures(found)) == {DEFECTS[defect]}


def test_a_wire_that_cannot_be_opened_again_skips_the_check_of_lost_links():
    result = SCPI.run(Loopback(instrument().feed), SCPI.select(["outputs.link-lost"]))
    assert [o.verdict for o in result.outcomes] == ["skipped"] and "opened anew" in result.outcomes[0].seen


@pytest.mark.parametrize("group", sorted(set(DEFECTS.values())))
def test_a_sound_instrument_passes_the_groups_that_find_defects(group):
    end = instrument("ecram")
    assert SCPI.run(wire_to(end), SCPI.select([group]), patience_s=0.5).conforms

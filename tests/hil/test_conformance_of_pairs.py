"""Weights of several pairs of cells, and numbers that cannot be, before the conformance suites."""

from dataclasses import replace

import pytest

from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs import device_numbers
from firmware_specs.codes import Opcode, Parameter
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.messages import FabricInfo, pack_parameters
from hil.conformance.suite import SCPI, SERIAL
from hil.counterparts.opening.wire import links_of


def with_pairs(name="discrete-board", **cells):
    document = load(name).model_dump(mode="json", exclude_unset=True)
    document["cells"] |= {"pairs": 3, "significance": 0.5} | cells
    return Datasheet.model_validate(document)


def outcomes(machine, checks):
    found = SERIAL.run(Loopback(SerialEndpoint(machine, "x").feed), SERIAL.select(checks))
    return {outcome.check.name: outcome for outcome in found.outcomes}


def answering(sheet, opcode, change):
    """A sound machine whose reply to one opcode is changed."""
    machine = Machine(Device(Chip(sheet, 1)))
    able, sound = machine._able, machine._able[int(opcode)]
    able[int(opcode)] = (*sound[:2], lambda device, payload, door: change(sound[2](device, payload, door)))
    return machine


def stating(sheet, numbers, without=()):
    said = device_numbers.parameters(sheet) | numbers
    payload = pack_parameters({n: value for n, value in said.items() if n not in without})
    return answering(sheet, Opcode.PARAMETERS, lambda reply: payload)


def test_firmware_with_pairs_conforms_on_both_protocols():
    groups = ["settle", "identity", "cells"]
    machine = Machine(Device(Chip(with_pairs(), 1)))
    result = SERIAL.run(Loopback(SerialEndpoint(machine, "x").feed), SERIAL.select(groups))
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    passed = {o.check.name for o in result.outcomes if o.verdict == "passed"}
    assert {"settle.pairs", "settle.weights", "identity.parameters"} <= passed
    links = Reopenable(links_of(Machine(Device(Chip(with_pairs(), 1))), "loopback", "scpi"))
    found = SCPI.run(links, SCPI.select(["settle", "identity"]), patience_s=0.5)
    assert found.conforms, [(o.check.name, o.seen) for o in found.outcomes if o.verdict == "failed"]
    assert "settle.pairs" in {o.check.name for o in found.outcomes if o.verdict == "passed"}


def test_firmware_that_states_a_significance_and_has_another_is_found():
    device = Device(Chip(with_pairs(significance=0.25), 1))
    device.sheet = with_pairs()  # what it says
    result = SERIAL.run(Loopback(SerialEndpoint(Machine(device), "x").feed), SERIAL.select(["settle"]))
    assert "settle.pairs" in {o.check.name for o in result.outcomes if o.verdict == "failed"}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("name", "pairs", "significance", "verdict"),
    [
        ("discrete-board", 3, 1 / 16, "passed"),
        ("discrete-board", 3, 0.1, "passed"),
        ("discrete-board", 8, 0.5, "passed"),
        ("discrete-board", 8, 1.0, "passed"),
        ("discrete-board", 2, 1e-3, "skipped"),
        ("discrete-board", 8, 1e-15, "skipped"),
        ("reram-few-levels", 3, 0.5, "passed"),
        ("reram-few-levels", 8, 0.5, "passed"),
        ("reram-few-levels", 8, 1.0, "passed"),
        ("reram-few-levels", 3, 1 / 16, "skipped"),
    ],
)
def test_noise_as_shipped_fails_no_pair_and_what_it_hides_is_said(name, pairs, significance, verdict, seed):
    machine = Machine(Device(Chip(with_pairs(name, pairs=pairs, significance=significance), seed)))
    found = outcomes(machine, ["settle.weights", "settle.pairs", "identity.parameters"])
    assert not [(o.check.name, o.seen) for o in found.values() if o.verdict == "failed"]
    assert found["settle.pairs"].verdict == verdict
    if verdict == "skipped" or (name == "reram-few-levels" and significance < 1):
        assert f"does not tell pairs {1 if verdict == 'skipped' else 2} (" in found["settle.pairs"].seen


def test_a_pair_that_counts_although_it_is_said_to_count_nearly_nothing_is_found():
    found = outcomes(stating(with_pairs(significance=0.5), {35: 1e-3}), ["settle.pairs"])
    assert "outputs of pair 1 have" in found["settle.pairs"].seen and found["settle.pairs"].verdict == "failed"


@pytest.mark.parametrize(("significance", "verdict"), [(1.0, "passed"), (0.5, "failed")])
def test_a_significance_that_is_not_stated_is_1(significance, verdict):
    machine = stating(with_pairs(pairs=2, significance=significance), {}, without=(35,))
    found = outcomes(machine, ["identity.parameters", "settle.pairs"])
    assert found["identity.parameters"].verdict == "passed", found["identity.parameters"].seen
    assert found["settle.pairs"].verdict == verdict, found["settle.pairs"].seen


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (Parameter.PAIRS, 2.5),
        (Parameter.PAIRS, 1e15),
        (Parameter.PAIRS, 0.0),
        (Parameter.PAIR_SIGNIFICANCE, 1.5),
        (Parameter.CELL_BITS, 1e15),
        (Parameter.CELL_BITS, 1e300),
        (Parameter.CELL_BITS, 2.5),
        (Parameter.MAX_READS, -1e300),
        (Parameter.TRANSIMPEDANCE_OHM, 0.0),
    ],
)
def test_a_number_that_cannot_be_gets_a_verdict_that_names_it(number, value):
    found = outcomes(stating(with_pairs(), {number: value}), ["identity", "cells", "settle"])
    failed = {o.check.name: o.seen for o in found.values() if o.verdict == "failed"}
    assert f"PARAMETERS states {number.name.lower()} ({int(number)}) as {value:g}; " in failed["identity.parameters"]


@pytest.mark.parametrize("number", [Parameter.CELL_BITS, Parameter.G_MAX_S, Parameter.TRANSIMPEDANCE_OHM])
def test_a_number_that_is_missing_gets_a_verdict_that_names_it(number):
    found = outcomes(stating(with_pairs(), {}, without=(number,)), ["identity", "cells", "settle"])
    failed = {o.check.name: o.seen for o in found.values() if o.verdict == "failed"}
    assert number.name in failed["identity.parameters"]
    assert f"PARAMETERS does not state {number.name.lower()}" in failed["settle.weights"]


@pytest.mark.parametrize(("units", "verdict"), [(2, "failed"), (1 << 31, "skipped")])
def test_layers_that_no_host_holds_get_a_verdict_in_words(units, verdict):
    def change(reply):
        return replace(FabricInfo.parse(reply), layers=(1 << 30, 1 << 30), max_units=units).pack()

    found = outcomes(answering(with_pairs(), Opcode.FABRIC, change), ["cells"])
    assert found and all("FABRIC names layers of" in o.seen for o in found.values() if o.verdict == verdict)
    assert any(o.verdict == verdict for o in found.values())

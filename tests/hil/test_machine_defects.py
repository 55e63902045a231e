"""Defects of a device below its protocol: both suites find every one of them.

A defect is a function that breaks a sound machine; beside it stands the group of checks that must notice.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from drivers.reopenable import Reopenable
from emulator import updating
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.outputs import Outputs
from emulator.verbs import VERBS
from firmware_specs.codes import Opcode, State
from firmware_specs.datasheet import load
from firmware_specs.datasheet.coincidence import Coincidence
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.messages import Coincide, SettleReply, Term
from hil.conformance.suite import suite_of
from hil.counterparts.opening.wire import links_of


def set_verb(machine, opcode, new):
    able = machine._able
    able[int(opcode)] = (*able[int(opcode)][:2], new)


def loosen(machine, verb, **factors):
    """Checks one verb against limits that are wider than the active ones."""
    sound = VERBS[verb]

    def careless(device, payload, door):
        true = device.active
        device.active = replace(true, **{k: getattr(true, k) * f for k, f in factors.items()})
        try:
            return sound(device, payload, door)
        finally:
            device.active = true

    set_verb(machine, verb, careless)


def watchdog_never_trips(machine, patch):
    machine.device.outputs.run_out = lambda: False


def traffic_does_not_feed(machine, patch):
    for name in ("feed", "worked"):
        patch.setattr(Outputs, name, lambda self, door: None)


def trip_is_not_latched(machine, patch):
    patch.setattr(Outputs, "trip", lambda self, cause: self.on and (self.disarm(cause.name) or True))


def outputs_stay_on(machine, patch):
    set_verb(machine, Opcode.DISARM, lambda device, payload, door: b"")


def arms_without_watchdog(machine, patch):
    sound = VERBS[Opcode.ARM]

    def careless(device, payload, door):
        if not device.outputs.watchdog_s:
            device.outputs.watchdog_s = 60.0
        return sound(device, payload, door)

    set_verb(machine, Opcode.ARM, careless)


def without_state(patch, state, verb):
    """Does a verb in a state that should refuse it."""
    sound = Machine._check_state

    def careless(self, asked, rule, door):
        if (asked, self.device.outputs.state) != (verb, state):
            sound(self, asked, rule, door)

    patch.setattr(Machine, "_check_state", careless)


def writes_while_safe(machine, patch):
    without_state(patch, State.SAFE, Opcode.WRITE_CELLS)


def pulses_while_tripped(machine, patch):
    without_state(patch, State.TRIPPED, Opcode.PULSE)


def self_test_while_armed(machine, patch):
    sound = VERBS[Opcode.SELF_TEST]

    def careless(device, payload, door):
        state, device.outputs.state = device.outputs.state, State.SAFE
        try:
            return sound(device, payload, door)
        finally:
            device.outputs.state = state

    set_verb(machine, Opcode.SELF_TEST, careless)


def heat_is_not_seen(machine, patch):
    patch.setattr(Device, "too_hot", False)


def heat_is_forgotten(machine, patch):
    def careless(device, payload, door):
        device.outputs.clear()
        return b""

    set_verb(machine, Opcode.CLEAR, careless)


def drive_limit_off_by_one(machine, patch):
    step = 1 / machine.device.sheet.drive_dac.max_code
    loosen(machine, Opcode.SETTLE, max_drive_a=1 + 8 * step)


def read_limit_too_wide(machine, patch):
    loosen(machine, Opcode.MEASURE, max_read_v=1.01)


def nudge_limit_too_wide(machine, patch):
    loosen(machine, Opcode.SETTLE, max_drive_a=1.2)


def energy_is_not_held_against_the_budget(machine, patch):
    loosen(machine, Opcode.PULSE, max_energy_per_cell_j=1e9)


def writes_are_not_held_against_the_budget(machine, patch):
    loosen(machine, Opcode.WRITE_CELLS, max_pulses_per_cell=1e9)


def reset_forgets_what_cells_had(machine, patch):
    device, restart, usage = machine.device, machine.device.restart, machine.device.ledger.usage

    def forgetful():
        restart()
        device.ledger.usage = lambda region: tuple(np.zeros_like(values) for values in usage(region))

    device.restart = forgetful


def nudge_of_wrong_sign(machine, patch):
    settle = machine.device.chip.settle
    machine.device.chip.settle = lambda array, drive, nudges=(), *rest, **more: settle(
        array, drive, [-n for n in nudges], *rest, **more
    )


def clipped_drives_are_not_counted(machine, patch):
    sound = VERBS[Opcode.SETTLE]

    def silent(device, payload, door):
        reply = SettleReply.parse(sound(device, payload, door))
        return replace(reply, clipped=np.zeros_like(reply.clipped)).pack()

    set_verb(machine, Opcode.SETTLE, silent)


def line_limit_too_wide(machine, patch):
    loosen(machine, Opcode.PRODUCT, max_read_v=2.0)


def line_products(machine, change):
    sound = machine.device.chip.line_product
    machine.device.chip.line_product = lambda array, volts, transposed, plane, reads: change(
        sound(array, volts, transposed, plane, reads), transposed
    )


def rows_of_a_product_are_mixed_up(machine, patch):
    line_products(machine, lambda amps, transposed: amps if transposed else amps.roll(1, dims=-1))


def transposed_products_are_negated(machine, patch):
    line_products(machine, lambda amps, transposed: -amps if transposed else amps)


def updates(machine, change):
    """Lets UPDATE be asked of the chip with other terms and windows."""
    sound = machine.device.chip.update
    machine.device.chip.update = lambda array, drive, nudges, terms, windows, time_s: sound(
        array, drive, nudges, *change(terms, windows), time_s
    )


def updates_go_the_other_way(machine, patch):
    updates(machine, lambda terms, windows: ([Term(b, a, up) for a, b, up in terms], windows))


def polarity_of_updates_is_not_seen(machine, patch):
    updates(machine, lambda terms, windows: ([Term(a, b, True) for a, b, up in terms], windows))


def updates_contrast_with_the_free_phase_only(machine, patch):
    updates(machine, lambda terms, windows: ([Term(a, a, up) for a, b, up in terms], windows))


def updates_take_too_long(machine, patch):
    updates(machine, lambda terms, windows: (terms, 4 * windows))


def both_planes_of_an_update_move_alike(machine, patch):
    patch.setattr(updating, "_planes", lambda contrast, planes: torch.stack([contrast] * planes, dim=-3))


def done_twice(machine, opcode):
    sound = VERBS[opcode]

    def twice(device, payload, door):
        sound(device, payload, door)
        return sound(device, payload, door)

    set_verb(machine, opcode, twice)


def updates_move_twice(machine, patch):
    done_twice(machine, Opcode.UPDATE)


def updates_are_not_held_against_the_budget(machine, patch):
    loosen(machine, Opcode.UPDATE, max_pulses_per_cell=1e9)


def nudges_of_updates_are_not_limited(machine, patch):
    loosen(machine, Opcode.UPDATE, max_drive_a=1e3)


def trains(machine, change):
    """Lets COINCIDE be asked of the chip with other trains."""
    sound = machine.device.chip.coincide
    machine.device.chip.coincide = lambda array, asked, *shape: sound(array, [change(t) for t in asked], *shape)


def pulsed_rows_move_whole(machine, patch):
    trains(machine, lambda train: replace(train, columns=np.ones_like(train.columns)))


def cells_move_where_one_line_alone_is_pulsed(machine, patch):
    trains(machine, lambda train: replace(train, rows=~train.rows))


def lines_are_numbered_from_the_other_end(machine, patch):
    trains(machine, lambda train: replace(train, columns=train.columns[:, ::-1]))


def polarity_of_trains_is_not_seen(machine, patch):
    trains(machine, lambda train: replace(train, up=True))


def trains_pulse_twice(machine, patch):
    done_twice(machine, Opcode.COINCIDE)


def trains_are_held_against_the_budget_one_by_one(machine, patch):
    sound = VERBS[Opcode.COINCIDE]

    def one_by_one(device, payload, door):
        asked = Coincide.parse(payload)
        return [sound(device, replace(asked, trains=(train,)).pack(), door) for train in asked.trains][-1]

    set_verb(machine, Opcode.COINCIDE, one_by_one)


def height_of_trains_is_not_limited(machine, patch):
    loosen(machine, Opcode.COINCIDE, max_pulse_v=1e3)


def half_selected_cells_are_not_looked_at(machine, patch):
    patch.setattr(Pulses, "effort", lambda law, volts, seconds, up=True: 0.0)


DEFECTS = {
    pulsed_rows_move_whole: "coincidences.counted",
    cells_move_where_one_line_alone_is_pulsed: "coincidences.direction",
    lines_are_numbered_from_the_other_end: "coincidences.counted",
    polarity_of_trains_is_not_seen: "coincidences.direction",
    trains_pulse_twice: "coincidences.counted",
    trains_are_held_against_the_budget_one_by_one: "coincidences.budget",
    height_of_trains_is_not_limited: "coincidences.limit",
    half_selected_cells_are_not_looked_at: "coincidences.half-selected",
    watchdog_never_trips: "watchdog",
    traffic_does_not_feed: "watchdog",
    trip_is_not_latched: "watchdog",
    outputs_stay_on: "outputs.arm",
    arms_without_watchdog: "outputs.watchdog-first",
    writes_while_safe: "outputs.not-armed",
    pulses_while_tripped: "outputs.tripped",
    self_test_while_armed: "outputs.self-test",
    heat_is_not_seen: "outputs.too-hot",
    heat_is_forgotten: "outputs.too-hot",
    drive_limit_off_by_one: "limits.drive",
    read_limit_too_wide: "limits.read",
    nudge_limit_too_wide: "limits.nudge",
    energy_is_not_held_against_the_budget: "pulses.energy",
    writes_are_not_held_against_the_budget: "cells.budget",
    reset_forgets_what_cells_had: "pulses.kept",
    nudge_of_wrong_sign: "settle.nudge-sign",
    clipped_drives_are_not_counted: "settle.clipped",
    line_limit_too_wide: "product.limit",
    rows_of_a_product_are_mixed_up: "product.forward",
    transposed_products_are_negated: "product.transposed",
    updates_go_the_other_way: "updates.direction",
    polarity_of_updates_is_not_seen: "updates.exchanged",
    updates_contrast_with_the_free_phase_only: "updates.direction",
    updates_take_too_long: "updates.direction",
    both_planes_of_an_update_move_alike: "updates.direction",
    updates_move_twice: "updates.counted",
    updates_are_not_held_against_the_budget: "updates.budget",
    nudges_of_updates_are_not_limited: "updates.limit",
}


def failed(protocol, machine, group):
    suite, wire = suite_of(protocol), Reopenable(links_of(machine, "loopback", protocol))
    result = suite.run(wire, suite.select([group]), patience_s=0.1)
    assert result.count("skipped") < len(result.outcomes)
    return {o.check.name: o.seen for o in result.outcomes if o.verdict == "failed"}


def halves():
    """Cells that see half of a pulse where one of their lines alone is pulsed, and do not move by it."""
    sheet = load("ecram")
    pulses = sheet.pulses.model_copy(update={"threshold_v": 0.6})
    return sheet.model_copy(update={"pulses": pulses, "coincidence": Coincidence(half_select=0.5)})


def machine_for(group):
    if group.startswith("coincidences"):
        return Machine(Device(Chip(halves(), seed=1)))
    datasheet = {"product": "openmena-8x8-like", "updates": "self-updating"}.get(group.partition(".")[0], "ecram")
    return Machine(Device(Chip(load(datasheet), seed=1)))


@pytest.mark.parametrize("protocol", ["serial", "scpi"])
@pytest.mark.parametrize(
    ("defect", "group"),
    [pytest.param(*found, marks=pytest.mark.long if "watchdog" in found[1] else ()) for found in DEFECTS.items()],
    ids=lambda item: getattr(item, "__name__", item),
)
def test_both_suites_find(defect, group, protocol, monkeypatch):
    machine = machine_for(group)
    defect(machine, monkeypatch)
    assert failed(protocol, machine, group)


@pytest.mark.parametrize(
    "group", sorted({g for g in DEFECTS.values() if g.startswith(("product", "updates", "coincidences"))})
)
def test_a_sound_device_passes(group):
    assert not failed("serial", machine_for(group), group)

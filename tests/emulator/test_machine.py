import numpy as np
import pytest

from emulator.chip import Chip
from emulator.device import Device
from emulator.refused import Refused
from firmware_specs import messages
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.codes import RULES, TRIP_FAULT, Capability, DeviceFlag, ErrorCode, Opcode, State, Trip
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.messages import Patch, Region, Settle, WriteCells
from firmware_specs.topology import Conv, Layer, Topology


def status(ask):
    return messages.Status.parse(ask(Opcode.STATUS, door="looker"))


def write(region, codes, positions=None):
    return WriteCells(region.array, (Patch(region, np.array(codes, "u4"), positions),))


def test_a_device_says_what_it_is(ask, device):
    identity = messages.Identity.parse(ask(Opcode.IDENTIFY))
    assert (identity.model, identity.serial, identity.boot) == ("mixed-8bit", "seed-3", 7)
    fabric = messages.FabricInfo.parse(ask(Opcode.FABRIC))
    assert (fabric.arrays, fabric.max_layers, fabric.resistive) == (8, 8, False)
    drive = messages.parse_converters(ask(Opcode.CONVERTERS))[0]
    assert (drive.bits, drive.low, drive.high, drive.ideal) == (8, -4e-4, 4e-4, False)
    assert messages.parse_parameters(ask(Opcode.PARAMETERS))[2] == 1e4
    limits = messages.LimitsInfo.parse(ask(Opcode.LIMITS))
    assert limits.absolute == limits.active and limits.active.max_drive_a == 5e-4


def test_power_on_is_safe_and_nothing_that_drives_is_done(ask):
    assert status(ask).state is State.SAFE
    for opcode, rule in RULES.items():
        if rule.armed:
            refused = ask(opcode)
            assert refused.code in (ErrorCode.NOT_ARMED, ErrorCode.UNSUPPORTED)


def test_outputs_go_on_only_after_the_watchdog_is_set(ask, device):
    assert ask(Opcode.ARM).code == ErrorCode.NO_WATCHDOG and not device.outputs.on
    ask(Opcode.WATCHDOG, messages.pack_number(0.5))
    assert messages.parse_number(ask(Opcode.ARM)) == 0.5 and device.outputs.on


def test_the_watchdog_turns_outputs_off_and_latches(ask, armed, device, clock, machine):
    clock.now += 1.9
    assert status(ask).state is State.ARMED
    clock.now += 0.1
    device.poll()
    assert not device.outputs.on
    assert device.journal.of("outputs")[-1].text == "outputs off: tripped, WATCHDOG"
    assert machine.flags == DeviceFlag.TRIPPED | DeviceFlag.FAULTS
    assert ask(Opcode.ARM).code == ErrorCode.TRIPPED
    assert ask(Opcode.SETTLE).detail == Trip.WATCHDOG
    (fault,) = messages.FaultLog.parse(ask(Opcode.FAULT_LOG, messages.FaultQuery())).entries
    assert fault.code == TRIP_FAULT + Trip.WATCHDOG
    ask(Opcode.CLEAR)
    assert status(ask).state is State.SAFE and machine.flags == 0
    ask(Opcode.ARM)
    assert device.outputs.on


def test_traffic_of_the_owner_keeps_outputs_on_and_that_of_others_does_not(ask, armed, device, clock):
    for _ in range(5):
        clock.now += 1.5
        ask(Opcode.HEARTBEAT)
    assert device.outputs.on
    for _ in range(2):
        clock.now += 1.1
        ask(Opcode.HEARTBEAT, door="other")
    assert not device.outputs.on


@pytest.mark.parametrize("seconds", [0.0, 0.001, 61.0, -1.0, float("nan"), float("inf")])
def test_a_watchdog_outside_its_range_is_refused(ask, seconds):
    assert ask(Opcode.WATCHDOG, messages.pack_number(seconds)).code == ErrorCode.MALFORMED


def test_disarm_works_from_every_door_and_every_state(ask, armed, device):
    assert ask(Opcode.DISARM, door="other") == b"" and not device.outputs.on
    assert ask(Opcode.DISARM) == b""
    ask(Opcode.ARM)
    device.trip(Trip.EMERGENCY_STOP, "button")
    assert ask(Opcode.DISARM) == b"" and status(ask).state is State.TRIPPED


def test_another_door_is_told_who_owns_the_armed_device(ask, armed):
    for opcode in (Opcode.SETTLE, Opcode.WRITE_CELLS, Opcode.CONFIGURE, Opcode.RESET, Opcode.ARM):
        refused = ask(opcode, door="intruder")
        assert refused.code == ErrorCode.BUSY and "bench" in refused.text


def test_a_closed_link_trips_what_it_owned(device, ask, armed):
    device.link_closed("other")
    assert device.outputs.on
    device.link_closed("bench")
    assert status(ask).trip is Trip.LINK_LOST


def test_reset_forgets_topologies_watchdog_and_limits_but_not_usage(ask, armed, device):
    ask(Opcode.WRITE_CELLS, write(armed.region, np.ones((5, 3))))
    ask(Opcode.RESET)
    assert device.boot == 8 and not device.outputs.on
    assert ask(Opcode.ARM).code == ErrorCode.NO_WATCHDOG
    assert ask(Opcode.TOPOLOGY, messages.pack_array(0)).code == ErrorCode.NOT_CONFIGURED
    ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([4, 3])))
    assert messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses.tolist() == [[1] * 3] * 5


def test_limits_tighten_while_armed_and_widen_only_while_safe(ask, armed, device):
    tighter = messages.LimitsRecord(1e-4, 0.1, 3.0, 1e-3, 5.0, float("inf"), 358.0, float("inf"))
    assert messages.LimitsRecord.parse(ask(Opcode.SET_LIMITS, tighter)) == tighter
    assert ask(Opcode.SET_LIMITS, device.absolute).code == ErrorCode.CONFLICT
    ask(Opcode.DISARM)
    assert ask(Opcode.SET_LIMITS, device.absolute) == device.absolute.pack()
    beyond = messages.LimitsRecord(1.0, 0.1, 3.0, 1e-3, 5.0, float("inf"), 358.0, float("inf"))
    assert ask(Opcode.SET_LIMITS, beyond).code == ErrorCode.OUT_OF_RANGE


def test_currents_beyond_the_active_limit_are_refused_before_anything_is_driven(ask, armed, device):
    tighter = messages.LimitsRecord(1e-4, 0.1, 3.0, 1e-3, 5.0, float("inf"), 358.0, float("inf"))
    ask(Opcode.SET_LIMITS, tighter)
    refused = ask(Opcode.SETTLE, Settle(0, armed.drive, (), (0,)))
    assert (refused.code, refused.detail) == (ErrorCode.LIMIT, 0)
    assert not [e for e in device.journal.of("setpoint") if e.text.startswith("settle")]
    inside = np.full((2, 4), 128, "u1")
    assert isinstance(ask(Opcode.SETTLE, Settle(0, inside, (), (0,))), bytes)


def test_a_settle_answers_free_and_nudged_phases(ask, armed, device):
    request = Settle(0, armed.drive, (armed.nudge, armed.nudge), layers=(1, 0))
    reply = messages.SettleReply.parse(ask(Opcode.SETTLE, request))
    assert reply.settled.all() and reply.settled.shape == (3, 2)
    assert [codes.shape for codes in reply.states] == [(3, 2, 3), (3, 2, 4)]
    assert [codes.dtype.itemsize for codes in reply.states] == [1, 1]
    assert reply.clipped.tolist() == [2, 0]
    values = device.journal.of("setpoint")[-1].values
    assert values["max_drive_a"] == pytest.approx(4e-4) and values["max_nudge_a"] == pytest.approx(5e-5)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"array": 99}, ErrorCode.OUT_OF_RANGE),
        ({"array": 1}, ErrorCode.NOT_CONFIGURED),
        ({"drive": np.zeros((2, 5), "u1")}, ErrorCode.OUT_OF_RANGE),
        ({"drive": np.zeros((2, 4), "u2")}, ErrorCode.OUT_OF_RANGE),
        ({"nudges": (np.zeros((2, 4), "u1"),)}, ErrorCode.OUT_OF_RANGE),
        ({"layers": (2,)}, ErrorCode.OUT_OF_RANGE),
        ({"layers": (-1,)}, ErrorCode.UNSUPPORTED),
        ({"start": (np.zeros((2, 4), "u1"),)}, ErrorCode.OUT_OF_RANGE),
    ],
)
def test_a_settle_that_does_not_fit_the_array_is_refused(ask, armed, change, code):
    request = {"array": 0, "drive": armed.drive} | change
    assert ask(Opcode.SETTLE, Settle(**request)).code == code


def test_written_cells_read_back_within_the_programming_noise(ask, armed):
    wanted = np.linspace(0, 2**32 - 1, 15).reshape(5, 3).round().astype("u4")
    reply = messages.Written.parse(ask(Opcode.WRITE_CELLS, write(armed.region, wanted)))
    assert (reply.written, reply.failed) == (15, 0)
    got = messages.CellCodes.parse(ask(Opcode.READ_CELLS, messages.ReadCells(armed.region))).codes
    assert np.abs(got.astype(float) - wanted).max() < 0.05 * 2**32


def test_listed_cells_are_written_and_counted_and_no_others(ask, armed):
    positions = np.array([0, 7], "u4")
    before = messages.CellCodes.parse(ask(Opcode.READ_CELLS, messages.ReadCells(armed.region))).codes
    ask(Opcode.WRITE_CELLS, write(armed.region, [2**31, 2**31], positions))
    after = messages.CellCodes.parse(ask(Opcode.READ_CELLS, messages.ReadCells(armed.region))).codes
    assert np.flatnonzero(before != after).tolist() == [0, 7]
    pulses = messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses
    assert pulses.ravel().tolist() == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_a_budget_stops_hard_and_writes_nothing_of_the_request(ask, armed, device):
    five = messages.LimitsRecord(5e-4, 0.1, 3.0, 1e-3, 5.0, float("inf"), 358.0, float("inf"))
    ask(Opcode.SET_LIMITS, five)
    one = Region(0, 0, 0, 2, 1, 1, 1)
    for _ in range(5):
        assert isinstance(ask(Opcode.WRITE_CELLS, write(one, [[2**30]])), bytes)
    refused = ask(Opcode.WRITE_CELLS, write(armed.region, np.full((5, 3), 2**30)))
    assert (refused.code, refused.detail) == (ErrorCode.BUDGET, 7)
    assert messages.CellUsage.parse(ask(Opcode.USAGE, armed.region)).pulses.sum() == 5


@pytest.mark.parametrize(
    "region",
    [Region(0, 1, 0, 0, 1, 0, 1), Region(0, 0, 2, 0, 1, 0, 1), Region(0, 0, 0, 5, 1, 0, 1), Region(0, 0, 0, 0, 1, 2, 2),
     Region(0, 0, 0, 2**32 - 1, 2**32 - 1, 0, 1)],
)  # fmt: skip
def test_regions_outside_what_exists_are_refused(ask, armed, region):
    assert ask(Opcode.READ_CELLS, messages.ReadCells(region)).code == ErrorCode.OUT_OF_RANGE
    assert ask(Opcode.USAGE, region).code == ErrorCode.OUT_OF_RANGE


def test_cells_are_measured_at_a_voltage_within_the_limit(ask, armed):
    one = Region(0, 0, 0, 0, 1, 0, 1)
    ask(Opcode.WRITE_CELLS, write(one, [[2**32 - 1]]))
    amperes = messages.Currents.parse(ask(Opcode.MEASURE, messages.Measure(one, np.array([0.1, -0.2]), 2))).amperes
    assert amperes == pytest.approx([1e-5, 1e-5, -2e-5, -2e-5], rel=0.05)
    refused = ask(Opcode.MEASURE, messages.Measure(one, np.array([0.3])))
    assert (refused.code, refused.detail) == (ErrorCode.LIMIT, 1)


def test_topologies_that_do_not_fit_are_refused_with_the_reason(ask):
    big = Topology(layers=(Layer(shape=(40_000,)),))
    assert "32768" in ask(Opcode.CONFIGURE, messages.Configure(0, big)).text
    assert ask(Opcode.CONFIGURE, messages.Configure(0, resistive_chain(4, [3]))).code == ErrorCode.DOES_NOT_FIT
    assert ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([1] * 9))).code == ErrorCode.DOES_NOT_FIT
    assert ask(Opcode.CONFIGURE, messages.Configure(8, dense_chain([2, 2]))).code == ErrorCode.OUT_OF_RANGE
    conv = Topology(
        layers=(Layer(shape=(1, 4, 4)), Layer(shape=(2, 2, 2))), couplings=(Conv(pre=0, post=1, pool=True),)
    )
    assert messages.Configured.parse(ask(Opcode.CONFIGURE, messages.Configure(0, conv))).cells == ((10, 2),)
    assert messages.parse_topology(ask(Opcode.TOPOLOGY, messages.pack_array(0))) == conv


def test_configuring_the_present_topology_again_keeps_the_cells(ask, armed):
    ask(Opcode.WRITE_CELLS, write(armed.region, np.full((5, 3), 2**31)))
    before = ask(Opcode.READ_CELLS, messages.ReadCells(armed.region))
    ask(Opcode.CONFIGURE, messages.Configure(0, dense_chain([4, 3])))
    assert ask(Opcode.READ_CELLS, messages.ReadCells(armed.region)) == before


def test_a_snapshot_restores_cells_and_noise(ask, armed):
    ask(Opcode.WRITE_CELLS, write(armed.region, np.full((5, 3), 2**31)))
    saved = ask(Opcode.SNAPSHOT)
    first = ask(Opcode.SETTLE, Settle(0, armed.drive, (), (0, 1)))
    ask(Opcode.WRITE_CELLS, write(armed.region, np.zeros((5, 3))))
    assert ask(Opcode.RESTORE, saved).code == ErrorCode.CONFLICT
    ask(Opcode.DISARM)
    assert ask(Opcode.RESTORE, saved) == b""
    ask(Opcode.ARM)
    assert ask(Opcode.SETTLE, Settle(0, armed.drive, (), (0, 1))) == first
    ask(Opcode.DISARM)
    assert ask(Opcode.RESTORE, b"nonsense").code == ErrorCode.MALFORMED


def test_a_board_whose_messages_are_one_frame_keeps_no_snapshot():
    plain, small = load("ideal"), {"max_request": 4056, "max_reply": 4056, "window": 2}
    assert Device(Chip(plain)).capabilities & Capability.SNAPSHOT
    sheet = Datasheet.model_validate(plain.model_dump(exclude_unset=True) | {"link": small})
    assert not Device(Chip(sheet)).capabilities & Capability.SNAPSHOT


def test_unknown_verbs_missing_capabilities_and_stray_payloads_are_told_apart(ask):
    assert ask(0x7F).code == ErrorCode.UNKNOWN_OPCODE
    assert ask(Opcode.PRODUCT).code == ErrorCode.UNSUPPORTED
    assert ask(Opcode.IDENTIFY, b"x").code == ErrorCode.MALFORMED
    assert ask(Opcode.ECHO, b"x" * 100) == b"x" * 100


def test_self_test_is_for_safe_only(ask, armed):
    assert ask(Opcode.SELF_TEST).code == ErrorCode.CONFLICT
    ask(Opcode.DISARM)
    result = messages.SelfTest.parse(ask(Opcode.SELF_TEST))
    assert result.passed and [item.name for item in result.items] == ["clock", "array 0 coupling 0"]


def test_a_bug_in_the_firmware_is_answered_and_turns_outputs_off(ask, armed, device, monkeypatch):
    monkeypatch.setattr(device.chip, "settle", None)
    refused = ask(Opcode.SETTLE, Settle(0, armed.drive))
    assert isinstance(refused, Refused) and refused.code == ErrorCode.INTERNAL
    assert not device.outputs.on and device.outputs.trip_cause is Trip.HARDWARE


def test_a_request_that_takes_longer_than_the_watchdog_does_not_trip_it(ask, armed, device, clock, monkeypatch):
    settle = device.chip.settle

    def slow(*arguments):
        clock.now += 5.0
        return settle(*arguments)

    monkeypatch.setattr(device.chip, "settle", slow)
    assert isinstance(ask(Opcode.SETTLE, Settle(0, armed.drive)), bytes)
    clock.now += 1.0
    assert status(ask).state is State.ARMED

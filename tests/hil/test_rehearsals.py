"""No pulse that nobody chose, and rehearsals that send nothing: seen from the device."""

import json
import threading

import pytest
from typer.testing import CliRunner

from drivers.doors import Options
from drivers.loopback import Loopback
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from emulator.serve import Board, Doors
from firmware_specs.codes import Opcode, Parameter
from firmware_specs.datasheet import load
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.messages import pack_parameters, parse_parameters
from hil.cli import build_app
from hil.conformance.suite import SERIAL
from hil.counterparts.opening.wire import crossbar_of, stand_in
from hil.measuring.characterize.items import CurrentVoltage, PulseResponse
from hil.measuring.characterize.plan import Plan
from hil.measuring.characterize.run import characterize

FEW = {"groups": 6, "pulses": 5, "reads": 2}
DRIVING = {"ARM", "CONFIGURE", "WRITE_CELLS", "PULSE", "MEASURE", "SETTLE", "READ_CELLS", "SET_TEMPERATURE", "WAIT"}
DRIVING |= {"UPDATE"}


class Unsaid(Machine):
    """A device that pulses and names no nominal pulse."""

    def execute(self, opcode, payload, door):
        reply = super().execute(opcode, payload, door)
        if opcode == Opcode.PARAMETERS:
            kept = {n: v for n, v in parse_parameters(reply).items() if n < Parameter.PULSE_LAW}
            return pack_parameters(kept)
        return reply


def device():
    return Device(Chip(load("mixed-8bit").model_copy(update={"pulses": Pulses(law="constant", step=0.01)}), seed=1))


def pulses(device):
    """Amplitude and width of every pulse that reached a cell."""
    return {(e.values["amplitude_v"], e.values["width_s"]) for e in device.journal.of("setpoint") if "pulse" in e.text}


def measured(machine, folder, **settings):
    plan = Plan(rows=4, columns=4, iv=CurrentVoltage(), pulse_response=PulseResponse(**FEW, **settings))
    with crossbar_of(machine, Options(), "x") as crossbar:
        return characterize(crossbar, plan, folder)


def test_cells_get_no_pulse_that_nobody_chose(tmp_path):
    machine = Unsaid(device())
    found = measured(machine, tmp_path / "a")
    assert "nobody has chosen amplitude_v and width_s" in found.skipped["pulse_response"]
    assert "--datasheet" in found.skipped["pulse_response"]
    assert not pulses(machine.device) and "iv" in found.data
    half = measured(Unsaid(device()), tmp_path / "b", amplitude_v=0.7)
    assert "chosen width_s of its pulses" in half.skipped["pulse_response"]


def test_pulses_are_those_of_the_plan_or_the_device_itself(tmp_path):
    for number, (kind, settings, wanted) in enumerate(
        [(Unsaid, {"amplitude_v": 0.7, "width_s": 2e-6}, (0.7, 2e-6)), (Machine, {}, (1.0, 1e-6))]
    ):
        machine = kind(device())
        found = measured(machine, tmp_path / str(number), **settings)
        assert pulses(machine.device) == {wanted}
        assert float(found.data["pulse_response"]["amplitude"][0]) == wanted[0]


def test_a_pulse_beyond_the_limits_is_skipped_with_whose_limit_it_is(tmp_path):
    machine = Machine(device())
    with crossbar_of(machine, Options(limits={"bench file lab.toml": {"max_pulse_v": 0.5}}), "x") as crossbar:
        found = characterize(crossbar, Plan(rows=4, columns=4, pulse_response=PulseResponse(**FEW)), tmp_path / "a")
    assert "1 V, 1e-06 s are beyond max_pulse_v = 0.5 V (bench file lab.toml)" in found.skipped["pulse_response"]


@pytest.mark.parametrize(("kind", "chosen", "wanted"), [
    (Unsaid, None, set()),
    (Unsaid, (0.7, 2e-6), {(0.7, 2e-6)}),
    (Machine, None, {(1.0, 1e-6)}),
])  # fmt: skip
def test_conformance_pulses_with_what_was_chosen(kind, chosen, wanted):
    machine = kind(device())
    checks = SERIAL.select(["pulses", "limits.pulse", "errors", "cells", "transactions", "outputs"])
    result = SERIAL.run(Loopback(SerialEndpoint(machine, "x").feed), checks, pulse=chosen)
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    assert pulses(machine.device) == wanted == ({result.pulsed_with} - {None})
    for volts, seconds in wanted:
        assert f"pulses had {volts:g} V for {seconds:g} s" in result.to_html()
        assert result.to_json()["pulse"] == {"amplitude_v": volts, "width_s": seconds}
    skipped = {o.check.name for o in result.outcomes if o.verdict == "skipped" and "nobody has chosen" in o.seen}
    assert ("pulses.counted" in skipped) == (not wanted)


@pytest.fixture
def board(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    served = Board(device(), Doors(tcp=0))
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    yield served
    served.stop()
    thread.join(30)


def hil(*arguments):
    shown = CliRunner().invoke(build_app(), [str(a) for a in arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("command", ["characterize", "calibrate", "conform"])
def test_a_rehearsal_sends_nothing(board, tmp_path, command, named):
    entry = f'[devices.a]\naddress = "{board.addresses[0]}"\n' + ('datasheet = "mixed-8bit"\n' if named else "")
    (tmp_path / "lab.toml").write_text(entry)
    address = f"bench:{tmp_path / 'lab.toml'}#a" if command != "conform" else board.addresses[0]
    more = {
        "characterize": ["--out", tmp_path / "found", "--size", "4"],
        "calibrate": ["--experiment", "digits", "-o", tmp_path / "c.toml"],
        "conform": ["--only", "pulses", "--only", "limits"],
    }[command]
    said = hil(command, "--device", address, "--dry-run", *more)
    asked = {event.text for event in board.device.journal.of("request")}
    assert not asked & DRIVING
    if named and command != "conform":
        assert not asked, "a device whose datasheet is known is not even opened"
    assert not (tmp_path / "found").exists() and not (tmp_path / "c.toml").exists()
    for words in ("nothing was sent to", "writes", "reads cells", "pulses a cell  at most", "time  "):
        assert words in said
    assert "at most 0 of" not in said, "cells were written, whatever lay over them afterwards"


def test_a_host_that_stands_still_does_not_trip_a_rehearsal(tmp_path):
    """The stand-in stands still with it: the watchdog of a bench file is for a device that lives on."""
    lab = tmp_path / "lab.toml"
    lab.write_text('[devices.a]\naddress = "serial:/dev/none"\ndatasheet = "mixed-8bit"\nwatchdog_s = 0.2\n')
    machine, options = stand_in(f"bench:{lab}#a")
    with crossbar_of(machine, options, "x") as crossbar:
        crossbar.session.arm()
        assert machine.device.outputs.watchdog_s >= 10


def test_a_rehearsal_lists_what_the_real_thing_does(tmp_path):
    """Counts of the rehearsal beside those of the device itself."""
    plan = tmp_path / "plan.toml"
    plan.write_text("rows = 4\ncolumns = 4\n[iv]\n[pulse_response]\ngroups = 6\npulses = 5\n")
    said = hil("characterize", "--device", "emulator:mixed-8bit", "--plan", plan, "--out", tmp_path / "x", "--dry-run")
    hil("characterize", "--device", "emulator:mixed-8bit", "--plan", plan, "--out", tmp_path / "x")
    assert json.loads((tmp_path / "x" / "figures.json").read_text())
    # 6 groups of 5 pulses each way on 2 planes of 16 cells
    assert "pulses up      1 V for 1e-06 s: 960 pulses" in said and "pulses down    1 V for 1e-06 s: 960 pulses" in said
    assert "-0.2, -0.15" in said


def test_training_on_a_rack_can_be_planned_without_it(tmp_path):
    said = hil("train", "iris", "--device", "rack:bench-16x16?allow_no_watchdog=1", "--dry-run",
               "--run-dir", tmp_path / "run")  # fmt: skip
    for words in ("nothing was opened", "2 V either way, 1e-06 .. 0.001 s", "phases", "pulses a cell of the", "nudges"):
        assert words in said
    assert not (tmp_path / "run").exists()
    refused = CliRunner().invoke(build_app(), ["train", "digits", "--device", "reference:", "--dry-run"])
    assert refused.exit_code == 2 and "for racks" in refused.output

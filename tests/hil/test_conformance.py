"""The conformance suite: passes the emulated firmware, and finds seeded defects in it."""

import json
from contextlib import nullcontext
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from drivers.errors import LinkLost
from drivers.loopback import Loopback
from drivers.reopenable import Reopenable
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.codes import State
from firmware_specs.datasheet import load
from hil.cli import build_app
from hil.conformance import feeding, writers
from hil.conformance.checks import CHECKS
from hil.conformance.conversation import Failed, Skipped
from hil.conformance.suite import SERIAL


def endpoint(datasheet="mixed-8bit"):
    return SerialEndpoint(Machine(Device(Chip(load(datasheet), seed=1))), "loopback")


@pytest.mark.long
@pytest.mark.parametrize("datasheet", ["ideal", "mixed-8bit", "discrete-board", "resistive-ideal", "resistive-board"])
def test_the_emulated_firmware_conforms(datasheet):
    result = SERIAL.run(Loopback(endpoint(datasheet).feed))
    assert result.conforms, [(o.check.name, o.seen) for o in result.outcomes if o.verdict == "failed"]
    assert result.count("passed") >= 40


def test_every_check_has_a_name_a_section_and_a_demand_of_its_own():
    assert len(CHECKS) >= 40
    assert len({c.name for c in CHECKS}) == len({c.demand for c in CHECKS}) == len(CHECKS)
    assert all(c.section for c in CHECKS)


def test_a_silent_device_fails_every_check_and_nothing_hangs():
    result = SERIAL.run(Loopback(lambda data: b""), SERIAL.select(["identity"]), patience_s=0.05)
    assert not result.conforms
    assert {o.verdict for o in result.outcomes} == {"failed"}


def test_selecting_an_unknown_check_names_the_groups():
    with pytest.raises(ValueError, match="watchdog"):
        SERIAL.select(["wachdog"])


def test_the_command_writes_table_json_html_and_junit(tmp_path):
    paths = {kind: tmp_path / f"result.{kind}" for kind in ("json", "html", "junit")}
    arguments = ["conform", "--device", "emulator:mixed-8bit", "--only", "identity"]
    arguments += [a for kind, path in paths.items() for a in (f"--{kind}", str(path))]
    shown = CliRunner().invoke(build_app(), arguments)
    assert shown.exit_code == 0, shown.output
    result = json.loads(paths["json"].read_text())
    assert result["failed"] == 0 and result["passed"] + result["skipped"] == len(result["checks"])
    assert "identity.identify" in paths["html"].read_text()
    assert ElementTree.parse(paths["junit"]).getroot().get("failures") == "0"


def test_a_failed_required_check_is_a_failure_in_every_format():
    result = SERIAL.run(Loopback(lambda data: b""), SERIAL.select(["identity.identify"]), patience_s=0.05)
    assert 'failures="1"' in writers.junit(result)
    assert json.loads(writers.to_json(result))["failed"] == 1
    assert "does not conform" in result.summary


class Tripping:
    """A device that trips however often it is fed, behind a clock of its own."""

    def __init__(self, late_s):
        self.now, self.late_s, self.asked = 0.0, late_s, []
        self.status = SimpleNamespace(state=State.TRIPPED)

    def needs(self, capability):
        pass

    def settle_down(self):
        pass

    def arm(self, watchdog_s):
        self.asked.append(watchdog_s)

    def beat(self, seconds):
        self.now += max(seconds, self.late_s)


@pytest.mark.parametrize(
    ("late_s", "times", "words"), [(0.0, 1, "quarter"), (9.0, 3, "late itself"), (0.5, 2, "quarter")]
)
def test_a_trip_that_a_late_host_caused_is_not_laid_at_the_device_s_door(own_clock, late_s, times, words):
    device = Tripping(late_s)
    own_clock(lambda: device.now)
    with pytest.raises(Skipped if words == "late itself" else Failed, match=words):
        feeding.feeds(device, "HEARTBEAT", device.beat)
    assert device.asked == list(feeding.TIMES_S[:times])


@pytest.mark.parametrize(("late_s", "times"), [(0.0, 1), (0.5, 2), (9.0, 3)])
def test_a_trip_that_a_late_host_let_happen_clears_no_device_of_being_fed_by_anything(own_clock, late_s, times):
    device = Tripping(late_s)
    own_clock(lambda: device.now)
    with pytest.raises(Skipped, match="late itself") if times == 3 else nullcontext():
        feeding.does_not_feed(device, "noise", device.beat)
    assert device.asked == list(feeding.TIMES_S[:times])


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_link_that_breaks_is_opened_again_or_ends_the_suite_without_a_verdict(comes_back):
    machine, opened = Machine(Device(Chip(load("mixed-8bit"), seed=1))), []

    def open_link():
        if opened and not comes_back:
            raise LinkLost("opening the port found nothing there")
        endpoint, first = SerialEndpoint(machine, "loopback"), not opened
        opened.append(endpoint)

        def feed(chunk):
            if first and len(heard) >= 40:
                raise LinkLost("the connection is gone")
            heard.append(chunk)
            return endpoint.feed(chunk)

        return Loopback(feed, "loopback", endpoint.closed)

    heard, checks = [], SERIAL.select(["framing", "identity"])
    wire = Reopenable(open_link)
    if comes_back:
        verdicts = [outcome.verdict for outcome in SERIAL.run(wire, checks).outcomes]
        assert verdicts.count("failed") == 1 and verdicts[-1] == "passed"
        return
    with pytest.raises(LinkLost, match="found nothing there") as caught:
        SERIAL.run(wire, checks, patience_s=0.1)
    assert "no verdict" in caught.value.__notes__[0]

"""A rack whose owner hangs, or whose instruments get lost or lie: what is off, what may be on, and who says so."""

import importlib.util
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.errors import DeviceError, LeaseOver, LinkLost, OutputsUncertain, ProtocolViolation
from drivers.loopback import Loopback
from drivers.rack import cells
from drivers.rack.opening import open_rig
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import load_rack
from hil.counterparts.opening.emulate_rack import open_server

spec = importlib.util.spec_from_file_location("adversary_busy", Path(__file__).with_name("busy.py"))
busy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(busy)


class Cables:
    """Loopbacks to the instruments of a virtual rack, each of which can be pulled, for ever or until it is replugged.

    Attributes:
        lies: What an instrument answers instead, by name and question.
    """

    def __init__(self, name):
        self.rack = load_rack(name)
        self.virtual = VirtualRack(self.rack)
        self.pulled, self.gone, self.opened, self.lies = set(), set(), [], {}

    def connect(self, name, spec, seconds):
        self.opened.append(name)
        if name in self.gone:
            raise LinkLost("nobody there", device=name)
        feed, number = self.virtual.feed(name), len(self.opened)

        def wire(data):
            if (name, number) in self.pulled or name in self.gone:
                raise ConnectionResetError("pulled")
            lies = self.lies.get(name, {})
            answer = feed(data)
            for question, lie in lies.items():
                if question in data:
                    return lie
            return answer

        return Loopback(wire, name)

    def pull(self, name):
        """This link is dead, the instrument is not: another link would do."""
        self.pulled |= {(name, number) for number in range(len(self.opened) + 1)}

    def rig(self, **options):
        return Rig(self.rack, self.connect, **options)


def on(cables):
    return list(cables.virtual.bench.outputs_on())


@pytest.mark.parametrize("rack", ["keithley-8x8", "keysight-8x8", "bench-16x16"])
def test_hung_owner_of_a_rack_loses_its_outputs(rack):
    cables = Cables(rack)
    rig = cables.rig(lease_s=0.3)
    cells.read_mode(rig)
    assert on(cables)
    clock = busy.Clock()
    while on(cables):
        assert clock.took_s < 20.0
        time.sleep(0.01)
    assert clock.took_s > 0.1 and clock.own_s < 0.3 + 1.0
    with pytest.raises(LeaseOver, match=r"no sign of life from the program for 0\.3 s: outputs were switched off"):
        rig.measure(rig.rack.roles.force)
    with pytest.raises(DeviceError, match="stays off until it is opened anew"):
        rig.measure(rig.rack.roles.force)
    rig.close()


def test_owner_who_works_and_says_so_keeps_his_rack():
    cables = Cables("keithley-8x8")
    with cables.rig(lease_s=1.5) as rig:  # longer than a busy machine keeps a process waiting
        cells.read_mode(rig)
        with rig.lease.busy(60.0):
            time.sleep(2.0)
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            rig.measure(rig.rack.roles.force)
            time.sleep(0.1)
        assert on(cables)
    assert not on(cables)


def test_a_rack_with_nothing_on_may_be_left_lying(longer):
    cables, lease_s = Cables("keithley-8x8"), 0.2 * longer()
    with cables.rig(lease_s=lease_s) as rig:
        time.sleep(1.5 * lease_s)
        cells.read_mode(rig)
        assert on(cables)


def lose(cables, rig, name):
    with pytest.raises(LinkLost) as lost, rig:
        cells.read_mode(rig)
        cables.pull(name)
        for _ in range(3):
            rig.measure(rig.rack.roles.force)
            rig.measure(rig.rack.roles.sense)
    return "\n".join([str(lost.value), *getattr(lost.value, "__notes__", [])])


@pytest.mark.parametrize("rack", ["keithley-8x8", "keysight-8x8"])
def test_lost_instrument_is_reached_again_and_switched_off(rack):
    cables = Cables(rack)
    rig = cables.rig(watchdog_s=0.2)
    said = lose(cables, rig, rig.rack.roles.force.partition(".")[0])
    assert not on(cables)
    assert "may still be on" not in said and "watchdog" not in said


def test_instrument_that_still_watches_its_lost_host_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    server = open_server("bench-16x16")
    worker = threading.Thread(target=server.run)
    worker.start()
    try:
        rig = open_rig(server.bench_rack(), watchdog_s=0.4, allow_no_watchdog=True)
        with pytest.raises(LinkLost) as lost, rig:
            cells.read_mode(rig)
            assert server.virtual.bench.outputs_on()
            rig.boxes["smu1"].dialogue.close()
            rig.measure(rig.rack.roles.force)
        assert server.virtual.bench.outputs_on() == []
        assert not getattr(lost.value, "__notes__", [])
    finally:
        server.stop()
        worker.join(30)


def test_an_opening_of_a_rack_that_fails_says_where_its_traffic_is(monkeypatch, tmp_path):
    """The last instrument is another one than the rack file says; what went to the ones before is kept, too."""
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = open_server("keithley-8x8")
    worker = threading.Thread(target=server.run)
    worker.start()
    try:
        rack = server.bench_rack()
        last = list(rack.instruments)[-1]
        wrong = rack.instruments[last].model_copy(update={"serial": "not-this-one"})
        rack = rack.model_copy(update={"instruments": {**rack.instruments, last: wrong}})
        with pytest.raises(ProtocolViolation, match="not-this-one") as failed:
            open_rig(rack, allow_no_watchdog=True)
    finally:
        server.stop()
        worker.join(30)
    note = next(note for note in failed.value.__notes__ if "The traffic of this opening is in" in note)
    logs = [Path(path) for path in note.partition(" is in ")[2].split(", ")]
    assert len(logs) == len(rack.instruments)
    assert all(b"*IDN?".hex() in log.read_text() for log in logs)


@pytest.mark.parametrize(("rack", "sentence"), [
    ("keithley-8x8", "it has no watchdog: they stay on until somebody switches them off"),
    ("keysight-8x8", "it has no watchdog: they stay on until somebody switches them off"),
    ("bench-16x16", "it turns them off by itself 0.2 s after the last sign of life"),
])  # fmt: skip
def test_instrument_that_stays_lost_is_named_with_what_it_can(rack, sentence):
    cables = Cables(rack)
    rig = cables.rig(watchdog_s=0.2)
    name = rig.rack.roles.force.partition(".")[0]
    before = len(cables.opened)

    def gone():
        cables.gone.add(name)

    with pytest.raises(LinkLost) as lost, rig:
        cells.read_mode(rig)
        gone()
        for _ in range(3):
            rig.measure(rig.rack.roles.force)
            rig.measure(rig.rack.roles.sense)
    said = "\n".join(lost.value.__notes__)
    assert f"{rig.rack.roles.force} may still be on" in said or f"{rig.rack.roles.force}, " in said
    assert name in said and sentence in said
    assert len(cables.opened) - before == 1, "one bounded attempt"


def test_output_that_stays_on_is_named_though_everything_was_answered():
    cables = Cables("keithley-8x8")
    rig = cables.rig()
    name, _, channel = rig.rack.roles.force.partition(".")
    cells.read_mode(rig)
    cables.lies[name] = {b"OUTPUT?": b"1\n", b"OUTP?": b"1\n"}
    with pytest.raises(OutputsUncertain, match=rf"{name}\.{channel} may still be on: .* says that they are on"):
        rig.close()


@pytest.mark.parametrize("said", ["0", "-1", "nan", "inf", "1e6", "1e300", "2.5", "x", ""])
def test_deadman_that_would_wait_for_another_time_is_not_believed(said):
    cables = Cables("bench-16x16")
    rig = cables.rig(watchdog_s=2.0)
    name = rig.rack.roles.force.partition(".")[0]
    cables.lies[name] = {b"print(hil_watch_s)": said.encode() + b"\n"}
    with pytest.raises(DeviceError):
        cells.read_mode(rig)
    assert not on(cables)
    cables.lies.clear()
    rig.close()


def test_deadman_of_the_time_asked_for_is_believed():
    cables = Cables("bench-16x16")
    with cables.rig(watchdog_s=1.23456789) as rig:
        cells.read_mode(rig)
        assert np.isfinite(rig.measure(rig.rack.roles.force).volts)


def test_foreign_instrument_at_the_address_of_a_lost_one_is_left_alone():
    cables = Cables("keithley-8x8")
    rig = cables.rig()
    name = rig.rack.roles.force.partition(".")[0]
    with pytest.raises(LinkLost) as lost, rig:
        cells.read_mode(rig)
        cables.pull(name)
        cables.lies[name] = {b"*IDN?": b"ACME,OTHER,1,1\n"}
        for _ in range(3):
            rig.measure(rig.rack.roles.force)
            rig.measure(rig.rack.roles.sense)
    assert "may still be on" in "\n".join(lost.value.__notes__)

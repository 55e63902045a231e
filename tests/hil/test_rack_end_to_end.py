"""`iris` through the served rack: sockets, VISA, dialects, instruments, bench file, value seam."""

import json
import signal
import subprocess
import threading
import time
import tomllib

import numpy as np
import pytest

from drivers.errors import Busy, OutOfRange
from drivers.loopback import Loopback
from drivers.rack import cells
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import Rack, load_rack
from hil.cli import main
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.bench_file import BenchFileError, load_device
from hil.counterparts.opening.emulate_rack import bench_file, open_server, write_bench_file


@pytest.fixture
def served(tmp_path, monkeypatch, request):
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))
    server = open_server(getattr(request, "param", "bench-16x16"))
    worker = threading.Thread(target=server.run)
    worker.start()
    path = tmp_path / "lab.toml"
    write_bench_file(server, path)
    yield server, path
    server.stop()
    worker.join(30)


def patient(path):
    """The bench of a host that may stand still for half a minute, on a busy machine, without a trip."""
    text = path.read_text()
    assert text.count("[devices.rack]\n") == 1
    path.write_text(text.replace("[devices.rack]\n", "[devices.rack]\nwatchdog_s = 30.0\n"))
    return path


@pytest.mark.long
def test_training_through_the_served_rack_takes_what_the_plan_said(served, tmp_path):
    server, path = served
    patient(path)
    run = tmp_path / "run"
    energy = "{substrate='resistive',couplings=[{kind='dense',units=2,bias=false},{kind='dense',units=3,bias=false}]}"
    feedforward = "[{kind='flatten'},{kind='mirror',gain=10.0}]"
    small = ["data.train_samples=2", "data.test_samples=1", "run.epochs=1", "run.batch=2"]
    small.append(f"blocks=[{{feedforward={feedforward},energy={energy}}}]")
    arguments = ["train", "iris", "--bench", str(path), "--device", "rack", "--run-dir", str(run)]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *(part for value in small for part in ("--set", value))])
    assert ended.value.code in (0, None)
    report = json.loads((run / "counterpart.json").read_text())
    assert report["phases"] == report["planned_phases"] == 2 * 3 + 1
    assert report["planned_s"] == pytest.approx(report["elapsed_s"], rel=0.2)
    assert server.virtual.bench.outputs_on() == []
    assert not server.virtual.bench.closed


def test_same_seed_gives_the_same_readings_in_process_and_over_sockets(served):
    _, path = served
    patient(path)
    rack = load_rack("bench-16x16")
    virtual, found = VirtualRack(rack), []
    with (
        Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box)) as rig,
        open_bench(f"bench:{path}#rack") as bench,
    ):
        for one in (rig, bench.rig):
            curve = cells.curve(one, 2, 3, [-0.1, 0.2])
            found.append([*cells.product(one, [0.1] * 16), curve.volts, curve.amps])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def test_a_rack_without_a_watchdog_needs_the_override_by_name(served, tmp_path):
    _, path = served
    bare = tmp_path / "bare.toml"
    bare.write_text(path.read_text().replace("allow_no_watchdog = true", "allow_no_watchdog = false"))
    with pytest.raises(OutOfRange, match="no watchdog"):
        open_bench(f"bench:{bare}#rack")


def test_a_second_owner_is_told_who_the_first_is(served):
    _, path = served
    with open_bench(f"bench:{path}#rack"), pytest.raises(Busy, match="owned by process"):
        open_bench(f"bench:{path}#rack")


def test_the_bench_file_says_nothing_of_the_crossbar_behind_it(served):
    server, _ = served
    rack = tomllib.loads(bench_file(server))["devices"]["rack"]["rack"]
    assert "dut" not in rack
    assert all(spec["address"].startswith("TCPIP::127.0.0.1::") for spec in rack["instruments"].values())


def test_a_rack_table_and_its_address_belong_together(tmp_path):
    path = tmp_path / "lab.toml"
    path.write_text('[devices.rack]\naddress = "rack:"\n')
    with pytest.raises(BenchFileError, match="belong together"):
        load_device(path, "rack")


def test_a_rack_whose_sources_watch_themselves_needs_no_override(served, tmp_path):
    _, path = served
    rack = tomllib.loads(path.read_text())["devices"]["rack"]["rack"]
    assert Rack.model_validate(rack).unwatched == ["mainframe"]
    rack["roles"].pop("drive")
    assert Rack.model_validate(rack).unwatched == []


CHILD = """
import sys, time, tomllib
from pathlib import Path
from drivers.rack import cells
from drivers.rack.opening import open_rig
from firmware_specs.racks import Rack
rack = Rack.model_validate(tomllib.loads(Path(sys.argv[1]).read_text())["devices"]["rack"]["rack"])
with open_rig(rack, watchdog_s=float(sys.argv[2]), allow_no_watchdog=True) as rig:
    cells.read_mode(rig)
    cells.select(rig, 0, 0)
    rig.outputs.set_level(rack.roles.force, 0.2)
    rig.outputs.sync()
    print("forcing", flush=True)
    while sys.argv[3] == "measure":
        rig.measure(rack.roles.sense)
        time.sleep(0.05)
    time.sleep(60)
"""


def start_forcing(python, path, watchdog_s=2.0, then="sleep"):
    """A process of its own that holds outputs on."""
    child = python.popen(
        ["-c", CHILD, str(path), str(watchdog_s), then], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout.readline() == "forcing\n"
    return child


def ended(child):
    """Waits for its end; what it complained of."""
    _, said = child.communicate()
    return said


def wait_until(true, seconds):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        threading.Event().wait(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_every_output_off_and_every_relay_open(python, served, number):
    server, path = served
    child = start_forcing(python, path)
    assert server.virtual.bench.outputs_on()
    child.send_signal(number)
    ended(child)
    wait_until(lambda: not (server.virtual.bench.outputs_on() or server.virtual.bench.closed), 2.0)
    assert server.virtual.bench.outputs_on() == []
    assert not server.virtual.bench.closed


def test_kill_9_leaves_no_sourcemeter_on_for_longer_than_its_own_watch(python, served):
    server, path = served
    child = start_forcing(python, path, watchdog_s=1.5)
    assert server.virtual.bench.outputs_on() == ["smu1.a", "smu1.b"]
    child.kill()
    ended(child)
    wait_until(lambda: not server.virtual.bench.outputs_on(), 5.0)
    assert server.virtual.bench.outputs_on() == []


def test_a_host_that_only_thinks_for_long_keeps_its_outputs(python, served):
    server, path = served
    child = start_forcing(python, path, watchdog_s=1.5)
    began, virtual = time.monotonic(), server.virtual
    wait_until(lambda: time.monotonic() > began + 2.5, 4.0)
    assert virtual.bench.outputs_on() == ["smu1.a", "smu1.b"]
    child.terminate()
    ended(child)


def test_a_host_that_stood_still_is_told_that_its_outputs_are_off(python, served):
    server, path = served
    child = start_forcing(python, path, watchdog_s=1.5, then="measure")
    child.send_signal(signal.SIGSTOP)
    wait_until(lambda: not server.virtual.bench.outputs_on(), 5.0)
    child.send_signal(signal.SIGCONT)
    assert "the instrument switched its outputs off" in ended(child)
    assert child.returncode == 1
    assert not server.virtual.bench.closed


@pytest.mark.parametrize("served", ["keysight-8x8"], indirect=True)
def test_what_a_killed_host_left_on_is_found_named_and_switched_off(python, served, capsys):
    server, path = served
    child = start_forcing(python, path)
    child.kill()
    ended(child)
    left = server.virtual.bench.outputs_on()
    assert left == ["smu.1", "smu.2"]
    for said in ("smu.1, smu.2 found on and switched off", "everything was off"):
        with pytest.raises(SystemExit):
            main(["clear", f"bench:{path}#rack"])
        assert said in capsys.readouterr().out
        assert server.virtual.bench.outputs_on() == []
        assert not server.virtual.bench.closed

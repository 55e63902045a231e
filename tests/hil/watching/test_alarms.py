"""Alarms: the right ones go out, once, to whom the bench file says, and never hurt the run."""

import http.server
import json
import os
import sys
import threading
import time
from importlib import resources

import pytest

from drivers.errors import DeviceFault, LinkLost, OutOfRange
from drivers.lock import DeviceLock
from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.codes import ErrorCode
from firmware_specs.datasheet import load
from hil.cli import main
from hil.counterparts.opening.bench_file import Alarm, BenchFileError, parse
from hil.watching.alarm import kind_of, sound
from hil.watching.events import EventLog, last, read

SMALL = """
[data]
name = "digits"
train_samples = 100
test_samples = 20
[[blocks]]
feedforward = [{ kind = "flatten" }, { kind = "linear", units = 12 }]
[blocks.energy]
couplings = [{ kind = "dense", units = 8 }]
[run]
epochs = 2
batch = 50
"""


@pytest.fixture(autouse=True)
def notes_of_this_test(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LEDGERS", str(tmp_path / "state" / "ledgers"))
    monkeypatch.setenv("CROSSBAR_HIL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def receiver():
    """A web server that remembers what it was told; its address and what it got."""
    got = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(302 if self.path == "/away" else 204)
            self.send_header("location", "/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def board():
    made = Board(Device(Chip(load("mixed-8bit"), 0)), Doors(tcp=0))
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    yield made
    made.stop()
    thread.join(30)


def train(tmp_path, address, alarm, name="run"):
    (tmp_path / "small.toml").write_text(SMALL)
    lab = tmp_path / "lab.toml"
    lab.write_text(f'[devices.chip]\naddress = "{address}"\n[alarm]\n{alarm}\n')
    lab.chmod(0o644)
    with pytest.raises(SystemExit) as done:
        main(["train", str(tmp_path / "small.toml"), "--bench", str(lab), "--device", "chip",
              "--run-dir", str(tmp_path / name)])  # fmt: skip
    return done.value.code


def test_a_training_that_is_done_and_one_that_trips_are_told(tmp_path, receiver, board, capsys):
    url, got = receiver
    assert train(tmp_path, board.addresses[0], f'webhook = "{url}/hook"') == 0
    assert [event["alarm"] for event in got] == ["finished"] and got[0]["run"].endswith("run")
    assert "the webhook answered 204" in capsys.readouterr().out
    board.device.chip.conditions.set_temperature(301.0)
    settle, seen = board.device.chip.settle, []

    def too_hot(*arguments, **more):
        seen.append(1)
        if len(seen) == 3:
            board.device.chip.conditions.set_temperature(900.0)
        return settle(*arguments, **more)

    board.device.chip.settle = too_hot
    assert train(tmp_path, board.addresses[0], f'webhook = "{url}/hook"', "hot") == 3
    assert [event["alarm"] for event in got] == ["finished", "trip"]
    assert not board.device.outputs.on and last(tmp_path / "hot", "ended")["why"] == "failed"
    assert any(event["kind"] == "fault" for event in read(tmp_path / "hot"))


def test_the_rate_is_limited_by_kind_and_a_kind_may_be_left_out(tmp_path, receiver):
    url, got = receiver
    alarm = Alarm(webhook=url, on=("trip", "lost"), every_s=3600)
    path = tmp_path / "lab.toml"
    path.write_text("")
    told = [sound(path, alarm, {"alarm": kind}) for kind in ("trip", "trip", "lost", "finished", "trip")]
    assert [event["alarm"] for event in got] == ["trip", "lost"]
    assert "less than 3600 s ago" in told[1] and "nobody asked" in told[3]


def test_a_receiver_that_fails_or_sends_elsewhere_is_said_and_nothing_more(tmp_path, receiver):
    url, got = receiver
    path = tmp_path / "lab.toml"
    path.write_text("")
    assert "failed" in sound(path, Alarm(webhook=f"{url}/away", every_s=0), {"alarm": "trip"}) and len(got) == 1
    assert "failed" in sound(path, Alarm(webhook="http://127.0.0.1:9", every_s=0), {"alarm": "trip"})


def test_a_command_gets_the_event_and_is_run_from_ones_own_file_alone(tmp_path):
    path, out = tmp_path / "lab.toml", tmp_path / "out"
    path.write_text("")
    program = f"import sys, pathlib; pathlib.Path({str(out)!r}).write_text(sys.stdin.read())"
    alarm = Alarm(command=(sys.executable, "-c", program), every_s=0)
    path.chmod(0o666)
    assert "others may write" in sound(path, alarm, {"alarm": "trip"}) and not out.exists()
    path.chmod(0o644)
    assert "ended with 0" in sound(path, alarm, {"alarm": "trip", "text": "$(touch x); `id`"})
    assert json.loads(out.read_text())["text"] == "$(touch x); `id`"
    assert "failed" in sound(path, Alarm(command=("/no/such/program",), every_s=0), {"alarm": "trip"})
    if hasattr(os, "chown") and os.getuid() == 0:
        os.chown(path, 12345, -1)
        assert "somebody else" in sound(path, alarm, {"alarm": "trip"})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DeviceFault(ErrorCode.TRIPPED, "tripped: WATCHDOG", asked="x", device="d"), "trip"),
        (LinkLost("gone"), "lost"),
        (KeyboardInterrupt(), "stop"),
        (OutOfRange("no"), "failed"),
        (ValueError("diverged"), "failed"),
    ],
)
def test_errors_are_told_by_their_kind(error, kind):
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("alarm", "said"),
    [
        ("", "an alarm needs a webhook or a command"),
        ('webhook = "file:///etc/passwd"', "webhook"),
        ('webhook = "http://x"\non = ["fire"]', "on"),
        ('webhok = "http://x"', "webhok"),
    ],
)
def test_an_alarm_that_would_never_sound_is_refused_when_the_file_is_read(alarm, said):
    with pytest.raises(BenchFileError, match=said):
        parse(f'[devices.a]\naddress = "reference:"\n[alarm]\n{alarm}\n', "lab.toml")


def test_status_says_what_runs_and_who_has_which_device(scene, characterized, studied, tmp_path, capsys):
    scene("one", title="overnight").steps(30).device().running()
    scene("two").steps(3).tripped()
    lab = tmp_path / "lab.toml"
    (tmp_path / "ttyQ8").touch()
    text = f'[devices.a]\naddress = "serial:/dev/ttyQ7"\n[devices.b]\naddress = "serial:{tmp_path}/ttyQ8"\n'
    lab.write_text(text)
    with DeviceLock("serial:/dev/ttyQ7"), pytest.raises(SystemExit) as done:
        main(["status", str(tmp_path / "runs"), "--bench", str(lab)])
    assert done.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"pid {os.getpid()}" in lines[0] or str(os.getpid()) in lines[0]
    assert lines[0].startswith("a  serial:/dev/ttyQ7  in use by") and lines[1].endswith("free")
    assert lines[2].startswith("running") and "step 30/100" in lines[2] and "outputs on, chip 301.5 K" in lines[3]
    rest = "\n".join(lines[4:])
    for text in ("acme xbar 7", "2 of 3 points done", "OVER_TEMPERATURE", "1 failed"):
        assert text in rest


def test_status_says_how_a_device_in_use_is_and_what_became_of_the_others(python, scene, tmp_path, capsys):
    lab, port = tmp_path / "lab.toml", tmp_path / "ttyQ9"
    lab.write_text(f'[devices.a]\naddress = "serial:{port}"\n[devices.b]\naddress = "serial:{tmp_path}/ttyQ8"\n')
    port.touch()
    run = scene("one")
    run.log.write("session", device=f"bench:{lab}#a", epochs=1, batches=5, from_step=0)
    run.steps(2).device().running()

    def said():
        with pytest.raises(SystemExit):
            main(["status", str(tmp_path / "runs"), "--bench", str(lab)])
        return capsys.readouterr().out.splitlines()

    with DeviceLock(f"serial:{port}"):
        lines = said()
    assert "in use by" in lines[0] and lines[0].endswith("run one, outputs on, chip 301.5 K")
    assert lines[1].endswith(f"not there: this machine has no {tmp_path}/ttyQ8")
    killed = (
        f"import os; from drivers.lock import DeviceLock; lock = DeviceLock('serial:{port}'); os.kill(os.getpid(), 9)"
    )
    process = python.popen(["-c", killed])
    process.wait()
    (line, *_) = said()
    assert f"process {process.pid} of" in line and "had it and is gone without a word" in line


def test_a_status_that_was_there_before_the_first_run_shows_it(scene, tmp_path, capsys, monkeypatch):
    lab, waits = tmp_path / "lab.toml", []
    lab.write_text('[devices.a]\naddress = "serial:/dev/ttyQ7"\n')

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt
        scene("one").steps(30).running()

    monkeypatch.setattr(time, "sleep", wait)
    with pytest.raises(SystemExit):
        main(["status", str(tmp_path / "runs"), "--bench", str(lab), "--watch", "2"])
    first, second = capsys.readouterr().out.split("a  serial:/dev/ttyQ7")[1:]
    assert waits == [2, 2] and "step" not in first and "step 30/100" in second


def test_status_says_who_has_each_instrument_of_a_rack(tmp_path, capsys):
    address = "TCPIP::127.0.0.1::7::SOCKET"
    shipped = (resources.files("firmware_specs.racks") / "keithley-8x8.toml").read_text()
    (tmp_path / "rack.toml").write_text(shipped.replace('2450" }', f'2450", address = "{address}" }}', 1))
    lab = tmp_path / "lab.toml"
    lab.write_text('[devices.r]\naddress = "rack:rack.toml"\n[devices.none]\naddress = "rack:gone.toml"\n')
    with DeviceLock(f"visa:{address}"), pytest.raises(SystemExit):
        main(["status", str(tmp_path), "--bench", str(lab)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "r  rack:rack.toml  a rack" and lines[1].split()[:3] == ["smu1", "keithley-2450", address]
    assert "in use by" in lines[1] and lines[2].endswith("has no address")
    assert any("gone.toml" in line for line in lines[6:])


def test_nobody_waits_for_a_report_to_be_told(tmp_path, receiver, monkeypatch):
    url, got = receiver
    monkeypatch.setattr("hil.report.training.write_report", lambda folder: got.append({"alarm": "the report"}))
    assert train(tmp_path, "emulator:mixed-8bit", f'webhook = "{url}"') == 0
    assert [event["alarm"] for event in got] == ["finished", "the report"]


def test_the_last_event_is_found_without_reading_all(tmp_path):
    log = EventLog(tmp_path)
    for step in range(3000):
        log.write("step", step=step, loss=0.123456789, accuracy=0.5)
    log.write("ended", why="x")
    log.close()
    assert last(tmp_path, "ended")["why"] == "x" and last(tmp_path, "session") is None

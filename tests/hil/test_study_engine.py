"""Studies on Dask: workers, trainings and the study itself are killed, and every point still ends once."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed
import psutil
import pytest
from distributed import LocalCluster

from hil.cli import main
from hil.training.study import engine
from hil.training.study.grid import Point
from hil.training.study.point import Task

SMALL = ("data.train_samples=96", "data.test_samples=50", "optimizer.lr=0.001")
PATIENCE_S = 50
"""Where nobody else uses the machine."""


def arguments(folder, epochs, *more):
    sweep = ["study", "digits", "--device", "emulator:mixed-8bit", "--sweep", "seed=1,2", "--run-dir", str(folder)]
    settings = [part for value in (*SMALL, f"run.epochs={epochs}") for part in ("--set", value)]
    return [*sweep, *settings, "--data-root", str(folder.parent), *more]


@contextlib.contextmanager
def started(python, folder, epochs, *more):
    """A study in a process of its own; its trainings need not import first either."""
    call = arguments(folder, epochs, *more)
    warm = f"import sys; sys.executable = {python.executable(folder.parent)!r}; from hil.cli import main; main({call})"
    with python.popen(["-c", warm], stdout=subprocess.PIPE, cwd=folder.parent) as study:
        try:
            yield study
        finally:
            study.kill()


HELD = """
import itertools
import time
from pathlib import Path
from hil.learning.loss import cross_entropy
from hil import register

calls = itertools.count()

@register("losses", "held")
def held(scores, labels):
    while Path(__file__).with_name("hold").exists() and next(calls) > 10:
        time.sleep(0.01)
    return cross_entropy(scores, labels)
"""


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """A loss that waits in the middle of a training while this file is there, and how it is asked for."""
    (tmp_path / "held.py").write_text(HELD, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    there = tmp_path / "hold"
    there.touch()
    return there, ("--plugin", "held", "--set", "loss=held")


def wait_for(condition):
    began = time.monotonic()
    while not (found := condition()):  # the load is looked at again and again: it may have come since
        busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert time.monotonic() - began < PATIENCE_S * busy, "it did not happen in time"
        time.sleep(0.02)
    return found


def code_of(process):
    """A process's exit code, once it has ended."""
    wait_for(lambda: process.poll() is not None)
    return process.returncode


def attempts(folder):
    """What was noted of every point: `begun`, `ended` or `stopped`, and by which process."""
    lines = {path.parent.name: path.read_text().splitlines() for path in folder.glob("points/*/attempts.jsonl")}
    return {point: [json.loads(line) for line in noted] for point, noted in lines.items()}


def in_the_middle(folder):
    """A training that has a checkpoint and is not at its end; its process."""
    for point, noted in attempts(folder).items():
        checkpoints = folder / "points" / point / "run" / "checkpoints"
        begun = noted and noted[-1]["what"] == "begun" and psutil.pid_exists(noted[-1]["pid"])  # killed: notes no end
        if begun and list(checkpoints.glob("*.json")):
            return noted[-1]["pid"]
    return None


def ended_once(folder):
    whats = {point: [note["what"] for note in noted].count("ended") for point, noted in attempts(folder).items()}
    return whats == {"seed=1": 1, "seed=2": 1}


def run(call):
    with pytest.raises(SystemExit) as ended:
        main(call)
    return ended.value.code


def existing(**options):
    """An existing scheduler with workers that have names."""
    where = {"protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    return LocalCluster(threads_per_worker=1, **where, **options)


@pytest.fixture
def scheduler(python, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", python.executable(tmp_path))
    with existing(n_workers=1, processes=False) as cluster:
        yield cluster.scheduler_address


def test_trainings_that_are_killed_or_ended_go_on_and_a_done_study_repeats_nothing(python, hold, tmp_path, capsys):
    """SIGTERM as Slurm sends it to all of a job whose time is up."""
    folder, (there, held) = tmp_path / "study", hold
    with started(python, folder, 5, "--jobs", "2", *held) as study:
        killed = wait_for(lambda: in_the_middle(folder))
        os.kill(killed, signal.SIGKILL)
        ended = wait_for(lambda: (pid := in_the_middle(folder)) != killed and pid)
        os.kill(ended, signal.SIGTERM)
        there.unlink()
        assert code_of(study) == 0
    noted = attempts(folder)
    whats = [note["what"] for notes in noted.values() for note in notes]
    assert ended_once(folder) and whats.count("begun") == 4 and whats.count("stopped") == 1
    sessions = [json.loads(p.read_text())["sessions"] for p in folder.glob("points/*/run/provenance.json")]
    assert sum(len(found) for found in sessions) == 4
    steps = [json.loads(p.read_text())["steps"] for p in folder.glob("points/*/run/summary.json")]
    assert steps == [5 * 3] * 2
    assert run(arguments(folder, 5, *held)) == 0
    assert "2 of them done before" in capsys.readouterr().out and attempts(folder) == noted


@pytest.mark.long
def test_workers_of_two_schedulers_that_are_killed_are_replaced(python, hold, tmp_path):
    """The study goes on at the second scheduler where it was stopped at the first; at both a worker is lost."""
    folder, killed, (there, held) = tmp_path / "study", [], hold

    def kill_a_worker(cluster):
        trains = wait_for(lambda: next((pid for pid in [in_the_middle(folder)] if pid and pid not in killed), None))
        killed.append(trains)
        notes = [note for notes in attempts(folder).values() for note in notes]
        name = next(int(note["worker"]) for note in notes if note["pid"] == trains)
        os.kill(cluster.workers[name].pid, signal.SIGKILL)

    warm = tmp_path / "warm.py"  # what a worker of Dask starts need not import first
    warm.write_text(f"import sys\n\nsys.executable = {python.executable(tmp_path)!r}\n")
    lone = {"n_workers": 1, "processes": True, "preload": [str(warm)]}  # nobody else could go on in its place
    with existing(**lone) as one, started(python, folder, 5, "--scheduler", one.scheduler_address, *held) as study:
        kill_a_worker(one)
        wait_for(lambda: (pid := in_the_middle(folder)) and pid not in killed)
        study.send_signal(signal.SIGINT)
        study.stdout.read()
        assert code_of(study) == 130
    with existing(**lone) as other, started(python, folder, 5, "--scheduler", other.scheduler_address, *held) as study:
        kill_a_worker(other)
        there.unlink()
        assert code_of(study) == 0
    assert ended_once(folder) and len(killed) == 2
    steps = [json.loads(p.read_text())["steps"] for p in folder.glob("points/*/run/summary.json")]
    assert steps == [5 * 3] * 2


def test_nobody_else_can_hand_a_study_of_this_machine_anything(tmp_path):
    """Its scheduler and workers take tasks in their own process; the pages that Dask has are empty, and on loopback."""
    with engine.opened(tmp_path, 2, None) as workers:
        assert workers.workers == 2
        listening = [c.laddr for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN]
        for ip, port in listening:
            assert ip == "127.0.0.1"
            with socket.create_connection((ip, port)) as wire:
                wire.sendall(b"GET /api/v1/retire_workers HTTP/1.0\r\n\r\n")
                assert b"404" in wire.makefile("rb").readline()


def test_a_closed_laptop_takes_no_worker(tmp_path, monkeypatch):
    """An hour in which nothing ran: what Dask looks at every some minutes is looked at then."""
    with engine.opened(tmp_path, 1, None) as workers:
        scheduler, now = workers._client.cluster.scheduler, distributed.scheduler.time
        monkeypatch.setattr(distributed.scheduler, "time", lambda: now() + 3600)
        if "worker-ttl" in scheduler.periodic_callbacks:
            workers._client.sync(scheduler.check_worker_ttl)
        assert workers.workers == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_study_that_is_stopped_leaves_checkpoints_and_no_process(python, number, tmp_path):
    folder = tmp_path / "study"
    with started(python, folder, 100_000, "--jobs", "1") as study:
        pid = wait_for(lambda: in_the_middle(folder))
        study.send_signal(number)
        study.stdout.read()  # ends when the last process that could write there has ended
        assert code_of(study) == (130 if number is signal.SIGINT else -number)
        wait_for(lambda: not psutil.pid_exists(pid))
    (noted,) = attempts(folder).values()
    assert [note["what"] for note in noted] == ["begun", "stopped"]


def test_a_training_that_is_not_at_its_end_when_its_time_is_up_is_noted_as_stopped(python, tmp_path):
    task = Task("digits", ("run.epochs=100000", *SMALL), "emulator:mixed-8bit", Point({}), tmp_path / "p", tmp_path, 1)
    asked = {"study": str(tmp_path), "folder": str(tmp_path), "plugins": [], "trusted": [], "task": task.document()}
    impatient = "from hil.training.study import worker; worker.GRACE_S = 0.0; worker.main()"
    with python.popen(["-c", impatient], stdin=subprocess.PIPE, cwd=tmp_path) as worker:
        worker.stdin.write(json.dumps(asked) + "\n")
        worker.stdin.flush()
        wait_for(lambda: list((tmp_path / "p" / "run" / "checkpoints").glob("*.json")))
        worker.stdin.close()
        code_of(worker)
    noted = (tmp_path / "p" / "attempts.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in noted] == ["begun", "stopped"]


def test_a_task_whose_study_is_gone_before_it_begins_is_not_trained(python, tmp_path):
    """A study that is killed while its worker still imports: the task and the end of the input are read at once."""
    task = Task("digits", ("run.epochs=100000", *SMALL), "emulator:mixed-8bit", Point({}), tmp_path / "p", tmp_path, 1)
    asked = {"study": str(tmp_path), "folder": str(tmp_path), "plugins": [], "trusted": [], "task": task.document()}
    (tmp_path / "input").write_text(json.dumps(asked) + "\n")
    for _ in range(10):
        with (tmp_path / "input").open() as lines:
            worker = python.popen(["-m", "hil.training.study.worker"], stdin=lines, cwd=tmp_path)
        try:
            code_of(worker)
        finally:
            worker.kill()


def test_every_worker_has_a_device_of_its_own(scheduler, tmp_path, capsys):
    (tmp_path / "lab.toml").write_text('[devices.chip0]\naddress = "emulator:mixed-8bit?seed=7"\n')
    folder = tmp_path / "study"
    call = arguments(folder, 1, "--scheduler", scheduler, "--bench", str(tmp_path / "lab.toml"))
    call[call.index("--device") + 1] = "chip{worker}"
    assert run(call) == 0, capsys.readouterr()
    sessions = [json.loads(p.read_text())["sessions"][0] for p in folder.glob("points/*/run/provenance.json")]
    assert [session["address"] for session in sessions] == ["emulator:mixed-8bit?seed=7"] * 2


def test_no_scheduler_is_said_in_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hil.training.study.engine.LOOK_S", 0.3)
    assert run(arguments(tmp_path / "study", 1, "--scheduler", "tcp://127.0.0.1:9")) == 2
    assert "no scheduler answers there" in capsys.readouterr().err


def test_a_folder_the_workers_do_not_have_is_said(tmp_path):
    from hil.training.study import trainer

    class Here:
        name = "node-7"

    trainer.get_worker, before = (lambda: Here), trainer.get_worker
    try:
        answer = trainer.train({"study": str(tmp_path / "none"), "folder": str(Path.cwd())})
    finally:
        trainer.get_worker = before
    assert "is not on the machine of worker node-7" in answer["refused"]

"""The command line with everything taken away that Windows lacks, against socket, SCPI and HiSLIP doors."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import typer

from emulator.chip import Chip
from emulator.device import Device
from emulator.serve import Board, Doors
from firmware_specs.datasheet import load
from hil.cli import build_app

HERE = Path(__file__).parent / "as_windows"
SHORT = ("--set", "run.epochs=1", "--set", "data.train_samples=32", "--set", "data.test_samples=16")
HOST = """
import sys
import numpy as np
from drivers.connect import connect
from drivers.doors import Options
from firmware_specs.chains import dense_chain
rng = np.random.default_rng(0)
with connect(sys.argv[1], Options(watchdog_s=60.0, timeout_s=20.0)) as crossbar:
    crossbar.configure(0, dense_chain([32, 16]))
    crossbar.arm()
    crossbar.program(0, [rng.uniform(1e-6, 1e-4, (2, 33, 16))])
    print("armed", flush=True)
    while True:
        crossbar.settle(0, rng.uniform(-1e-4, 1e-4, (64, 32)))
"""


def environment(folder):
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    mine = {"PYTHONPATH": path, "PYTHONWARNDEFAULTENCODING": "1", "OMP_NUM_THREADS": "1"}
    return os.environ | mine | {"CROSSBAR_HIL_LOCKS": str(folder / "locks"), "CROSSBAR_HIL_LEDGERS": str(folder / "l")}


@pytest.fixture
def walk(tmp_path):
    """Runs commands in one process; asserts that each ended well, or as is said of it, and returns what it said."""

    def go(*lines, ends=()):
        (tmp_path / "lines.json").write_text(json.dumps([[str(word) for word in line] for line in lines]))
        call = [sys.executable, str(HERE / "walk.py"), "lines.json"]
        done = subprocess.run(call, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
        results = [json.loads(line) for line in done.stdout.splitlines()]
        for result in results:
            print(f"{result['s']:5.1f} s  {result['status']}  hil {result['line']}")
        assert len(results) == len(lines), done.stderr[-3000:]
        for line, result in zip(lines, results, strict=True):
            assert result["status"] == dict(ends).get(line, 0), f"hil {result['line']}\n{result['said'][-3000:]}"
        return [result["said"] for result in results]

    return go


@pytest.fixture
def emulated(tmp_path):
    """`emulated(*options)`: a virtual instrument, or another command that serves, in a process of its own."""
    running = []

    def start(*options, command="emulate"):
        quiet = ["--quiet"] if command == "emulate" else []
        call = [sys.executable, "-m", "hil", command, *quiet, *options]
        process = subprocess.Popen(
            call, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def lines_of(process, count):
    found = [process.stdout.readline().strip() for _ in range(count)]
    assert all(found), process.stderr.read()
    return found


@pytest.mark.long
def test_first_commands_training_over_every_door_and_the_refusal_of_a_pseudo_terminal(walk, emulated, tmp_path):
    board = emulated("discrete-board")
    addresses = lines_of(board, 3)  # without a door named all that there are: no pseudo-terminal
    assert [address.partition(":")[0] for address in addresses] == ["serial", "visa", "visa"]
    frames, scpi, hislip = addresses
    refused = ("emulate", "discrete-board", "--pty")
    said = walk(
        ("--version",),
        ("list",),
        refused,
        ("devices", frames, scpi, hislip),
        *(("train", "digits", "--device", a, "--run-dir", f"run{i}", *SHORT) for i, a in enumerate(addresses)),
        ("train", "digits", "--device", "emulator:discrete-board", "--run-dir", "here", *SHORT),
        ("train", "--run-dir", "here", "--resume", "--set", "run.epochs=2"),
        ("compare", "run0", "run1", "here"),
        ends={refused: 2},
    )  # fmt: skip
    assert "no pseudo-terminals" in " ".join(said[2].split()) and "--tcp" in said[2]
    assert "free" in said[3]
    figures = [json.loads((tmp_path / f"run{i}" / "summary.json").read_text("utf-8")) for i in range(3)]
    assert len({figure["test_accuracy"] for figure in figures}) == 1, "the doors of one chip disagree"
    board.send_signal(signal.SIGUSR1)  # Ctrl-Break
    assert board.wait(60) == 0


@pytest.mark.soak
def test_every_other_command(walk, emulated, tmp_path):
    board, scpi, hislip = lines_of(emulated("discrete-board"), 3)
    (rack,) = lines_of(emulated("--rack", "bench-16x16", "--bench-out", "lab.toml"), 1)
    lines_of(emulated("--instrument", "keithley-2450", "--dut", "resistor:1e3"), 1)
    few = ("--set", "data.train_samples=8", "--set", "data.test_samples=4", "--set", "run.epochs=1")
    lines = (
        ("doctor",),
        ("train", "digits", "--device", board, "--run-dir", "run", *SHORT),
        ("train", "iris", "--device", rack, "--run-dir", "rack", *few, "--set", "run.batch=8"),
        ("evaluate", "run", "--device", "emulator:discrete-board?seed=2", "--json", "chip.json"),
        ("calibrate", "--experiment", "digits", "--device", board, "--out", "cal.toml"),
        ("characterize", "--device", board, "--size", "8", "--only", "read_noise", "--only", "iv", "--out", "chip"),
        ("characterize", "--device", board, "--size", "8", "--dry-run", "--out", "dry"),
        ("report", "chip"),
        ("report", "run"),
        ("twin", "chip", "--out", "twin.toml"),
        ("export", "ecram", "--to", "aihwkit", "--out", "device.py"),
        ("conform", "--device", "emulator:discrete-board", "--only", "framing", "--html", "c.html", "--json", "c.json"),
        ("map", "save", "--device", board, "--out", "cells.nc"),
        ("map", "restore", "cells.nc", "--device", board),
        ("clear", board),
        ("devices", board),
        ("gradcheck", "digits-three-dense", "--samples", "4", "--picture", "g.png"),
        ("gradients", "digits-three-dense", "--out", "gradients", "--set", "data.train_samples=16"),
        ("netlist", "resistive-board", "--output", "array.cir"),
        ("firmware", "new", "board", "--datasheet", "discrete-board"),
        ("data", "check", "digits"),
        ("study", "digits", "--device", "emulator:discrete-board", "--sweep", "seed=0,1", *SHORT, "--run-dir", "study"),
        ("study", "digits", "--device", "emulator:discrete-board", "--sweep", "seed=0,1", *SHORT, "--run-dir", "study"),
        ("characterize", "--device", scpi, "--size", "8", "--only", "read_noise", "--out", "scpi"),
        ("characterize", "--device", hislip, "--size", "8", "--only", "read_noise", "--out", "hislip"),
        ("init", "bench", "--device", board, "--data", "digits", "--units", "16"),
        ("train", "bench/experiment.toml", "--device", "bench:bench/bench.toml#chip", "--run-dir", "made", *SHORT),
        ("ledger", "made"),
        ("status", "."),
        ("docs",),
        ("list", "data"),
        ("schema", "experiment", "--out", "experiment.json"),
        ("import", "aihwkit", "ReRamArrayOM", "--out", "om.toml"),
        ("benchmark", "emulator:ecram", "--tasks", "xor", "--seeds", "0", "--rule", "rewrite", "--run-dir", "card"),
        ("compare", "run", "made"),
    )  # fmt: skip
    served = {"emulate", "live", "mcp"}  # these do not end by themselves
    commands = typer.main.get_command(build_app()).commands
    assert commands.keys() - served == {line[0] for line in lines}
    walk(*lines)


@pytest.mark.soak
def test_the_page_and_the_assistant(emulated, tmp_path):
    live = emulated(".", "--port", "0", command="live")
    said = live.stdout.readline()
    with urllib.request.urlopen(re.search(r"http://\S+", said)[0]) as page:
        assert page.status == 200
    hello = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "a test", "version": "1"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    call = [sys.executable, "-m", "hil", "mcp", "."]
    text = "".join(json.dumps(one) + "\n" for one in asked)
    done = subprocess.run(
        call, cwd=tmp_path, env=environment(tmp_path), input=text, capture_output=True, encoding="utf-8"
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["id"] for one in answers] == [1, 2] and answers[1]["result"]["tools"], done.stderr[-2000:]


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2],
    ids=["ctrl-c", "sigterm", "ctrl-break", "closed"],
)
def test_outputs_go_off_however_it_ends(number, tmp_path):
    board = Board(Device(Chip(load("mixed-8bit"), 0)), Doors(tcp=0))
    thread = threading.Thread(target=board.run, daemon=True)
    thread.start()
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, board.addresses[0]],
        env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert host.stdout.readline() == "armed\n", host.stderr.read()
        assert board.device.outputs.on
        sent = time.monotonic()
        host.send_signal(number)
        while board.device.outputs.on:
            assert time.monotonic() < sent + 5, "outputs stay on"
            time.sleep(0.001)
        event = board.device.journal.of("outputs")[-1]
        assert any(word in event.text for word in ("asked by", "new session")), event.text
        assert event.time_s - sent < 1.0
        host.communicate()
    finally:
        host.kill()
        host.communicate()
        board.stop()
        thread.join()

"""The same experiment through every door; a cable pull in the middle, and going on."""

import logging
import os
import signal
import socket
import time

import numpy as np
import pytest

from drivers.connect import connect
from drivers.doors import Options
from drivers.errors import DeviceError, DeviceFault
from emulator.faults import FaultPlan
from emulator.serve import Doors, SocketLink
from firmware_specs.chains import dense_chain
from hil import data
from hil.cli import main
from hil.counterparts import device_snapshot
from hil.counterparts.opening.bench import open_bench
from hil.experiments.schema import Experiment
from hil.learning.model import build
from hil.measuring.calibrate.bench import CalibratedBench
from hil.training.loop import train
from hil.training.run import folder

BLOCK = {
    "feedforward": [{"kind": "flatten"}, {"kind": "linear", "units": 12}],
    "energy": {"couplings": [{"kind": "dense", "units": 8}]},
}
DOORS = {"pty": Doors(pty=True), "socket": Doors(tcp=0), "scpi socket": Doors(scpi=0), "hislip": Doors(hislip=0)}
SEED = 4
KINDS = ("lost_request", "lost_reply", "late_reply", "duplicate", "bit_flip", "truncation", "garbage", "nak", "busy")
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
epochs = 50
batch = 50
"""


class Screen:
    """Shows nothing; calls `after` with the number of steps done."""

    def __init__(self, after=lambda step: None):
        self.after = after

    def step(self, position, record):
        self.after(position.step)

    def epoch(self, position, record):
        pass


def experiment(device):
    document = {
        "data": {"name": "digits", "train_samples": 150, "test_samples": 30},
        "device": device,
        "blocks": [BLOCK],
        "optimizer": {"lr": 0.01},
        "run": {"epochs": 2, "batch": 50, "eval_batch": 30, "checkpoint_every": 2},
    }
    return Experiment.model_validate(document)


def run(device, path, after=lambda step: None):
    exp = experiment(device)
    opened = folder.reopen(path) if path.exists() else folder.start(path, exp)
    dataset = data.load(exp.data, path)
    with open_bench(device) as bench:
        model = build(exp, bench, dataset.shape, dataset.classes)
        return train(exp, model, bench, dataset, opened, Screen(after), lambda: None).summary


@pytest.fixture
def patiently(tmp_path):
    """A served board as a bench has it whose host may stand still for half a minute without a trip."""

    def entry(board):
        lab = tmp_path / "patient.toml"
        times = "watchdog_s = 30.0\ntimeout_s = 300.0\nopen_timeout_s = 60.0\n"
        lab.write_text(f'[devices.board]\naddress = "{board.addresses[0]}"\n{times}')
        return f"bench:{lab}#board"

    return entry


@pytest.fixture(scope="module")
def weights_in_process(tmp_path_factory):
    return run(f"emulator:mixed-8bit?seed={SEED}", tmp_path_factory.mktemp("runs") / "process")["weights"]


@pytest.mark.parametrize("name", DOORS)
def test_training_through_a_wire_gives_the_same_weights_as_in_process(
    served, patiently, tmp_path, weights_in_process, name
):
    board = served(DOORS[name], "mixed-8bit", SEED)
    summary = run(patiently(board), tmp_path / "run")
    assert summary["steps"] == 6 and summary["weights"] == weights_in_process
    assert not board.device.outputs.on


def test_bad_wire_changes_no_weight(served, patiently, tmp_path, weights_in_process):
    kinds = (
        "lost_request",
        "lost_reply",
        "late_reply",
        "duplicate",
        "bit_flip",
        "truncation",
        "garbage",
        "nak",
        "busy",
    )
    faults = FaultPlan(dict.fromkeys(kinds, 0.01), seed=3, late_s=0.05)
    board = served(Doors(pty=True), "mixed-8bit", SEED, faults)
    assert run(patiently(board), tmp_path / "run")["weights"] == weights_in_process
    assert sum(injector.struck.total() for injector in board.injectors) >= 3


def _one_request_lost(served):
    board = served(Doors(pty=True), "mixed-8bit", SEED, FaultPlan({"lost_request": 0.0}))
    drive, lost = np.full((8, 6), 2e-5), []
    with connect(board.addresses[0], Options(watchdog_s=0.4)) as crossbar:
        crossbar.configure(0, dense_chain([6, 4]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 7, 4), 5e-5)])
        pass_on = board.injectors[0]._unit
        board.injectors[0]._unit = lambda unit: pass_on(unit) if lost else lost.append(unit) or b""
        began = time.monotonic()
        assert crossbar.settle(0, drive).states_v[0].shape == (1, 8, 6)
        assert lost and time.monotonic() - began > 0.4, "the wait was longer than the watchdog"
        assert crossbar.session.armed and board.device.outputs.on


def test_request_lost_on_a_slow_port_trips_no_watchdog_that_is_shorter_than_the_wait(served):
    for last in (False, False, True):  # a host that gets no processor for 0.4 s trips it, too, but not each time
        try:
            _one_request_lost(served)
            break
        except DeviceFault as fault:
            if last or "WATCHDOG" not in str(fault):
                raise


def test_instrument_whose_replies_get_lost_is_asked_again(served):
    board = served(Doors(scpi=0), "mixed-8bit", SEED, FaultPlan({"lost_reply": 0.05}, seed=1))
    drive = np.full((2, 6), 2e-5)
    with connect(board.addresses[0], Options(timeout_s=1.5, watchdog_s=60.0)) as crossbar:
        crossbar.configure(0, dense_chain([6, 4]))
        crossbar.arm()
        crossbar.program(0, [np.full((2, 7, 4), 5e-5)])
        for _ in range(40):
            assert crossbar.settle(0, drive).states_v[0].shape == (1, 2, 6)
        assert crossbar.session.dialect.link.resynchronized > 1
    assert board.injectors[0].struck["lost_reply"] > 1


@pytest.mark.parametrize("name", ["scpi socket", "hislip"])
@pytest.mark.parametrize("fault", ["lost_request", "lost_reply", "late_reply", "busy"])
def test_messages_lost_or_put_off_on_a_visa_link_change_no_weight(
    served, patiently, tmp_path, weights_in_process, name, fault
):
    board = served(DOORS[name], "mixed-8bit", SEED, FaultPlan({fault: 0.1}, seed=2, late_s=0.6))
    assert run(patiently(board), tmp_path / "run")["weights"] == weights_in_process
    assert sum(injector.struck[fault] for injector in board.injectors) >= 2


@pytest.mark.parametrize("name", ["scpi socket", "hislip"])
@pytest.mark.parametrize("fault", ["bit_flip", "truncation", "garbage", "disconnect", "wrong_identity"])
def test_damage_on_a_visa_link_is_overcome_or_ends_the_run_with_an_error(served, tmp_path, name, fault):
    board = served(DOORS[name], "mixed-8bit", SEED, FaultPlan({fault: 0.1}, seed=2))
    try:
        assert run(board.addresses[0], tmp_path / "run")["finished"]
    except DeviceError as error:
        assert board.addresses[0] in str(error), "an error says whose it is"
    wait_until_off(board)


def wait_until_off(board):
    end = time.monotonic() + 5.0
    while board.device.outputs.on:
        assert time.monotonic() < end, "outputs stay on"
        time.sleep(0.005)


def pull_cable(board):
    for link in [channel for channel in board._server._channels if isinstance(channel, SocketLink)]:
        link._socket.shutdown(socket.SHUT_RDWR)


def test_run_stopped_by_a_cable_pull_goes_on_without_a_lost_step(served, tmp_path):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    done = []

    def after(step):
        done.append(step)
        if step == 3:
            pull_cable(board)

    with pytest.raises(DeviceError, match="start again"):
        run(board.addresses[0], tmp_path / "run", after)
    assert not board.device.outputs.on
    summary = run(board.addresses[0], tmp_path / "run", done.append)
    assert done == [1, 2, 3, 4, 5, 6]
    assert summary["steps"] == 6 and summary["finished"]


class Killed(BaseException):
    """Ends a run as kill -9 does: nothing is saved."""


@pytest.mark.parametrize("name", ["pty", "hislip"])
def test_killed_run_on_an_emulator_behind_a_wire_resumes_bit_exactly(
    served, patiently, tmp_path, weights_in_process, name
):
    board = served(DOORS[name], "mixed-8bit", SEED)

    def kill(step):
        if step == 5:
            raise Killed

    with pytest.raises(Killed):
        run(patiently(board), tmp_path / "run", kill)
    before = len(board.device.journal.of("request"))
    summary = run(patiently(board), tmp_path / "run")
    assert summary["steps"] == 6 and summary["weights"] == weights_in_process
    verbs = [event.text for event in board.device.journal.of("request")][before:]
    assert "READ_CELLS" not in verbs and not any("CELL:READ" in verb for verb in verbs)


def test_resume_writes_and_reads_back_every_cell_before_the_next_step(served, tmp_path):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    with pytest.raises(DeviceError):
        run(board.addresses[0], tmp_path / "run", lambda step: pull_cable(board) if step == 2 else None)
    before = len(board.device.journal.of("request"))
    run(board.addresses[0], tmp_path / "run")
    verbs = [event.text for event in board.device.journal.of("request")][before:]
    written = verbs.index("WRITE_CELLS")
    assert "READ_CELLS" in verbs[written : verbs.index("SETTLE")]


def test_device_that_comes_back_as_another_one_is_not_trained_on(served, tmp_path):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    bench_file = tmp_path / "lab.toml"
    bench_file.write_text(f'[devices.chip]\naddress = "{board.addresses[0]}"\nserial = "seed-{SEED}"\n')
    assert run(f"bench:{bench_file}#chip", tmp_path / "run")["finished"]
    bench_file.write_text(f'[devices.chip]\naddress = "{board.addresses[0]}"\nserial = "seed-99"\n')
    with pytest.raises(DeviceError, match=r"serial number seed-4.*seed-99"):
        run(f"bench:{bench_file}#chip", tmp_path / "other")


def test_failed_run_leaves_the_last_traffic_in_its_folder_and_says_everything_once(
    served, tmp_path, capsys, monkeypatch
):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    seen = []
    board.device.journal._sink = lambda event: stop_after(board, event, seen)
    handler, logged = logging.Handler(), []
    handler.emit = logged.append
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    with pytest.raises(SystemExit) as caught:
        main(["train", str(config), "--device", board.addresses[0], "--run-dir", str(tmp_path / "run")])
    assert caught.value.code == 3
    flight = (tmp_path / "run" / "flight.log").read_text().splitlines()
    assert flight[0].startswith("# recording of serial:socket") and " > " in flight[-5] + flight[-6]
    errors = capsys.readouterr().err
    assert "flight.log" in errors and "--resume goes on from step " in errors
    assert errors.count("could not be confirmed") == 1 and not logged
    assert errors.count("start again") == 1


def test_with_a_calibration_in_front_traffic_and_state_of_a_device_are_kept_all_the_same(
    served, tmp_path, capsys, monkeypatch
):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    monkeypatch.setattr(
        "hil.counterparts.opening.bench.calibrated", lambda bench, entry: CalibratedBench(bench, None, {})
    )
    monkeypatch.setattr(CalibratedBench, "place", lambda self, topology: self.bench.place(topology))
    config, lab, path = tmp_path / "small.toml", tmp_path / "lab.toml", tmp_path / "run"
    config.write_text(SMALL)
    lab.write_text(f'[devices.chip]\naddress = "{board.addresses[0]}"\n')
    settles = []
    board.device.journal._sink = lambda e: e.text.startswith("settle") and stop_after(board, e, settles, 8)
    command = [config, "--bench", lab, "--device", "chip", "--run-dir", path, "--set", "run.checkpoint_every=1"]
    code, errors = trained(capsys, *command)
    assert code == 3 and f"The last traffic is in {path / 'flight.log'}" in errors
    assert (path / "flight.log").is_file()
    between_steps = sorted((path / "checkpoints").glob("*.safetensors"))[0].read_bytes()
    assert f"bench.{device_snapshot.NAME}".encode() in between_steps


def stop_after(board, event, seen, count=60):
    seen.append(event.kind)
    if len(seen) == count:
        pull_cable(board)


def trained(capsys, *arguments):
    """Exit code and what was said on the error stream."""
    with pytest.raises(SystemExit) as caught:
        main(["train", *map(str, arguments)])
    return caught.value.code, capsys.readouterr().err


def test_a_run_refused_before_its_first_step_leaves_no_folder(served, tmp_path, capsys):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    config, lab, path = tmp_path / "small.toml", tmp_path / "lab.toml", tmp_path / "run"
    config.write_text(SMALL)
    entry = f'address = "{board.addresses[0]}"\nlimits = {{ max_drive_a = '
    lab.write_text(f"[devices.low]\n{entry}1e-9 }}\n[devices.usual]\n{entry}1e-3 }}\n")
    code, errors = trained(capsys, config, "--bench", lab, "--device", "low", "--run-dir", path)
    assert code == 3 and "beyond max_drive_a" in errors and "nothing was sent" in errors
    assert f"No step was done: {path} is free" in errors and "flight.log" not in errors
    assert not path.exists()
    command = [config, "--bench", lab, "--device", "usual", "--run-dir", path, "--set", "run.epochs=1"]
    assert trained(capsys, *command) == (0, "")


def test_of_a_device_that_fails_in_the_first_step_its_traffic_is_kept_and_the_folder_is_free(served, tmp_path, capsys):
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    config, path, seen = tmp_path / "small.toml", tmp_path / "run", []
    config.write_text(SMALL)
    board.device.journal._sink = lambda event: event.text.startswith("settle") and stop_after(board, event, seen, 1)
    code, errors = trained(capsys, config, "--device", board.addresses[0], "--run-dir", path)
    assert code == 3 and "No step was done" in errors and "--resume" not in errors
    assert [file.name for file in path.iterdir()] == ["flight.log"]
    board.device.journal._sink = None
    command = [config, "--device", board.addresses[0], "--run-dir", path, "--set", "run.epochs=1"]
    assert trained(capsys, *command) == (0, "")


def test_train_command_on_sigterm_switches_off_within_a_second_and_keeps_its_steps(served, tmp_path, capsys):
    board = served(Doors(pty=True), "mixed-8bit", SEED)
    settles, sent = [], []

    def watch(event):
        settles.extend([event] * event.text.startswith("settle"))
        if len(settles) == 20 and not sent:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)

    board.device.journal._sink = watch
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    with pytest.raises(SystemExit) as caught:
        main(["train", str(config), "--device", board.addresses[0], "--run-dir", str(tmp_path / "run")])
    assert caught.value.code == 128 + signal.SIGTERM
    assert "--resume" in capsys.readouterr().out
    last = board.device.journal.of("outputs")[-1]
    assert "outputs off: asked by" in last.text and last.time_s - sent[0] < 1.0


def test_resume_finds_the_device_at_another_port_and_refuses_another_device_there(served, tmp_path, capsys):
    config, where = tmp_path / "small.toml", ["--run-dir", str(tmp_path / "run"), "--set", "run.epochs=2"]
    config.write_text(SMALL)
    board = served(Doors(tcp=0), "mixed-8bit", SEED)
    seen = []
    board.device.journal._sink = lambda event: stop_after(board, event, seen)
    with pytest.raises(SystemExit):
        main(["train", str(config), "--device", board.addresses[0], *where])
    other, moved = (served(Doors(tcp=0), "mixed-8bit", seed).addresses[0] for seed in (SEED + 1, SEED))
    with pytest.raises(SystemExit) as caught:
        main(["train", str(config), "--device", other, *where, "--resume"])
    assert caught.value.code == 3
    assert f"seed-{SEED}, this is" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["train", str(config), "--device", moved, *where, "--resume"])
    assert caught.value.code == 0

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from hil.cli import main
from hil.experiments.experiment_file import dump
from hil.experiments.schema import Experiment
from hil.training.run import checkpoint

EXPERIMENT = {
    "data": {"name": "digits", "train_samples": 64, "test_samples": 32},
    "device": "reference:",
    "blocks": [
        {
            "feedforward": [{"kind": "conv", "channels": 3, "bias": False}, {"kind": "batch_norm"}],
            "energy": {"couplings": [{"kind": "conv", "channels": 4, "pool": True}], "slope": 0.5},
        },
        {"feedforward": [{"kind": "flatten"}, {"kind": "linear", "units": 8}], "energy": {"couplings": []}},
    ],
    "estimator": {"beta": 0.2, "nudge": "reevaluated"},
    "settle": {"max_iterations": 8, "tolerance": 0.0},
    "optimizer": {"kind": "sgd", "lr": 0.05},
    "run": {
        "epochs": 2,
        "batch": 16,
        "eval_batch": 16,
        "drop_last": True,
        "dtype": "float64",
        "sync_batch_norm": True,
        "keep_checkpoints": 20,
        "checkpoint_every": 1,
    },
}


def arguments(folder, path, *more):
    return ["train", str(folder / "small.toml"), "--run-dir", str(path), *more]


@pytest.fixture
def torchrun(python):
    """torchrun of two ranks on one machine, whose own name nobody needs to resolve: a bare container's does not."""
    here = ["--local-addr", "127.0.0.1", "--nproc-per-node", "2", "--no-python"]

    def run(*command, meet=("--standalone",), **environment):
        """Runs a Python program as a person would."""
        launched = ["-m", "torch.distributed.run", *meet, *here, *python.program, *command]
        return python.run(launched, env=os.environ | {"OMP_NUM_THREADS": "1"} | environment, capture_output=True)

    return run


def trained(torchrun, folder, path, *more):
    """Exit code and what was said."""
    done = torchrun("-m", "hil", *arguments(folder, path, *more))
    return done.returncode, done.stdout + done.stderr


def write(folder, **changes):
    (folder / "small.toml").write_text(dump(Experiment.model_validate(EXPERIMENT | changes)))


def weights(path):
    found = checkpoint.newest(path / "checkpoints")
    return {name: value for name, value in found.tensors.items() if name.startswith("model.")}


def cut(path, kept):
    """Forgets the checkpoints after a step."""
    for file in (path / "checkpoints").glob("step_*"):
        if int(file.stem.removeprefix("step_")) > kept:
            file.unlink()


def largest_difference(one, other):
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return max(float((a[n] - b[n]).abs().max()) for n in a)


def test_two_ranks_train_as_one_process_on_the_joined_batch_and_resume_as_one(torchrun, tmp_path):
    write(tmp_path)
    main_exits_ok(arguments(tmp_path, tmp_path / "one"))
    code, said = trained(torchrun, tmp_path, tmp_path / "two")
    assert code == 0, said
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-12
    one, two = (json.loads((tmp_path / n / "summary.json").read_text()) for n in ("one", "two"))
    assert one["test_accuracy"] == two["test_accuracy"]
    assert said.count("report:") == 1
    cut(tmp_path / "two", 5)  # as if both ranks had been killed after step 5, one of them a step ahead
    cut(tmp_path / "two/ranks/1", 6)
    main_exits_ok(arguments(tmp_path, tmp_path / "two", "--resume"))
    assert largest_difference(tmp_path / "one", tmp_path / "two") < 1e-12


@pytest.mark.long
def test_a_run_of_one_process_goes_on_as_two(torchrun, tmp_path):
    write(tmp_path, run=EXPERIMENT["run"] | {"epochs": 1})
    main_exits_ok(arguments(tmp_path, tmp_path / "whole"))
    shutil.copytree(tmp_path / "whole", tmp_path / "grown")
    cut(tmp_path / "grown", 2)
    code, said = trained(torchrun, tmp_path, tmp_path / "grown", "--resume")
    assert code == 0, said
    assert largest_difference(tmp_path / "whole", tmp_path / "grown") < 1e-12
    assert checkpoint.newest(tmp_path / "grown/ranks/1/checkpoints").facts["position"]["step"] == 4


@pytest.mark.long
def test_a_rank_whose_device_fails_stops_all_with_one_message_and_two_chips_have_their_own_noise(torchrun, tmp_path):
    run = EXPERIMENT["run"] | {"dtype": "float32"}
    write(tmp_path, device="emulator:mixed-8bit?seed={rank}", estimator={}, run=run)
    fail = tmp_path / "failing.py"
    fail.write_text(
        "import os\n"
        "from drivers.errors import LinkTimeout\n"
        "from hil.counterparts.emulator import EmulatedArray, EmulatorBench\n"
        "EmulatorBench.save_flight = lambda self, path: path.write_text('traffic')\n"
        "from hil.cli import main\n"
        "settle, calls = EmulatedArray.settle, []\n"
        "def failing(self, *a, **k):\n"
        "    calls.append(1)\n"
        "    if os.environ['RANK'] == '1' and len(calls) > 5:\n"
        "        raise LinkTimeout('the cable is out')\n"
        "    return settle(self, *a, **k)\n"
        "EmulatedArray.settle = failing\n"
        "main()\n"
    )
    root = str(Path(__file__).parents[2])
    done = torchrun(str(fail), *arguments(tmp_path, tmp_path / "run"), PYTHONPATH=root)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("hil: ")]
    assert len(said) == 1, done.stderr[-3000:]
    assert "rank 1 of 2" in said[0]
    assert "the cable is out" in said[0]
    assert "ranks/1/flight.log" in said[0] and (tmp_path / "run/ranks/1/flight.log").read_text() == "traffic"
    steps = [
        checkpoint.newest(tmp_path / "run" / rank / "checkpoints").facts["position"]["step"] for rank in ("", "ranks/1")
    ]
    assert steps[0] == steps[1] > 0
    first, second = (
        json.loads((tmp_path / "run" / r / "provenance.json").read_text())["sessions"][0] for r in ("", "ranks/1")
    )
    assert (first["address"], second["address"]) == ("emulator:mixed-8bit?seed=0", "emulator:mixed-8bit?seed=1")
    state = checkpoint.newest(tmp_path / "run" / "checkpoints").tensors
    other = checkpoint.newest(tmp_path / "run" / "ranks/1" / "checkpoints").tensors
    assert all(torch.equal(state[n], other[n]) for n in state if n.startswith("model.") and "running" not in n)
    assert any(not torch.equal(state[n], other[n]) for n in state if n.startswith("bench."))


def test_a_rank_that_cannot_begin_stops_all_with_one_message_and_leaves_no_folder(torchrun, tmp_path):
    write(tmp_path)
    (tmp_path / "lab.toml").write_text('[devices.chip0]\naddress = "emulator:mixed-8bit"\n')
    named = ("--bench", str(tmp_path / "lab.toml"), "--device", "chip{rank}")
    code, said = trained(torchrun, tmp_path, tmp_path / "run", *named)
    assert code != 0
    (message,) = (line for line in said.splitlines() if line.startswith("hil: "))
    assert "rank 1 of 2: " in message and "no device 'chip1'" in message and "before the first step" in message
    assert "[rank" not in said  # a traceback of ours
    assert not (tmp_path / "run").exists()


LISTENING = """
import sys
from contextlib import suppress
import psutil
from hil.training.ranks import Ranks
part = Ranks.wait
def listening(self):
    ports = []
    for process in psutil.Process().parent().parent().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            ports += [c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    sys.stdout.write(f"listening {({port.ip for port in ports})}\\n")  # as one: the other rank writes, too
    sys.stdout.flush()
    part(self)
Ranks.wait = listening
from hil.training.ranks import joined
with joined() as ranks:
    ranks.wait()
"""


def test_on_one_machine_nothing_need_listen_on_a_network(torchrun, tmp_path):
    (tmp_path / "listening.py").write_text(LISTENING)
    in_a_file = ("--rdzv-backend", "c10d", "--rdzv-conf", "store_type=file")
    done = torchrun(str(tmp_path / "listening.py"), meet=in_a_file, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
    said = [line for line in done.stdout.splitlines() if line.startswith("listening")]
    assert said == ["listening {'127.0.0.1'}"] * 2, done.stdout + done.stderr


def main_exits_ok(command):
    try:
        main(command)
    except SystemExit as done:
        assert done.code in (0, None)


def test_unequal_parts_are_refused(tmp_path, monkeypatch):
    from hil.commands.train import _check_parts
    from hil.training.ranks import Ranks
    from hil.training.run.folder import RunError

    for run in ({"batch": 15, "drop_last": True}, {"batch": 16}):
        with pytest.raises(RunError, match=r"run\.drop_last = true and run\.batch to a multiple of 2"):
            _check_parts(Experiment.model_validate(EXPERIMENT | {"run": run}), Ranks(count=2))
    pulsed = Experiment.model_validate(EXPERIMENT | {"update": {"kind": "pulsed"}})
    with pytest.raises(RunError, match="pulsed"):
        _check_parts(pulsed, Ranks(count=2))

"""Trainings of every rule for cells, killed -9 and gone on with by the command line: bit by bit the unbroken ones."""

import json
import signal

import pytest

from firmware_specs.registry import find, names
from hil.cli import main

EXPERIMENT = """
readout = "none"
data = { name = "digits", train_samples = 128, test_samples = 16 }
run = { epochs = 1, batch = 16, eval_batch = 16, checkpoint_every = 1 }

[[blocks]]
feedforward = [{ kind = "avg_pool" }, { kind = "flatten" }]
energy = { couplings = [{ kind = "dense", units = 10 }] }
"""
RULES = [name for name in names("updates") if find("updates", name).pulsed and not find("updates", name).frozen]
MORE = {
    "tiki_taka": ("update.search=5", "update.lines=5"),
    "chopped": ("update.search=5", "update.lines=5", "update.chop=2"),
    "residual": ("update.search=5", "update.every=1", "update.slower=2", "update.lines=5"),
    "agad": ("update.lines=5", "update.chop=2"),
    "coincidence": ("update.slots=3",),
    "device": ("update.alternate=true", "update.zero_contrast=1", "update.correct_every=3"),
}


KILLED = """
import os, signal, sys
from hil.cli import main
from hil.training.run import checkpoint

written = checkpoint.write

def write(folder, step, *more):
    written(folder, step, *more)
    if step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.write = write
main(sys.argv[1:])
"""
"""The command, killed at its fourth checkpoint and nowhere else, however busy the machine is."""


def command(path, kind, *more):
    settings = [f"update.kind={kind}", "update.lr=0.02", *MORE.get(kind, ())]
    address = {"device": "emulator:self-updating", "residual": "emulator:reram-few-levels"}.get(kind, "emulator:reram")
    told = [word for setting in settings for word in ("--set", setting)]
    return ["train", str(path.parent / "small.toml"), "--device", address, "--run-dir", str(path), *told, *more]


def done(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


@pytest.mark.parametrize("kind", RULES)
def test_what_was_killed_ends_as_what_was_not(python, tmp_path, kind):
    (tmp_path / "small.toml").write_text(EXPERIMENT)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done(command(whole, kind))
    child = python.popen(["-c", KILLED, *command(broken, kind)])
    assert child.wait() == -signal.SIGKILL
    assert not (broken / "summary.json").exists()
    done(command(broken, kind, "--resume"))
    weights = [json.loads((path / "summary.json").read_text())["weights"] for path in (whole, broken)]
    assert weights[0] == weights[1]
    assert (broken / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()

"""Run folders against strangers: links, other people's files, a second writer, checkpoints that are gone."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from hil.cli import main
from hil.experiments.experiment_file import dump
from hil.experiments.schema import Experiment
from hil.training import loop
from hil.training.run import checkpoint, folder, marked, metrics
from hil.training.run.folder import RunError

SMALL = Experiment.model_validate(
    {
        "data": {"name": "digits", "train_samples": 100, "test_samples": 20},
        "device": "reference:",
        "blocks": [{"feedforward": [{"kind": "flatten"}], "energy": {"couplings": [{"kind": "dense", "units": 4}]}}],
        "run": {"epochs": 1, "batch": 20, "checkpoint_every": 1, "keep_checkpoints": 3},
    }
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, to be copied."""
    path = tmp_path_factory.mktemp("runs")
    (path / "small.toml").write_text(dump(SMALL))
    assert hil("train", path / "small.toml", "--run-dir", path / "run") == (0, "")
    return path


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    shutil.copy(trained / "small.toml", tmp_path)
    return tmp_path / "run"


def hil(*arguments):
    """Exit code and what was said on the error stream."""
    said = []
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setattr("hil.commands.complain", lambda error: said.append(str(error)))
        main([str(a) for a in arguments])
    return done.value.code, "".join(said)


def train(run, *more):
    return hil("train", run.parent / "small.toml", "--run-dir", run, *more)


def everything(path):
    """All files below a folder with what they hold; links by where they lead."""
    return {
        str(p.relative_to(path)): f"-> {p.readlink()}" if p.is_symlink() else p.read_bytes()
        for p in sorted(path.rglob("*"))
        if p.is_symlink() or p.is_file()
    }


def test_overwriting_removes_what_a_run_makes_and_nothing_else(run):
    foreign = {
        "thesis.tex": "a year",
        "notes/ideas.md": "more",
        "checkpoints/best.safetensors": "picked by hand",
        "tensorboard/notes.txt": "x",
        "step_000000001.json": "not where we put them",
        ".hidden": "y",
    }
    for name, text in foreign.items():
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(text)
    left_by_a_crash = run / "checkpoints" / ".step_000000009.safetensors.abcd1234"
    left_by_a_crash.write_text("half")
    old = (run / "checkpoints" / "step_000000005.json").stat().st_mtime_ns
    assert train(run, "--overwrite")[0] == 0
    assert {name: (run / name).read_text() for name in foreign} == foreign
    assert not left_by_a_crash.exists()
    assert (run / "checkpoints" / "step_000000005.json").stat().st_mtime_ns > old
    assert len(list((run / "tensorboard").glob("events.*"))) == 1


@pytest.mark.parametrize("more", [("--overwrite",), ()], ids=["overwrite", "new"])
def test_a_folder_without_our_marker_is_never_replaced(more, run):
    shutil.rmtree(run)
    run.mkdir()
    (run / "config.toml").write_text(dump(SMALL))
    (run / "thesis.tex").write_text("a year")
    before = everything(run)
    code, said = train(run, *more)
    assert code == 2
    assert "no marker of a run" in said
    assert everything(run) == before


LINKED = [
    "config.toml",
    "metrics.jsonl",
    "provenance.json",
    "checkpoints",
    "tensorboard",
    "summary.json",
    "report.html",
]


@pytest.mark.parametrize("more", ["--resume", "--overwrite"])
@pytest.mark.parametrize("name", [*LINKED, "checkpoints/step_000000005.json", ".lock", ".crossbar-hil", "ranks"])
def test_a_link_in_a_run_folder_is_not_followed(name, more, run, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    target = outside / "target"
    if (run / name).exists():
        (run / name).rename(target)
    else:
        target.mkdir()
    (run / name).symlink_to(target)
    before = everything(outside), everything(run)
    code, said = train(run, more)
    assert code == 2
    assert "link" in said or "marker" in said
    assert (everything(outside), everything(run)) == before


def test_a_pipe_in_a_run_folder_holds_nobody(run):
    (run / "metrics.jsonl").unlink()
    os.mkfifo(run / "metrics.jsonl")
    code, said = train(run, "--resume")
    assert code == 2
    assert "is not what a run has under that name" in said


def test_metrics_of_a_copy_made_of_hard_links_grow_alone(run):
    copy = run.parent / "snapshot"
    shutil.copytree(run, copy, copy_function=os.link)
    before = everything(copy)
    assert train(run, "--overwrite")[0] == 0
    with metrics.MetricsFile(copy / "metrics.jsonl", (copy / "metrics.jsonl").stat().st_size) as file:
        os.link(copy / "metrics.jsonl", run.parent / "another")
        file.write({"a": 1})
    assert everything(copy)["checkpoints/step_000000005.json"] == before["checkpoints/step_000000005.json"]


def test_a_copy_made_of_hard_links_stays_as_it_was(tmp_path):
    """Of a run on a chip: counts, events and metrics go on in the run and not in the copy."""
    on_chip = SMALL.model_copy(update={"device": "emulator:ideal?seed=1"})
    (tmp_path / "small.toml").write_text(dump(on_chip))
    run, copy = tmp_path / "run", tmp_path / "copy"
    assert train(run) == (0, "")
    shutil.copytree(run, copy, copy_function=os.link)
    before = everything(copy)
    assert train(run, "--resume", "--set", "run.epochs=2") == (0, "")
    assert everything(copy) == before
    assert (run / "ledger.bin").read_bytes() != before["ledger.bin"]


@pytest.mark.parametrize("place", ["empty", "another run"])
def test_a_run_whose_folder_is_moved_away_writes_nothing_at_its_old_place(place, run, monkeypatch):
    """Somebody moves it after the second step, and maybe begins another one there."""
    moved, steps = run.parent / "moved", []
    shutil.copytree(run, other := run.parent / "other")
    step = loop.step

    def moving(*arguments):
        steps.append(len(steps))
        if len(steps) == 3:
            run.rename(moved)
            if place == "another run":
                other.rename(run)
                run.joinpath("metrics.jsonl").write_text("")
        return step(*arguments)

    monkeypatch.setattr(loop, "step", moving)
    before = everything(other) | {"metrics.jsonl": b""}
    code, said = train(run, "--overwrite")
    assert code == 2 and "no longer this process's" in said
    assert not run.exists() if place == "empty" else everything(run) == before
    assert checkpoint.newest(moved / "checkpoints").facts["position"]["step"] == 2
    monkeypatch.undo()
    assert hil("train", "--run-dir", moved, "--resume") == (0, "")
    whole(moved, 5)


def test_a_run_whose_lock_was_removed_stops(run, monkeypatch):
    step = loop.step

    def unlocked(*arguments):
        (run / ".lock").unlink(missing_ok=True)
        return step(*arguments)

    monkeypatch.setattr(loop, "step", unlocked)
    code, said = train(run, "--overwrite")
    assert code == 2 and "no longer this process's" in said


def test_what_has_neither_marker_nor_checkpoint_is_not_gone_on_with(run):
    """Files with the names of ours beside a configuration: somebody else's."""
    (run / ".crossbar-hil").unlink()
    shutil.rmtree(run / "checkpoints")
    before = everything(run)
    code, said = train(run, "--resume")
    assert code == 2 and "neither the marker of a run" in said
    assert everything(run) == before


def damage_all(run, how):
    for file in list((run / "checkpoints").iterdir()):
        match how:
            case "cut":
                file.write_bytes(file.read_bytes()[:-7])
            case "placeholders":
                file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
            case "empty":
                file.write_bytes(b"")
            case "deleted":
                file.unlink()
            case "tensors deleted" if file.suffix == ".safetensors":
                file.unlink()
            case "facts of another kind" | "facts of another step" if file.suffix == ".json":
                sha = json.loads(file.read_text())["sha256"]
                position = {"step": 77, "epoch": 0, "batch": 0} if "step" in how else []
                file.write_text(json.dumps({"sha256": sha, "position": position, "metrics_bytes": 0}))


@pytest.mark.parametrize(
    "how",
    [
        *("cut", "placeholders", "empty", "deleted", "tensors deleted", "folder deleted"),
        *("facts of another kind", "facts of another step"),
    ],
)
def test_a_resume_without_a_checkpoint_that_reads_back_refuses_and_changes_nothing(how, run):
    damage_all(run, how)
    if how == "folder deleted":
        shutil.rmtree(run / "checkpoints")
    before = everything(run)
    code, said = train(run, "--resume")
    assert code == 2
    assert "cannot go on" in said and "Nothing was changed" in said
    assert everything(run) == before


def test_a_run_killed_before_its_first_checkpoint_is_taken_up_from_the_start(run):
    shutil.rmtree(run / "checkpoints")
    marked.mark(run, folder.RUN, checkpointed=False)
    assert train(run, "--resume")[0] == 0
    assert [r["step"] for r in metrics.read(run / "metrics.jsonl") if r["kind"] == "step"] == [1, 2, 3, 4, 5]


def test_a_later_checkpoint_that_does_not_read_back_costs_no_earlier_one(run):
    later = run / "checkpoints" / "step_000000099.json"
    later.write_text("{}")
    found = checkpoint.newest(run / "checkpoints")
    checkpoint.write(run / "checkpoints", 5, found, keep=1)
    assert checkpoint.newest(run / "checkpoints").facts["position"]["step"] == 5
    assert later.exists()


@contextlib.contextmanager
def another_process_trains(run):
    """A process that holds the folder as a run does, without its two seconds of imports."""
    script = (
        "import sys; from pathlib import Path; from drivers.owner_file import OwnerFile\n"
        "held = OwnerFile(Path(sys.argv[1]) / '.lock', 'run'); print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        yield child
        child.stdin.close()


@pytest.mark.parametrize("more", ["--resume", "--overwrite"])
def test_a_second_writer_of_a_run_folder_is_refused_by_name(more, run):
    with another_process_trains(run) as child:
        before = everything(run)
        code, said = train(run, more)
        assert code == 2
        assert f"is being written by process {child.pid} of" in said
        assert everything(run) == before
    assert train(run, more)[0] == 0


def test_the_lock_goes_with_a_killed_writer(run):
    with another_process_trains(run) as child:
        child.kill()
    assert train(run, "--resume")[0] == 0
    assert not (run / ".lock").exists()


def test_of_many_that_start_at_once_one_gets_the_folder(tmp_path):
    got, lost = [], []
    go = threading.Barrier(6)

    def begin(number):
        go.wait()
        try:
            with folder.writing(tmp_path / "run"):
                folder.start(tmp_path / "run", SMALL)
                got.append(number)
        except RunError:
            lost.append(number)

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert len(lost) == 5
    assert (tmp_path / "run" / "config.toml").is_file()


def test_an_unreadable_provenance_is_one_sentence_and_changes_nothing(run):
    for text in ("", "{}", "[1]", '{"sessions": 3}', '{"sessions": [3]}', "\x00", "[" * 100_000):
        (run / "provenance.json").write_text(text)
        before = everything(run)
        code, said = train(run, "--resume")
        assert code == 2
        assert "provenance.json does not read back" in said
        assert everything(run) == before


# ---- campaigns: kill -9 and pairs of runs


def whole(run, steps):
    """Every step is there once, and the last checkpoint reads back."""
    records = [r["step"] for r in metrics.read(run / "metrics.jsonl") if r["kind"] == "step"]
    assert records == list(range(1, steps + 1))
    assert checkpoint.newest(run / "checkpoints").facts["position"]["step"] == steps


def start_train(run, *more):
    command = [sys.executable, "-m", "hil", "train", str(run.parent / "small.toml"), "--run-dir", str(run), *more]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True, **quiet)


def pairs(run, count, more):
    """Two processes on one folder at once, so many times: one trains, the other is refused or goes on after it."""
    for _ in range(count):
        shutil.rmtree(run / "checkpoints")
        marked.mark(run, folder.RUN, checkpointed=False)
        both = [start_train(run, more) for _ in range(2)]
        errors = [child.communicate()[1] for child in both]
        assert 0 in [child.returncode for child in both], errors
        for child, said in zip(both, errors, strict=True):
            assert child.returncode == 0 or (child.returncode == 2 and "is being written by process" in said), said
        whole(run, 5)


@pytest.mark.soak
@pytest.mark.parametrize("more", ["--resume", "--overwrite"])
def test_fifty_pairs_of_concurrent_runs_lose_and_double_nothing(run, more):
    pairs(run, 25, more)


FORKING = """
import os, sys
import hil.training.loop
from hil.cli import main
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        main(line.split())
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Trainings:
    """Processes that train, one after the other, forked off one that has paid for the imports."""

    def __init__(self):
        command = [sys.executable, "-c", FORKING]
        quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
        self.parent = subprocess.Popen(command, text=True, **quiet)

    def start(self, *arguments):
        self.parent.stdin.write(" ".join(map(str, arguments)) + "\n")
        self.parent.stdin.flush()
        self.child = int(self.parent.stdout.readline())

    @property
    def ended(self):
        return bool(select.select([self.parent.stdout], [], [], 0.001)[0])

    def kill(self):
        """Exit code; the parent has not reaped the child before it is read, so its number is still its own."""
        if not self.ended:
            os.kill(self.child, signal.SIGKILL)
        return self.code()

    def code(self):
        return int(self.parent.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.parent.stdin.close()
        self.parent.stdout.close()
        self.parent.wait()


@pytest.mark.soak
def test_two_hundred_kills_lose_and_double_nothing(run):
    shutil.rmtree(run)
    (run.parent / "small.toml").write_text(
        dump(SMALL.model_copy(update={"run": SMALL.run.model_copy(update={"epochs": 60})}))
    )
    killed = 0
    more = ()
    with Trainings() as trainings:
        while killed < 200:
            before = steps_done(run)
            trainings.start("train", run.parent / "small.toml", "--run-dir", run, *more)
            while not trainings.ended and steps_done(run) < before + 1:
                pass
            if trainings.ended:
                assert trainings.code() == 0
                whole(run, 300)
                shutil.rmtree(run)
                more = ()
                continue
            time.sleep(killed % 20 / 400)  # anywhere in the writing of the next ones
            assert trainings.kill() in (-signal.SIGKILL, 0)
            killed, more = killed + 1, ("--resume",)
            assert checkpoint.newest(run / "checkpoints").facts["position"]["step"] >= before
    assert train(run, *more)[0] == 0
    whole(run, 300)


def steps_done(run):
    facts = checkpoint.names(run / "checkpoints")
    return max((int(name[5:14]) for name in facts if name.endswith(".json")), default=0)

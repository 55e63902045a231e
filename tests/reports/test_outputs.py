"""Files and folders: nothing that somebody wrote is replaced unasked, and what is broken is one sentence."""

import fcntl
import inspect
import json
import pkgutil
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from hil import commands
from hil.measuring.characterize import plan as plans
from hil.outputs import NotReplaced, refuse_replacing, write_result, write_signed

MINE = "what I wrote\n"
SMALL = ("--set", "run.epochs=1", "--set", "data.train_samples=64", "--set", "data.test_samples=32")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training run, made once; tests work on copies."""
    from hil import cli

    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "digits", *SMALL, "--run-dir", str(folder)])
    assert not end.value.code
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A characterization of an emulated chip, made once."""
    from hil import cli

    folder = tmp_path_factory.mktemp("measured")
    text = "rows = 4\ncolumns = 4\n[read_noise]\n"
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    arguments = ["--device", "emulator:mixed-8bit", "--out", str(folder / "chip"), "--plan", str(folder / "plan.toml")]
    with pytest.raises(SystemExit) as end:
        cli.main(["characterize", *arguments])
    assert not end.value.code
    return folder / "chip"


@pytest.fixture
def chip(measured, tmp_path):
    return Path(shutil.copytree(measured, tmp_path / "chip"))


NAMED = [  # a command that writes a file which is named; {mine} is there and somebody's
    "export mixed-8bit --to aihwkit -o {mine}",
    "netlist emulator:resistive-crossbar -o {mine}",
    "import aihwkit ReRamSB -o {mine}",
    "compare run run -o {mine}",
    "report run -o {mine}",
    "evaluate run --json {mine}",
    "train digits --json {mine} --run-dir new",
    "study digits --sweep run.seed=1,2 --json {mine} --run-dir new",
    "gradcheck digits --json {mine}",
    "gradcheck digits --picture {mine}",
    "conform --device emulator:ideal --only identity --json {mine}",
    "conform --device emulator:ideal --only identity --html {mine}",
    "conform --device emulator:ideal --only identity --junit {mine}",
    "conform --device emulator:ideal --only identity --trace {mine}",
    "emulate --rack keithley-8x8 --bench-out {mine}",
    "calibrate --experiment digits --device emulator:ideal -o {mine}",
    "map save --device emulator:ideal -o {mine}",
    "twin chip -o {mine}",
    "schema bench -o {mine}",
    "ledger run --json {mine}",
]


@pytest.mark.parametrize("line", NAMED)
def test_what_somebody_wrote_is_refused_with_the_word_that_replaces_it(line, hil, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(MINE, encoding="utf-8")
    found = hil(*line.format(mine=mine).split())
    assert found.code == 2, found.said
    said = "".join(found.err.replace("\u2502", " ").split())  # a box breaks long words, too
    assert "--overwrite" in said and "mine.toml" in said, found.said
    assert mine.read_text(encoding="utf-8") == MINE
    assert {path.name for path in tmp_path.iterdir()} <= {"ledgers", "locks", "mine.toml"}


def test_every_command_that_is_told_where_to_write_has_the_rule():
    """The kind: whoever adds an option for a file meets this."""
    for found in pkgutil.iter_modules(commands.__path__):
        module = import_module(f"hil.commands.{found.name}")
        apps = getattr(module, "app", None)
        for function in [c.callback for c in apps.registered_commands] if apps else [module.command]:
            options = inspect.signature(function, eval_str=True).parameters
            for name, option in options.items():
                kinds = getattr(option.annotation, "__metadata__", ())
                if any(getattr(kind, "callback", None) is commands.to_be_written for kind in kinds):
                    assert "overwrite" in options, f"{found.name}: {name} has no --overwrite"


REPLACED = [  # what was there, replaced unasked
    ("nothing", lambda path: None, True),
    ("an empty file", lambda path: path.write_bytes(b""), True),
    ("ours", lambda path: write_signed(path, "a = 1\n"), True),
    (
        "ours, edited",
        lambda path: (write_signed(path, "a = 1\n"), path.write_text(path.read_text() + "b = 2\n")),
        False,
    ),
    ("a result of ours", lambda path: write_result(path, {"a": 1}), True),
    ("a result of somebody's", lambda path: path.write_text('{"a": 1}'), False),
]


@pytest.mark.parametrize("row", REPLACED, ids=lambda row: row[0])
def test_what_we_made_and_nobody_touched_is_replaced(row, hil, tmp_path):
    _, make, replaced = row
    path = tmp_path / "device.py"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    found = hil("export", "mixed-8bit", "--to", "crosssim", "-o", path)
    assert found.code == (0 if replaced else 2), found.said
    assert (path.read_bytes() == before) != replaced
    assert hil("export", "mixed-8bit", "--to", "crosssim", "-o", path, "--overwrite").code == 0
    assert hil("export", "mixed-8bit", "--to", "crosssim", "-o", path).code == 0


def test_pages_and_results_of_ours_are_made_again_and_foreign_files_in_a_run_stay(run, hil, tmp_path):
    for line in ("report run -o page.html", "compare run run -o beside.html", "evaluate run --json figures.json"):
        assert hil(*line.split()).code == 0
        assert hil(*line.split()).code == 0
    assert json.loads((tmp_path / "figures.json").read_text())["made_by"] == "crossbar-hil"
    (run / "notes.txt").write_text(MINE)
    (run / "checkpoints" / "thesis.tex").write_text(MINE)
    assert hil("train", "digits", *SMALL, "--run-dir", run).code == 2
    found = hil("train", "digits", *SMALL, "--run-dir", run, "--overwrite")
    assert found.code == 0, found.said
    assert (run / "notes.txt").read_text() == (run / "checkpoints" / "thesis.tex").read_text() == MINE


AGAIN = [  # a command that writes what is no text of ours, the files
    ("gradcheck iris --samples 2 --picture p.svg", "p.svg"),
    ("netlist resistive-ideal -o n.cir", "n.cir"),
    ("schema lab -o s.json", "s.json"),
    ("report chip --figures figures", "figures/*.csv", "figures/*.png"),
    ("firmware board board", "board/board.h"),
]


@pytest.mark.parametrize("row", AGAIN, ids=" ".join)
def test_what_a_command_makes_twice_is_replaced_and_what_somebody_put_there_is_not(
    row, hil, chip, tmp_path, monkeypatch
):
    line, *names = row
    monkeypatch.setattr("hil.learning.gradients.gradcheck.curves", lambda *_: None)  # panels that nobody sees
    if "firmware" in line:
        assert hil("firmware", "new", "board").code == 0
    for _ in range(2):
        found = hil(*line.split())
        assert found.code == 0, found.said
    made = {path: path.read_bytes() for path in (first(tmp_path, name) for name in names)}
    for path, ours in made.items():
        path.write_text(MINE, encoding="utf-8")
        found = hil(*line.split())
        assert found.code == 2 and "--overwrite" in " ".join(found.said.split()), found.said
        assert path.read_text(encoding="utf-8") == MINE
        path.write_bytes(ours)
    for path in made:
        path.write_text(MINE, encoding="utf-8")
    assert hil(*line.split(), "--overwrite").code == 0
    assert all(path.read_bytes() != MINE.encode() for path in made)


FOREIGN = {  # pictures and measurements that others made, or that are data of ours and no output
    "foreign.png": lambda path, _: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3000)),
    "foreign.pdf": lambda path, _: path.write_bytes(b"%PDF-1.4\n" + bytes(3000)),
    "measured.nc": lambda path, chip: shutil.copy(chip / "read_noise.nc", path),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_picture_or_a_measurement_of_others_is_not_ours(name, chip, tmp_path):
    FOREIGN[name](tmp_path / name, chip)
    with pytest.raises(NotReplaced, match=r"--overwrite"):
        refuse_replacing(tmp_path / name, overwrite=False)


def test_pictures_are_refused_by_their_suffix_before_anything_is_measured(hil):
    found = hil("gradcheck", "digits", "--picture", "p.tiffany")
    assert found.code == 2 and ".png, .svg or .pdf" in " ".join(found.said.split()), found.said


def cut(path, to=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * to)])


def first(folder, pattern):
    return sorted(folder.glob(pattern))[0]


BROKEN_RUNS = [  # what happened to a run, command, exit code, words
    ("an empty provenance", lambda r: cut(r / "provenance.json", 0), "resume", 2, "provenance.json does not read back"),
    ("a cut provenance", lambda r: cut(r / "provenance.json"), "resume", 2, "provenance.json does not read back"),
    ("an empty evaluation", lambda r: cut(r / "evaluation.json", 0), "report", 0, "report:"),
    ("a cut summary", lambda r: cut(r / "summary.json"), "report", 0, "report:"),
    ("a cut checkpoint", lambda r: cut(first(r, "checkpoints/*.safetensors")), "resume", 2, "none of its checkpoints"),
    ("a placeholder for a checkpoint", lambda r: first(r, "checkpoints/*.safetensors").write_text("version https://git-lfs"),
     "resume", 2, "none of its checkpoints reads back"),
    ("no checkpoints", lambda r: shutil.rmtree(r / "checkpoints"), "resume", 2, "its checkpoints are gone"),
    ("a cut config", lambda r: cut(r / "config.toml"), "resume", 2, "config.toml"),
    ("a cut metrics line", lambda r: cut(r / "metrics.jsonl"), "report", 0, "report:"),
    ("weights to begin with are cut", lambda r: cut(first(r, "checkpoints/*.safetensors")), "init", 2, "no checkpoint"),
]  # fmt: skip


@pytest.mark.parametrize("row", BROKEN_RUNS, ids=lambda row: row[0])
def test_a_broken_file_of_a_run_is_one_sentence_and_nothing_is_deleted(row, run, hil):
    _, harm, command, code, words = row
    harm(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "report.html"}
    lines = {
        "resume": ("train", "--resume", "--run-dir", run, "--set", "run.epochs=2"),
        "report": ("report", run),
        "init": ("train", "digits", *SMALL, "--init", run, "--run-dir", "new"),
    }
    found = hil(*lines[command])
    assert (found.code, words in found.said) == (code, True), found.said
    assert all(path.read_bytes() == content for path, content in before.items())


def again(chip):
    return ("characterize", "--device", "emulator:mixed-8bit", "--out", chip, "--plan", chip.parent / "plan.toml")


BROKEN_CHIPS = [  # what happened to a characterization, command, exit code, words
    ("a cut NetCDF", lambda c: cut(c / "read_noise.nc"), "report", 2, "read_noise.nc does not read back"),
    ("an empty NetCDF", lambda c: cut(c / "read_noise.nc", 0), "report", 2, "read_noise.nc does not read back"),
    ("text for a NetCDF", lambda c: (c / "read_noise.nc").write_text("hello"), "report", 2, "read_noise.nc"),
    ("a cut NetCDF, measured on", lambda c: cut(c / "read_noise.nc"), "again", 0, ""),
    (
        "a cut journal entry",
        lambda c: cut(first(c, "journal/read_noise/*.npz")),
        "again",
        2,
        "its cells are not as they were left",
    ),
    (
        "an empty journal entry",
        lambda c: cut(first(c, "journal/read_noise/*.npz"), 0),
        "again",
        2,
        "take another --out",
    ),
    ("an empty provenance", lambda c: cut(c / "provenance.json", 0), "again", 2, "provenance.json does not read back"),
    ("an empty figures.json", lambda c: cut(c / "figures.json", 0), "report", 2, "figures.json does not read back"),
    ("a twin of it", lambda c: cut(c / "read_noise.nc"), "twin", 2, "read_noise.nc does not read back"),
]


@pytest.mark.parametrize("row", BROKEN_CHIPS, ids=lambda row: row[0])
def test_a_broken_file_of_a_characterization_is_one_sentence_or_measured_again(row, chip, hil):
    _, harm, command, code, words = row
    (chip.parent / "plan.toml").write_text("rows = 4\ncolumns = 4\n[read_noise]\n")
    assert plans.load(chip.parent / "plan.toml")
    harm(chip)
    line = {"report": ("report", chip), "again": again(chip), "twin": ("twin", chip, "-o", "twin.toml")}[command]
    found = hil(*line)
    assert (found.code, words in found.said) == (code, True), found.said
    assert "Aborted" not in found.said
    if command == "again" and code == 0:
        assert hil("report", chip).code == 0


MEASURE = ("characterize", "--device", "emulator:ideal", "--out")
PLACES = [  # command, what lies in its way, exit code, words
    ("characterize into a training", (*MEASURE, "run"), 2, "no characterization"),
    ("characterize into a file", (*MEASURE, "run/config.toml"), 2, "is a file"),
    ("train into a file", ("train", "digits", "--run-dir", "run/config.toml"), 2, "config.toml"),
    ("train below a file", ("train", "digits", "--run-dir", "run/config.toml/x"), 2, "config.toml"),
    ("study into a training", ("study", "digits", "--sweep", "run.seed=1,2", "--run-dir", "run"), 2, "run"),
    ("a report into a folder", ("report", "run", "-o", "run"), 2, "is a folder"),
    ("a report into no folder", ("report", "run", "-o", "none/page.html"), 2, "there is no folder"),
    ("a report of nothing", ("report", "none"), 2, "none"),
    ("evaluate nothing", ("evaluate", "none"), 2, "none"),
    ("a run that is no run", ("evaluate", "locks"), 2, "locks"),
    ("gradients into a file", ("gradients", "digits", "--out", "run/config.toml"), 2, "config.toml"),
]  # fmt: skip


def test_a_file_that_another_program_holds_is_said_to_be_held(chip, hil):
    with (chip / "read_noise.nc").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as an HDF5 program that writes it
        found = hil("report", chip)
    assert found.code == 2 and "another program holds it" in found.err, found.said
    assert hil("report", chip).code == 0


@pytest.mark.parametrize("row", PLACES, ids=lambda row: row[0])
def test_places_that_are_something_else_are_named(row, run, hil, tmp_path):
    _, line, code, words = row
    (tmp_path / "locks").mkdir(exist_ok=True)
    config = (run / "config.toml").read_bytes()
    found = hil(*line)
    assert found.code == code and words in " ".join(found.said.replace("\u2502", " ").split()), found.said
    assert (run / "config.toml").read_bytes() == config


@pytest.mark.parametrize("place", ["locks", "ledgers"])
def test_a_place_of_ours_that_is_a_file_is_named_with_the_variable_that_names_another(
    place, hil, tmp_path, wires, board
):
    shutil.rmtree(tmp_path / place, ignore_errors=True)
    (tmp_path / place).write_text(MINE)
    found = hil("clear", f"serial:socket://127.0.0.1:{wires.tcp(board().feed)}")
    variable = {"locks": "CROSSBAR_HIL_LOCKS", "ledgers": ""}[place]
    assert found.code == (3 if place == "locks" else found.code) and variable in found.said, found.said
    assert (tmp_path / place).read_text() == MINE

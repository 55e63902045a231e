"""What is around a command: users without a name, leftovers of other programs, streams that end, alphabets."""

import errno
import io
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hil.counterparts import convolutions
from hil.environment import Outlet, shielded
from hil.training import ranks
from hil.training.ranks import RankError, joined

SMALL = ("train", "digits", "--set", "run.epochs=1", "--set", "data.train_samples=32", "--set", "data.test_samples=16")


class Nowhere(io.StringIO):
    """A stream that fails from some write on."""

    def __init__(self, code, after=1):
        super().__init__()
        self.code, self.left = code, after

    def write(self, text):
        self.left -= 1
        if self.left < 0:
            raise OSError(self.code, os.strerror(self.code))
        return super().write(text)


NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MPLCONFIGDIR": "/proc/none"}
LEFT_OVER = [  # the environment, words on stderr
    ({"WORLD_SIZE": "2", "RANK": "0", "MPLBACKEND": "nonsense"}, "left over from another program: training alone"),
    ({"WORLD_SIZE": "4", "RANK": "9", "MASTER_ADDR": "x", "MASTER_PORT": "1"} | NOTEBOOK, "with RANK=9 is left over"),
    ({"WORLD_SIZE": "two", "RANK": "", "LOCAL_RANK": "", "LOCAL_WORLD_SIZE": "x", "COLUMNS": "abc", "LINES": "x"}, ""),
    ({"OMPI_COMM_WORLD_SIZE": "8", "SLURM_NTASKS": "8", "SLURM_PROCID": "3", "TERM": "", "TMPDIR": "/nonexistent",
      "XDG_CACHE_HOME": "relative", "XDG_STATE_HOME": "/proc/none"}, ""),
]  # fmt: skip


@pytest.mark.parametrize("row", LEFT_OVER, ids=lambda row: " ".join(row[0]))
def test_what_another_program_left_changes_nothing_but_a_line(row, hil, monkeypatch, tmp_path):
    variables, words = row
    plain = reference(hil, tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = hil(*SMALL, "--run-dir", tmp_path / "run")
    assert (found.code, words in found.err) == (0, True), found.said
    line = next(line for line in found.out.splitlines() if line.startswith("test accuracy"))
    assert line.split(",")[0] == plain, "another result"
    assert os.environ.get("MPLBACKEND") == variables.get("MPLBACKEND"), "not put back"


RESULT = {}


def reference(hil, tmp_path):
    """The same training without any of it, made once."""
    if not RESULT:
        out = hil(*SMALL, "--run-dir", tmp_path / "plain").out
        RESULT["line"] = next(line for line in out.splitlines() if line.startswith("test accuracy")).split(",")[0]
    return RESULT["line"]


def test_processes_that_do_not_come_are_named_and_not_waited_for_in_silence(monkeypatch, capsys):
    monkeypatch.setattr(ranks, "JOIN_S", 1.0)
    monkeypatch.setattr(ranks, "PATIENT_S", 0.1)
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}.items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(RankError, match=r"1 other processes at 127.0.0.1:0, as WORLD_SIZE=2.*remove WORLD_SIZE"),
        joined(),
    ):
        pass
    assert "waiting for 1 other processes" in capsys.readouterr().err
    assert not torch.distributed.is_initialized()


@pytest.fixture
def nobody(monkeypatch):
    """A user id without an entry in the password file, and no variable that says more."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "CROSSBAR_HIL_LEDGERS", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_a_user_without_a_name_trains_and_is_known_by_his_number(nobody, hil, tmp_path):
    found = hil(*SMALL, "--run-dir", tmp_path / "run")
    assert found.code == 0, found.said
    assert f'"user": "{os.getuid()}"' in (tmp_path / "run" / "provenance.json").read_text()
    assert hil("evaluate", tmp_path / "run").code == 0


WITHOUT_A_HOME = [
    (("devices", "serial:/dev/none"), 0, "refused"),
    (("doctor",), 0, ""),
    (("conform", "--device", "emulator:ideal", "--only", "identity"), 0, "passed"),
]


def test_ways_of_convolutions_of_a_user_without_a_home_hold_for_the_process(nobody, hil, monkeypatch):
    monkeypatch.delenv(convolutions.VARIABLE)
    assert "0 choices kept for no later process: this user has no home" in hil("doctor").said
    file = convolutions.cache_file()
    with file.held() as known:
        assert (file.path, known, file.read()) == (None, None, {})


@pytest.mark.parametrize("row", WITHOUT_A_HOME, ids=lambda row: row[0][0])
def test_a_user_without_a_home_is_served_and_no_folder_is_called_tilde(row, nobody, hil, tmp_path):
    arguments, code, words = row
    found = hil(*arguments)
    assert (found.code, words in found.said) == (code, True), found.said
    assert not (tmp_path / "~").exists()


def test_a_count_of_pulses_that_has_no_place_is_asked_for_one(nobody, hil, wires, board):
    found = hil("clear", f"serial:socket://127.0.0.1:{wires.tcp(board().feed)}")
    assert "SAFE" in found.out or "CROSSBAR_HIL_LEDGERS=FOLDER" in found.err, found.said


STREAMS = [  # what is behind standard output, command, exit code, words on stderr
    (errno.EPIPE, (*SMALL, "--run-dir", "run"), 0, ""),
    pytest.param(
        (errno.ENOSPC, (*SMALL, "--run-dir", "run"), 2, "what was printed could not be written"), marks=pytest.mark.soak
    ),
    (errno.EPIPE, ("export", "mixed-8bit", "--to", "crosssim"), 0, ""),
    (errno.EIO, ("export", "mixed-8bit", "--to", "crosssim"), 2, "what was printed could not be written"),
]


@pytest.mark.parametrize("row", STREAMS, ids=lambda row: f"{os.strerror(row[0])} {row[1][0]}")
def test_a_reader_that_ends_or_a_full_device_ends_no_command(row, hil, monkeypatch, tmp_path):
    code, arguments, wanted, words = row
    monkeypatch.setattr(sys, "stdout", Nowhere(code))
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    from hil import cli

    with pytest.raises(SystemExit) as end:
        cli.main(list(arguments))
    assert ((end.value.code or 0), words in errors.getvalue()) == (wanted, True), errors.getvalue()
    if "train" in arguments:
        assert (tmp_path / "run" / "summary.json").is_file() and (tmp_path / "run" / "report.html").is_file()


def test_an_outlet_says_why_it_lost_something_and_never_raises():
    for code, lost in ((errno.EPIPE, ""), (errno.ENOSPC, os.strerror(errno.ENOSPC))):
        outlet = Outlet(Nowhere(code, after=0))
        assert outlet.write("x") == 1
        outlet.flush()
        assert outlet.lost == lost


def test_letters_that_a_terminal_lacks_are_spelled_out(monkeypatch):
    places = [(alphabet, "strict") for alphabet in ("ascii", "latin1", "cp1252")]
    for alphabet, errors in (*places, ("ascii", "surrogateescape")):  # the last is the POSIX locale's
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=alphabet, errors=errors))
        with shielded():
            print("Gr\u00fc\u00dfe \u2192 \u221e")
        sys.stdout.flush()
        assert b"\\u2192" in raw.getvalue()


CLOSED = """
import os
os.close(1), os.close(2)
import sys
sys.stdout = sys.stderr = None
from hil.environment import shielded
with shielded():
    with open("data", "w") as file:
        print("to a reader"); os.write(1, b"by a library"); file.write("data")
"""


def test_closed_streams_are_no_files_of_the_run(tmp_path):
    """The process itself: descriptors 1 and 2 are closed."""
    done = subprocess.run([sys.executable, "-c", CLOSED], cwd=tmp_path, stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode, (tmp_path / "data").read_text()) == (0, "data")


LOCALES = {
    "POSIX, no coercion": {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "ASCII by name": {"PYTHONIOENCODING": "ascii"},
    "warnings are errors": {"PYTHONWARNINGS": "error"},
    "no assertions": {"PYTHONOPTIMIZE": "2"},
}
TITLE = "Gr\u00fc\u00dfe \u2192 \u221e"


@pytest.mark.soak
@pytest.mark.parametrize("name", LOCALES)
def test_a_title_is_the_same_after_every_resume_in_every_locale(name, tmp_path):
    experiment = f'base = "digits"\ntitle = "{TITLE}"\n[data]\ntrain_samples = 32\ntest_samples = 16\n'
    (tmp_path / "mine.toml").write_text(experiment, encoding="utf-8")
    again = [["train", "--resume", "runs/mine", "--set", f"run.epochs={n}"] for n in (2, 3)]
    for line in (["train", "mine.toml", "--set", "run.epochs=1"], *again):
        command, environment = [sys.executable, "-m", "hil", *line], os.environ | LOCALES[name]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    config = (tmp_path / "runs" / "mine" / "config.toml").read_bytes().decode()
    assert f'title = "{TITLE}"' in config


def test_paths_with_question_marks_and_hashes_are_addresses(hil, tmp_path):
    from firmware_specs.datasheet.load import text_of

    for name in ("what?.toml", "a?b=c.toml", "100%.toml", "sharp#1.toml", "Gr\u00fc\u00dfe.toml", "two words.toml"):
        (tmp_path / name).write_text(text_of("ideal"), encoding="utf-8")
        for address in (f"emulator:{name}", f"emulator:{name}?seed=3"):
            found = hil("clear", address)
            assert found.code == 2 and "no trip to clear" in found.err, found.said
            assert hil("conform", "--device", address, "--list").code == 0
    Path("la?b.toml").write_text('[devices.a]\naddress = "emulator:what?.toml?seed=1"\n', encoding="utf-8")
    assert "no trip to clear" in hil("clear", "--bench", "la?b.toml", "--device", "a").err

"""Warm processes end as those of a cold Python do."""

import subprocess
import sys
from pathlib import Path

import pytest

ENDS = {
    "at its last line": "print('words')",
    "by exit with a number": "import sys; print('words'); sys.exit(3)",
    "by exit with a negative one": "import sys; sys.exit(-1)",
    "by exit with words": "import sys; sys.exit('words')",
    "by an exception": "1 / 0",
    "by an interrupt": "raise KeyboardInterrupt",
    "by a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "with what it registered": "import atexit; atexit.register(print, 'last'); print('first')",
    "after its threads": "import threading as t; t.Timer(0.05, print, ['thread']).start(); print('main')",
    "with a closed stream": "import sys; print('words'); sys.stdout.close()",
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS)
def test_a_warm_process_says_and_returns_what_a_cold_one_does(python, program):
    warm = python.run(["-c", program], capture_output=True)
    cold = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last_words = [ran.stderr.strip().splitlines()[-1:] for ran in (warm, cold)]
    assert (warm.returncode, warm.stdout, last_words[0]) == (cold.returncode, cold.stdout, last_words[1])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_last_words_that_cannot_be_written_are_said_and_returned_as_a_cold_process_does(python):
    program = ["-c", "import sys; sys.stdout = open(1, 'w'); sys.stdout.write('words')"]
    with Path("/dev/full").open("w") as full:
        warm = python.run(program, stdout=full, stderr=subprocess.PIPE)
        cold = subprocess.run([sys.executable, *program], stdout=full, stderr=subprocess.PIPE, text=True)
    assert warm.returncode == cold.returncode == 120 and warm.stderr == cold.stderr != ""


def test_a_file_that_is_left_open_is_written_to_its_end(python, tmp_path):
    left = tmp_path / "left"
    assert python.run(["-c", f"f = open({str(left)!r}, 'w'); f.write('x')"]).returncode == 0
    assert left.read_text() == "x"

"""SIGTERM ends the suite, its workers too."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent


def wait_for(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.02)


@pytest.mark.long
def test_sigterm_ends_the_suite_and_its_workers(python, tmp_path):
    said = tmp_path / "pid"
    environment = os.environ | {"SAYS_ITS_PID": str(said)}
    if hasattr(os, "fork"):
        environment["TESTS_WARM"] = python.address
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", str(HERE / "waits.py")],
        cwd=HERE.parents[1], env=environment, stdout=subprocess.PIPE, text=True,
    ) as suite:  # fmt: skip
        try:
            wait_for(lambda: said.is_file() and said.read_text())
            worker = int(said.read_text())
            suite.send_signal(signal.SIGTERM)
            text, _ = suite.communicate()
            assert suite.returncode == 2, text
            assert "SIGTERM" in text
            wait_for(lambda: not psutil.pid_exists(worker))
        finally:
            suite.kill()


WITHOUT = """
import filelock, os, signal, sys  # the first has its own way there
for name in ("fcntl", "termios", "tty", "pty", "resource", "grp", "pwd"):
    sys.modules[name] = None
del signal.SIGHUP, signal.SIGQUIT, os.fork, os.getloadavg
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "-p", "no:randomly", "tests/tools/test_order.py"]))
"""


def test_tests_run_without_what_windows_lacks():
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=HERE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr

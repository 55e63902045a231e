"""Workers of a study do not outlive it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

HOST = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from hil.training.study.worker import end_with_parent

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(100)
"""


def test_worker_ends_when_the_study_is_killed(tmp_path):
    (tmp_path / "host.py").write_text(HOST)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "host.py")], env=environment, stdout=subprocess.PIPE, text=True
    ) as host:
        assert int(host.stdout.readline()) != host.pid
        host.send_signal(signal.SIGKILL)
        assert host.stdout.read() == ""  # ends when the last process that could write there has ended

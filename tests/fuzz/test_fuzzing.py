"""A million executions of every parser under coverage guidance: `make soak`."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("parsers.py")
TARGETS = ("frames", "payloads", "program_messages", "block_headers", "datasheet_files", "datasheet_values",
           "bench_files", "checkpoints")  # fmt: skip


def fuzz(target, *options):
    command = [sys.executable, SCRIPT, target, "-timeout=1", "-rss_limit_mb=2048", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[2], check=False)


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_inputs_crash_nothing_and_hang_nothing(target, tmp_path):
    pytest.importorskip("atheris")
    done = fuzz(target, "-atheris_runs=1000000", "-max_len=3000", f"-artifact_prefix={tmp_path}/")
    if "Timeout" in done.stderr:  # a busy machine stops processes, too: what counts hangs again
        done = fuzz(target, *map(str, tmp_path.iterdir()))
    assert done.returncode == 0, done.stderr[-4000:]

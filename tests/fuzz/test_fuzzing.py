"""A million executions of every parser under coverage guidance: `make soak`."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("parsers.py")
TARGETS = ("frames", "payloads", "program_messages", "block_headers", "datasheet_files", "datasheet_values",
           "bench_files", "checkpoints")  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_inputs_crash_nothing_and_hang_nothing(target, tmp_path):
    pytest.importorskip("atheris")
    options = [
        "-atheris_runs=1000000",
        "-max_len=3000",
        "-timeout=1",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(
        [sys.executable, SCRIPT, target, *options], capture_output=True, text=True, cwd=SCRIPT.parents[2], check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]

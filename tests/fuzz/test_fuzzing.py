"""A million executions of every parser under coverage guidance: `make soak`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("parsers.py")
TARGETS = ("frames", "payloads", "program_messages", "block_headers", "datasheet_files", "datasheet_values",
           "bench_files", "checkpoints")  # fmt: skip


EXECUTIONS = 1_000_000


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_inputs_crash_nothing_and_hang_nothing(target, tmp_path):
    pytest.importorskip("atheris")
    root = SCRIPT.parents[2]
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = [sys.executable, SCRIPT, target, f"-atheris_runs={EXECUTIONS}", "-max_len=3000", "-rss_limit_mb=2048"]
    # the target counts its processor time itself; libFuzzer's clock is for what never comes back
    command += ["-timeout=120", f"-artifact_prefix={tmp_path}/", str(corpus)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {EXECUTIONS} in" in done.stderr

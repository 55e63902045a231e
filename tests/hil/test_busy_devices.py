"""A device that somebody owns is refused at once: nobody waits for torch to hear that."""

import os
import subprocess
import sys

import pytest

from drivers.lock import FOLDER_VARIABLE, DeviceLock

ASKED = {
    "train": ["train", "digits", "--device"],
    "gradcheck": ["gradcheck", "digits", "--device"],
    "conform": ["conform", "--device"],
    "evaluate": ["evaluate", "no-run", "--device"],
    "characterize": ["characterize", "--out", "found", "--device"],
    "calibrate": ["calibrate", "--experiment", "digits", "--out", "found.toml", "--device"],
    "benchmark": ["benchmark"],
    "clear": ["clear"],
}
CHILD = """
import sys
from hil.cli import main
for line in sys.stdin:
    try:
        main(line.split())
        code = 0
    except SystemExit as end:
        code = end.code
    print(code, "torch" in sys.modules, flush=True)
"""


@pytest.mark.parametrize("written", ["address", "bench file"])
def test_a_busy_device_is_refused_by_every_command_before_torch_is_loaded(tmp_path, written):
    device = f"serial:{tmp_path / 'tty'}"
    bench = tmp_path / "bench.toml"
    bench.write_text(f"[devices.chip]\naddress = {device!r}\n")
    address = device if written == "address" else f"bench:{bench}#chip"
    locks = tmp_path / "locks"
    with DeviceLock(device, locks):
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input="".join(" ".join([*words, address]) + "\n" for words in ASKED.values()),
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**os.environ, FOLDER_VARIABLE: str(locks)},
            check=True,
        )
    lines = dict(zip(ASKED, done.stdout.splitlines(), strict=True))
    assert set(lines.values()) == {"3 False"}, (lines, done.stderr)
    assert done.stderr.count("the device is in use") == len(ASKED)
    assert done.stderr.count(f"process {os.getpid()}") == len(ASKED)
    assert {found.name for found in tmp_path.iterdir()} == {"bench.toml", "locks"}

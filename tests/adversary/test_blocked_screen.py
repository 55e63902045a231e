"""A training whose screen is blocked, a paused pager, does not keep outputs on beyond the lease; `--resume` goes on."""

import contextlib
import fcntl
import os
import subprocess
import sys
import time

import pytest

LEASE_S = 1.0
TRAIN = ["train", "digits", "--set", "run.epochs=400", "--set", "data.train_samples=96", "--set", "run.batch=32",
         "--set", "run.evaluate_every=400"]  # fmt: skip


def until(condition, seconds=150.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_blocked_screen_costs_the_outputs_when_the_lease_is_over(served, tmp_path):
    board = served("pty")
    bench = tmp_path / "lab.toml"
    bench.write_text(f"[devices.a]\naddress = '{board.addresses[0]}'\nlease_s = {LEASE_S}\n")
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    host = subprocess.Popen(
        [sys.executable, "-m", "hil", *TRAIN, "--bench", bench, "--device", "a", "--run-dir", tmp_path / "run"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: board.device.outputs.on or host.poll() is not None)
        assert host.poll() is None, host.stderr.read()
        os.set_blocking(write, False)
        with contextlib.suppress(BlockingIOError):
            while True:  # nobody reads on: the next line of the host has no room
                os.write(write, b"x" * 4096)
        os.set_blocking(write, True)
        until(lambda: not board.device.outputs.on)
        off = board.device.journal.of("outputs")[-1]
        heard = [e.time_s for e in board.device.journal.of("request") if e.text in ("SETTLE", "WRITE_CELLS")]
        print(f"outputs off {off.time_s - heard[-1]:.2f} s after the last verb: {off.text}")
        assert 0.5 * LEASE_S < off.time_s - heard[-1] < LEASE_S + 1.0
        os.close(write)
        write = -1
        while os.read(read, 65536):  # somebody pages on
            pass
        assert host.wait(60) == 3
        said = host.stderr.read()
        assert "no verb came for 1 s: outputs were switched off, confirmed" in said
        assert list((tmp_path / "run" / "checkpoints").glob("*.json"))
    finally:
        host.kill()
        host.communicate()
        os.close(read)
        if write >= 0:
            os.close(write)

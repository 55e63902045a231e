"""A device that somebody owns is refused at once: nobody waits for torch to hear that."""

import os

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


@pytest.mark.parametrize("written", ["address", "bench file"])
def test_a_busy_device_is_refused_by_every_command_before_torch_is_loaded(tmp_path, written, refused_without_torch):
    device = f"serial:{tmp_path / 'tty'}"
    bench = tmp_path / "bench.toml"
    bench.write_text(f"[devices.chip]\naddress = {device!r}\n")
    address = device if written == "address" else f"bench:{bench}#chip"
    locks = tmp_path / "locks"
    with DeviceLock(device, locks):
        said = refused_without_torch(
            [[*words, address] for words in ASKED.values()], 3, **{FOLDER_VARIABLE: str(locks)}
        )
    assert said.count("the device is in use") == len(ASKED)
    assert said.count(f"process {os.getpid()}") == len(ASKED)
    assert {found.name for found in tmp_path.iterdir()} == {"bench.toml", "locks"}

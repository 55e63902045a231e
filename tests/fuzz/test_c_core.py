"""The firmware in C under libFuzzer: what it found worth keeping is replayed, and soak runs it on.

`c_core_dialogues.txt` has a dialogue a line, in the records of `ports/host/replay.c`: with them each piece of the
core that half a million executions reached is reached again.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import firmware_specs.firmware

DIALOGUES = Path(__file__).with_name("c_core_dialogues.txt")


def written(folder):
    folder.mkdir()
    for number, line in enumerate(DIALOGUES.read_text().split()):
        (folder / f"{number:03d}").write_bytes(bytes.fromhex(line))
    return sorted(folder.iterdir())


def test_dialogues_that_reach_the_whole_core_leave_sanitizers_nothing_to_say(c_boards, tmp_path):
    campaigns = c_boards.make("fuzz", "CAREFUL=-O1")
    dialogues = written(tmp_path / "dialogues")
    done = subprocess.run([campaigns / "replay", *dialogues], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{len(dialogues)} inputs: no finding\n"), done.stderr[-3000:]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("other", ["FRAMES=1", "WINDOW=1", "CAREFUL=-O2 -g3"])
def test_objects_of_other_sizes_are_not_linked_with(tmp_path, other):
    def objects(*sizes):
        command = ["make", "-n", "-C", str(Path(firmware_specs.firmware.__file__).parent), f"BUILD={tmp_path}", *sizes]
        done = subprocess.run([*command, "fuzz"], capture_output=True, text=True, check=True)
        return set(re.findall(r" -c \S+ -o (\S+)", done.stdout))

    assert len(objects()) == len(objects(other)) > 5
    assert not objects() & objects(other)


@pytest.mark.soak
def test_minutes_of_libfuzzer_find_nothing(c_boards, tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("no libFuzzer: apt-get install clang")
    written(tmp_path / "dialogues")
    fuzzer = c_boards.make("fuzzer", "CC=clang", name="fuzzer") / "fuzzer"
    limits = ["-max_total_time=120", "-max_len=4500", "-timeout=60", "-rss_limit_mb=2048"]
    command = [fuzzer, *limits, f"-artifact_prefix={tmp_path}/", tmp_path / "dialogues"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]

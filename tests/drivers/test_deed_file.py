"""Counts in a file: exact through a kill at any moment, of what was under way as the device says."""

import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from drivers.accounts import Accounts
from drivers.deed_file import SIZE, DamagedDeeds, DeedFile, UnderWay, read
from drivers.errors import DeviceFault, LinkTimeout
from firmware_specs.codes import ErrorCode
from firmware_specs.deeds import NOTHING, Deeds

EACH, LAST = Deeds(free=10, adc=100), Deeds(free=3, adc=30)


def test_counts_outlast_the_process_and_only_grow(tmp_path):
    path = tmp_path / "counts"
    for _ in range(3):
        with DeedFile(path) as file:
            file.add(Deeds(free=2, device_s=0.5))
    assert read(path) == (Deeds(free=6, device_s=1.5), 0)


def test_the_counts_of_a_chip_outlast_a_version_that_counts_more(tmp_path):
    """A file as it was when there were twelve kinds of deeds: a head of 32 bytes and two records of 40 numbers."""
    path = tmp_path / "counts"
    now = [6.0, 12, 100, 400, 0, 0, 3, 4, 70, 70, 1.5, 2e-6, *[1.0] * 12, *[2.0] * 12, 7, 100, 2, 5]
    head = b"hil deeds 1\n\0\0\0\0" + struct.pack("<qd", 1, 0.0)
    path.write_bytes(head + struct.pack("<80d", *[9.0] * 40, *now))
    done = Deeds(*[value + 3 for value in now[:12]])
    assert read(path) == (done, 7)  # one request and the last were under way
    for _ in range(2):
        with DeedFile(path) as file:
            assert file.under_way == UnderWay(7, 100, 2, Deeds(*[1.0] * 12), Deeds(*[2.0] * 12))
            assert file.since is None and path.stat().st_size == SIZE
    with DeedFile(path) as file:
        file.resolve(7, 102)
        file.add(Deeds(free_s=0.25))
    assert read(path) == (done + Deeds(free_s=0.25), 5)


def test_a_new_file_says_since_when_it_counts(tmp_path):
    before = time.time()
    with DeedFile(tmp_path / "counts") as file:
        assert before <= file.since <= time.time()


@pytest.mark.parametrize(
    ("executed", "boot", "expected", "doubtful"),
    [
        (100, 7, NOTHING, 0),  # none of them got through
        (101, 7, EACH, 0),
        (102, 7, EACH + EACH, 0),
        (103, 7, EACH + EACH + LAST, 0),
        (999, 7, EACH + EACH + LAST, 3),  # others asked it something meanwhile
        (101, 8, EACH + EACH + LAST, 3),  # it was switched off: nobody knows
        (-1, 7, EACH + EACH + LAST, 3),
        (50, 7, EACH + EACH + LAST, 3),
    ],
)
def test_what_was_under_way_counts_as_far_as_it_got(tmp_path, executed, boot, expected, doubtful):
    with DeedFile(tmp_path / "counts") as file:
        file.add(Deeds(free=1))
        file.begin(UnderWay(7, 100, 3, EACH, LAST))
    assert read(tmp_path / "counts") == (Deeds(free=1) + EACH + EACH + LAST, 3)  # nobody has asked yet
    with DeedFile(tmp_path / "counts") as file:
        file.resolve(boot, executed)
        assert file.total == Deeds(free=1) + expected and file.doubtful == doubtful
        file.resolve(boot, executed)
        assert file.total == Deeds(free=1) + expected


PROGRAM = """
import sys
from drivers.deed_file import DeedFile, UnderWay
from firmware_specs.deeds import Deeds
file = DeedFile(__import__("pathlib").Path(sys.argv[1]))
each = Deeds(free=1, adc=7, reads=3)
print("ready", flush=True)
while True:
    file.begin(UnderWay(1, int(file.total.free), 1, each, each))
    file.add(each)
"""


def test_a_kill_at_any_moment_leaves_whole_counts(tmp_path):
    path = tmp_path / "counts"
    for round_ in range(6):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        while read(path)[0].free < 300 * (round_ + 1):
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with DeedFile(path) as file:
            total = file.total
            assert (total.adc, total.reads) == (7 * total.free, 3 * total.free)
            left = file.under_way
            assert left is None or left.before == total.free


@pytest.mark.parametrize("content", [b"", b"x" * SIZE, b"hil deeds 1\n\0\0\0\0" + b"\xff" * (SIZE - 16)])
def test_what_is_no_count_is_refused(tmp_path, content):
    path = tmp_path / "counts"
    path.write_bytes(content)
    with pytest.raises(DamagedDeeds, match=str(path)):
        DeedFile(path)
    assert path.read_bytes() == content


def test_refused_requests_count_nothing_and_lost_ones_wait_for_the_device(tmp_path):
    accounts = Accounts(boot=5, executed=10, sent=lambda: 4)
    with DeedFile(tmp_path / "counts") as file:
        accounts.count_into(file)

        def fails(error):
            def action():
                raise error

            return action

        with pytest.raises(DeviceFault):
            accounts.run([EACH], fails(DeviceFault(ErrorCode.LIMIT, "no", asked="x", device="d")))
        assert file.total == NOTHING and file.under_way is None
        with pytest.raises(LinkTimeout):
            accounts.run([EACH, LAST], fails(LinkTimeout("late")))
        assert file.total == NOTHING and file.under_way == UnderWay(5, 10, 2, EACH, LAST)
        accounts.run([LAST], lambda: None)  # the session went on: nobody looked
        assert file.total == EACH + LAST + LAST and file.doubtful == 2

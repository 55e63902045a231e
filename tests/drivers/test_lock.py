import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from drivers.errors import Busy
from drivers.lock import DeviceLock, lock_path, owner_of

ADDRESS = "serial:/dev/ttyACM0?baud=115200"


def start(script, folder):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), ADDRESS, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "ready"
    return process


HOLD = """
    import sys, time
    from pathlib import Path
    from drivers.lock import DeviceLock
    lock = DeviceLock(sys.argv[1], Path(sys.argv[2]))
    print("ready", flush=True)
    time.sleep(60)
"""


def test_owner_is_named_to_the_second_comer(tmp_path):
    with DeviceLock(ADDRESS, tmp_path) as lock:
        with pytest.raises(Busy) as caught:
            DeviceLock(ADDRESS, tmp_path)
        text = str(caught.value)
        for part in (str(os.getpid()), lock.owner.user, lock.owner.host, lock.owner.since, ADDRESS):
            assert part in text
    DeviceLock(ADDRESS, tmp_path).release()


def test_owner_in_another_process_is_named(tmp_path):
    process = start(HOLD, tmp_path)
    with pytest.raises(Busy, match=f"process {process.pid} of"):
        DeviceLock(ADDRESS, tmp_path)
    assert owner_of(ADDRESS, tmp_path).pid == process.pid
    process.kill()
    process.communicate()


def test_killed_owner_leaves_the_device_free_and_is_remembered(tmp_path):
    process = start(HOLD, tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert owner_of(ADDRESS, tmp_path) is None
    with DeviceLock(ADDRESS, tmp_path) as lock:
        assert lock.stale.pid == process.pid
        assert owner_of(ADDRESS, tmp_path).pid == os.getpid()


def test_forked_worker_of_a_killed_owner_does_not_keep_the_device(tmp_path):
    script = """
        import os, sys, time
        from pathlib import Path
        from drivers.lock import DeviceLock
        lock = DeviceLock(sys.argv[1], Path(sys.argv[2]))
        worker = os.fork()
        if worker == 0:
            time.sleep(20)
            os._exit(0)
        Path(sys.argv[2], "worker").write_text(str(worker))
        print("ready", flush=True)
        time.sleep(60)
    """
    process = start(script, tmp_path)
    process.kill()
    process.wait()
    worker = int((tmp_path / "worker").read_text())
    try:
        os.kill(worker, 0)
        DeviceLock(ADDRESS, tmp_path).release()
    finally:
        os.kill(worker, signal.SIGKILL)
        process.stdout.close()


def test_reused_process_number_is_not_mistaken_for_the_owner(tmp_path):
    with DeviceLock(ADDRESS, tmp_path) as lock:
        path = lock.path
        text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {"started": 1}))
    assert owner_of(ADDRESS, tmp_path) is None


def test_lost_lock_is_noticed(tmp_path):
    lock = DeviceLock(ADDRESS, tmp_path)
    lock.check()
    lock.path.unlink()
    with pytest.raises(Busy, match="ownership of the device was lost"):
        lock.check()
    with DeviceLock(ADDRESS, tmp_path), pytest.raises(Busy, match=f"process {os.getpid()}"):
        lock.check()
    lock.release()


def test_release_of_a_lost_lock_leaves_the_new_owners_file(tmp_path):
    first = DeviceLock(ADDRESS, tmp_path)
    first.path.unlink()
    with DeviceLock(ADDRESS, tmp_path) as second:
        first.release()
        second.check()


def test_two_names_of_one_port_are_one_device(tmp_path):
    port, name = tmp_path / "ttyACM0", tmp_path / "by-id-board"
    port.touch()
    name.symlink_to(port)
    assert lock_path(f"serial:{port}?baud=9600", tmp_path) == lock_path(f"serial:{name}?baud=115200", tmp_path)
    assert lock_path("visa:TCPIP::a::INSTR", tmp_path) != lock_path("visa:TCPIP::b::INSTR", tmp_path)
    assert lock_path("visa:TCPIP::a::inst0::INSTR", tmp_path) == lock_path("visa:TCPIP0::a::INSTR", tmp_path)


def test_unreadable_lock_file_is_no_owner(tmp_path):
    lock_path(ADDRESS, tmp_path).write_text("not json")
    assert owner_of(ADDRESS, tmp_path) is None
    DeviceLock(ADDRESS, tmp_path).release()

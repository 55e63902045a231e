import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from drivers.errors import Busy, OutOfRange
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


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "serial:PORT",
            "serial:PORT?baud=9600",
            "serial:LINK",
            "visa:ASRLPORT::INSTR",
            "visa:ASRLLINK",
            "serial:spy://PORT",
        ),
        (
            "serial:COM3",
            "serial:com3",
            r"serial:\\.\COM3",
            "visa:ASRL3::INSTR",
            "visa:asrl3",
            "visa:ASRLCOM3::INSTR",
        ),
        (
            "serial:socket://localhost:4001",
            "serial:SOCKET://localhost:4001",
            "serial:socket://127.0.0.1:4001",
            "serial:rfc2217://127.1:4001",
            "serial:socket://[::1]:4001",
            "visa:TCPIP::localhost::4001::SOCKET",
            "visa:TCPIP0::127.0.0.1::4001::SOCKET",
            "visa:TCPIP::0.0.0.0::hislip0,4001::INSTR",
        ),
        (
            "visa:TCPIP::192.0.2.7::INSTR",
            "visa:TCPIP0::192.0.2.7::inst0::INSTR",
            "visa:TCPIP::192.0.2.7::hislip0::INSTR",
            "visa:TCPIP::192.0.2.7::hislip0,4880::INSTR",
            "visa:TCPIP::192.0.2.7::5025::SOCKET",
        ),
        ("visa:USB::0x1AB1::0x09C4::DM3R::INSTR", "visa:USB0::6833::2500::dm3r::0::INSTR"),
        ("visa:GPIB::5::INSTR", "visa:gpib0::5::INSTR"),
    ],
    ids=["port", "numbered port", "socket", "network instrument", "usb", "gpib"],
)
def test_one_device_has_one_lock_however_it_is_spelled(spellings, tmp_path):
    master, slave = os.openpty()
    link = tmp_path / "by-id-board"
    link.symlink_to(os.ttyname(slave))
    written = [s.replace("PORT", os.ttyname(slave)).replace("LINK", str(link)) for s in spellings]
    try:
        assert len({lock_path(address, tmp_path) for address in written}) == 1
        with DeviceLock(written[0], tmp_path):
            for other in written[1:]:
                with pytest.raises(Busy):
                    DeviceLock(other, tmp_path)
    finally:
        os.close(master)
        os.close(slave)


def test_different_devices_have_different_locks(tmp_path):
    addresses = [
        "serial:/dev/ttyACM0",
        "serial:/dev/ttyACM1",
        "serial:COM3",
        "serial:COM13",
        "serial:socket://localhost:4001",
        "serial:socket://localhost:4002",
        "serial:socket://192.0.2.7:4001",
        "visa:TCPIP::192.0.2.7::INSTR",
        "visa:TCPIP::192.0.2.8::INSTR",
        "visa:TCPIP::192.0.2.7::gpib0,5::INSTR",
        "visa:TCPIP::192.0.2.7::gpib0,6::INSTR",
        "visa:USB::0x1AB1::0x09C4::DM3R::INSTR",
        "visa:USB::0x1AB1::0x09C4::DM3S::INSTR",
        "visa:GPIB::5::INSTR",
        "visa:GPIB1::5::INSTR",
    ]
    assert len({lock_path(address, tmp_path) for address in addresses}) == len(addresses)


@pytest.mark.parametrize(
    "address",
    [
        *("serial:", "visa:", "visa:::", "visa:TCPIP::\0::INSTR", "serial:/dev/\0", "serial:socket://a:b"),
        *("visa:ASRL\udcff", "serial:socket://[::", "x" * 9000, "serial:/dev/" + "../" * 3000),
        "visa:TCPIP::" + "a." * 300 + "::INSTR",
    ],
)
def test_an_address_of_any_text_has_a_lock_file_in_its_folder(address, tmp_path):
    assert lock_path(address, tmp_path).parent == tmp_path
    assert len(lock_path(address, tmp_path).name) < 100


def trap(kind, path, victim):
    victim.write_text("a thesis")
    match kind:
        case "link":
            path.symlink_to(victim)
        case "dangling link":
            path.symlink_to(victim.with_name("made"))
        case "hard link":
            path.hardlink_to(victim)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "other content":
            path.write_text("a thesis")
        case "large":
            path.write_bytes(b" crossbar-hil lock " + bytes(10_000))


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "pipe", "folder", "other content", "large"])
def test_what_is_no_lock_file_is_never_written(kind, tmp_path):
    folder, victim = tmp_path / "locks", tmp_path / "thesis.tex"
    trap(kind, path := lock_path(ADDRESS, folder), victim)
    before = path.read_bytes() if kind in ("other content", "large") else b""
    assert owner_of(ADDRESS, folder) is None
    with pytest.raises(OutOfRange, match="move it away"):
        DeviceLock(ADDRESS, folder)
    assert victim.read_text() == "a thesis"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["locks", "thesis.tex"]
    assert not before or path.read_bytes() == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_lock_folder_that_is_none_is_refused_with_the_way_out(kind, tmp_path):
    folder, other = tmp_path / "locks", tmp_path / "other"
    if kind == "file":
        folder.write_text("")
    else:
        other.mkdir()
        folder.symlink_to(other)
    with pytest.raises(OutOfRange, match="CROSSBAR_HIL_LOCKS=FOLDER"):
        DeviceLock(ADDRESS, folder)
    assert not other.exists() or not list(other.iterdir())


def test_a_lock_folder_of_the_users_is_made_safe_to_share(tmp_path):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks").chmod(0o777)
    with DeviceLock(ADDRESS, tmp_path / "locks"):
        assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777


def test_a_lock_that_was_cut_off_while_it_was_signed_is_taken(tmp_path):
    for content in ("", " ", " crossbar-hil", ' crossbar-hil lock {"what": ', " crossbar-hil lock [" + "[" * 4000):
        lock_path(ADDRESS, tmp_path).write_text(content)
        assert owner_of(ADDRESS, tmp_path) is None
        DeviceLock(ADDRESS, tmp_path).release()


def test_never_two_owners_at_once_whoever_comes_and_goes(tmp_path):
    inside, most, taken = [0], [0], [0]

    def come_and_go():
        for _ in range(60):
            try:
                with DeviceLock(ADDRESS, tmp_path) as lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    lock.check()
                    taken[0] += 1
                    inside[0] -= 1
            except Busy:
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert taken[0] > 60
    assert owner_of(ADDRESS, tmp_path) is None

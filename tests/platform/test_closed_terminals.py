"""Ends of a terminal that are closed while others hold them, and numbers that are given out again."""

import os
import sys
import threading

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals", allow_module_level=True)

from firmware_specs.platform.posix import PosixTerminal


def test_a_closed_terminal_touches_no_file_that_has_its_number_by_then(tmp_path):
    terminal = PosixTerminal()
    number = terminal.fileno()
    terminal.close()
    taken = [os.open(tmp_path / "precious", os.O_RDWR | os.O_CREAT) for _ in range(3)]
    try:
        assert number in taken, "the numbers were given out again"
        for use in (lambda: terminal.write(b"garbage"), lambda: terminal.read(1), terminal.close):
            with pytest.raises(OSError):
                use()
        assert (tmp_path / "precious").read_bytes() == b""
        assert all(os.fstat(number) for number in taken), "none was closed"
    finally:
        for number in taken:
            os.close(number)


def test_the_device_s_end_of_the_tests_is_left_by_its_reader_and_writer_before_its_numbers_are(pseudo_terminal):
    """It is what other tests stand on: theirs were closed under a thread that read, and wrote into somebody's file."""
    for writes in (False, True) * 10:
        end, ended, heard = pseudo_terminal(), [], threading.Event()

        def talk(end=end, ended=ended, heard=heard):
            try:
                while end.read():
                    heard.set()
                    end.write(b"x" * 100_000)  # nobody reads: it waits
            except BrokenPipeError:
                ended.append("writing")
            else:
                ended.append("reading")

        thread = threading.Thread(target=talk)
        thread.start()
        host = os.open(end.path, os.O_RDWR | os.O_NOCTTY)
        if writes:
            os.write(host, b"go")
            assert heard.wait(20)
        end.close()
        thread.join(20)
        assert ended == (["writing"] if writes else ["reading"])
        with pytest.raises(OSError):
            os.write(host, b"gone")
        os.close(host)

"""`Python`: starts programs as `subprocess` does, in processes that need not import first."""

import array
import contextlib
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).parent


class Process:
    """A running program; the part of `subprocess.Popen` that tests use."""

    def __init__(self, connection, streams):
        self._answers = connection
        self.stdin, self.stdout, self.stderr = streams
        self.pid, self.returncode = int(self._line()), None

    def _line(self):
        said = b""
        while not said.endswith(b"\n"):
            part = self._answers.recv(1)
            if not part:
                raise RuntimeError("the server of warm processes ended")
            said += part
        return said

    def poll(self):
        return self._ended(0)

    def _ended(self, timeout):
        if self.returncode is None and select.select([self._answers], [], [], timeout)[0]:
            self.returncode = int(self._line())
            self._answers.close()
        return self.returncode

    def wait(self, timeout=None):
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def communicate(self, input=None, timeout=None):
        """Reads both streams to their ends; returns what was said on each."""
        said = {}
        readers = [
            threading.Thread(target=lambda s=stream: said.update({s: s.read()}), daemon=True)
            for stream in (self.stdout, self.stderr)
            if stream is not None and not stream.closed
        ]
        for reader in readers:
            reader.start()
        if self.stdin is not None and not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(input or "")
        self.wait(timeout)
        for reader in readers:
            reader.join()
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        return said.get(self.stdout), said.get(self.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()


class Server:
    """One for all workers of a suite; it imports when the first of them wants a process."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self.address = f"{self._folder.name}/socket"
        quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, HERE / "server.py", self.address], **quiet)
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


class Python:
    """A Python whose processes have imported the commands' modules."""

    def __init__(self, address):
        self.address = address

    @property
    def program(self):
        """A command line that stands for `python` where a program starts others."""
        return [sys.executable, "-I", "-S", str(HERE / "stub.py"), self.address]

    def executable(self, folder):
        """The same as a program of one word, written into a folder, for `sys.executable`."""
        path = folder / "python"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(self.program)} "$@"\n')
        path.chmod(0o700)
        return str(path)

    def popen(self, arguments, *, env=None, cwd=None, stdin=None, stdout=None, stderr=None, text=True):
        """As `subprocess.Popen([sys.executable, *arguments], ...)`."""
        ours, theirs, opened = [], [], []
        for number, given in enumerate((stdin, stdout, stderr)):
            mode = ("w" if number == 0 else "r") + ("" if text else "b")
            mine = None
            if given == subprocess.PIPE:
                reading, writing = os.pipe()
                here, there = (writing, reading) if number == 0 else (reading, writing)
                mine = open(here, mode, encoding="utf-8" if text else None)  # noqa: SIM115, PTH123  (a descriptor; the process closes it)
                opened.append(there)
            elif given == subprocess.DEVNULL:
                there = os.open(os.devnull, os.O_RDWR)
                opened.append(there)
            elif given == subprocess.STDOUT:
                there = theirs[1]
            else:
                there = number if given is None else given.fileno()
            ours.append(mine)
            theirs.append(there)
        environment = {name: str(value) for name, value in (os.environ if env is None else env).items()}
        asked = {
            "arguments": [str(a) for a in arguments],
            "environment": environment,
            "folder": str(cwd or Path.cwd()),
        }
        said = json.dumps(asked).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        connection.sendmsg(
            [len(said).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))]
        )
        connection.sendall(said)
        for stream in opened:
            os.close(stream)
        return Process(connection, ours)

    def run(self, arguments, *, capture_output=False, timeout=None, **options):
        """As `subprocess.run([sys.executable, *arguments], ...)`."""
        if capture_output:
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = self.popen(arguments, **options)
        said = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(list(arguments), process.returncode, *said)


class Cold:
    """The same where there is no fork: every process imports for itself."""

    program = (sys.executable,)

    def executable(self, folder):
        return sys.executable

    def popen(self, arguments, *, text=True, **options):
        return subprocess.Popen([sys.executable, *map(str, arguments)], text=text, **options)

    def run(self, arguments, *, text=True, **options):
        return subprocess.run([sys.executable, *map(str, arguments)], text=text, **options)

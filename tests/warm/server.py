"""Processes that have imported what commands import before they begin, forked from one that paid for it.

Run as `server.py SOCKET`: each connection is one process to be, a request with the descriptors of its standard streams.
What comes back is its number, and in the end its exit code. It imports when the first one asks, and ends when its
standard input does.
"""

import array
import atexit
import contextlib
import fcntl
import gc
import importlib
import inspect
import json
import os
import runpy
import select
import signal
import socket
import stat
import sys
import types
from pathlib import Path

from spared import know_that_some_is_frozen, render

STREAMS = 3

os.fsync = lambda file: None  # as in the tests' own process


def request_of(connection):
    """What is to be run, the descriptors in its streams' places."""
    first, passed, _, _ = connection.recvmsg(4, socket.CMSG_LEN(STREAMS * array.array("i").itemsize))
    size, said = int.from_bytes(first, "big"), b""
    while len(said) < size:
        said += connection.recv(size - len(said))
    streams = array.array("i")
    streams.frombytes(passed[0][2])
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return json.loads(said)


def watch(connection, child):
    """Says the child's number and how it ended; until that is read, no other process gets the number."""
    connection.sendall(f"{child}\n".encode())
    for number in range(STREAMS):
        os.close(number)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


# what commands import first, then what the suite's workers do
TO_BE_PAID = ("hil.cli", "hil.commands.train", "hil.training.loop", "hil.report.training")
TO_BE_PAID += ("scipy.stats", "xarray", "sklearn.cluster", "matplotlib.figure", "distributed", "hypothesis", "mcp")
TO_BE_PAID += ("torch.utils.tensorboard", "tensorboard.summary.writer.record_writer")
TO_BE_PAID += ("hil.counterparts.opening.bench", "hil.counterparts.device")
TO_BE_PAID += ("hil.measuring.calibrate.bench", "hil.training.study.worker")
TO_BE_PAID += ("emulator.serve", "hil.conformance.suite", "hil.measuring.characterize.items", "emulator.rack.bench")
TO_BE_PAID += ("hil.measuring.twins.of_device", "pymeasure.instruments.keithley", "pymeasure.instruments.lakeshore")
TO_BE_PAID += ("sklearn.mixture", "h5netcdf", "jsonschema", "httpx", "torch.distributed.run", "pytest")
TO_BE_PAID += ("emulator.compiled.library", "torch.fx.experimental.symbolic_shapes")  # the latter comes with a gradient


def pay():
    """Imports, compiles, reads and makes what nearly every process does, once."""
    for module in TO_BE_PAID:
        with contextlib.suppress(ModuleNotFoundError):  # extras need not be there
            importlib.import_module(module)
    sys.modules["emulator.compiled.library"].library()
    sys.modules["hil.report.page"].render(sys.modules["hil.report.page"].Page("", "", [], []))
    sys.modules["hil.data"].load(sys.modules["hil.experiments.sections"].Data(name="digits"), None)
    inspect.getmodule(pay.__code__)  # in which file each module is: 0.2 s where a process shows a line of its source
    assert "usb" not in sys.modules, "its devices are looked for in a thread, which no forked process has"
    gc.collect()
    gc.freeze()
    know_that_some_is_frozen()


def next_request(listener):
    """Serves until it is a process to run something; returns what. Ends where nobody is left who could ask."""
    paid = False
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            os._exit(0)
        connection, _ = listener.accept()
        if not paid:
            pay()
            paid = True
        if os.fork():
            connection.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request = request_of(connection)
        child = os.fork()
        if child:
            watch(connection, child)
        connection.close()
        return request


def run(arguments, environment, folder):
    """As `python ARGUMENTS` would."""
    os.environ.clear()
    os.environ.update(environment)
    if figures := sys.modules.get("hil.report.figures"):
        render(figures)
    os.chdir(folder)
    there = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    kind, *rest = [part for part in arguments if part != "-u"]
    if kind == "-m":
        sys.path[:0] = [folder, *there]
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path[:0] = ["", *there]
        sys.argv = ["-c", *rest[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.path[:0] = [str(Path(kind).absolute().parent), *there]
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


def _is_written(number):
    """Whether a descriptor is that of a file that is open for writing."""
    try:
        writes = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        return writes and stat.S_ISREG(os.fstat(number).st_mode)
    except OSError:
        return False


class Leaving:
    """Ends a process when all that it registered for its end was done, its code being known.

    To take apart what was imported is a third of a second of every process. Where a program did not end by `exit`, has
    a file open that it writes, or its last words cannot be written, the interpreter ends it in its own way.
    """

    code = None

    @contextlib.contextmanager
    def noted(self):
        try:
            yield
        except SystemExit as end:
            self.code = 0 if end.code is None else end.code if isinstance(end.code, int) else None
            raise
        except Exception:
            sys.excepthook(*sys.exc_info())
            self.code = 1
            raise SystemExit(1) from None
        self.code = 0

    def leave(self):
        if self.code is None or any(map(_is_written, range(3, 256))):
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None and not stream.closed:
                    stream.flush()
        except (OSError, ValueError):
            return
        os._exit(self.code & 0xFF)


def main(leaving):
    sys.path.pop(0)
    atexit.register(leaving.leave)  # what is registered first is done last
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(32)
        print("ready", flush=True)
        return next_request(listener)


if __name__ == "__main__":
    LEAVING = Leaving()
    with LEAVING.noted():
        run(**main(LEAVING))

"""What must be so before anything is imported, however the tests were started."""

import atexit
import functools
import gc
import importlib.util
import logging
import os
import shlex
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

# how long an example takes says how busy the machine is, nothing of what is tested
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# what is imported and collected stays: to look through it for garbage again and again was a quarter of a collection
gc.disable()

# nothing that a test writes is to outlive a power failure, and a disk takes milliseconds for each of 16,000 promises
os.fsync = lambda file: None

# a package that speaks to the root logger would make a handler on the standard error of that test, which is closed
# when the next one speaks
logging.getLogger().addHandler(logging.NullHandler())

# on the small tensors of tests a second thread only waits for the first
os.environ.setdefault("OMP_NUM_THREADS", "1")

# what runs in the tests' process is compared with what commands do: all on the CPU (`hil/cuda` pretends a GPU)
os.environ["CUDA_VISIBLE_DEVICES"] = ""

PROCESSORS = os.cpu_count() or 1

# which way is fastest is not to decide what tests see
os.environ["CROSSBAR_HIL_CONVOLUTIONS"] = "rule"

# what cells had in one test is not to be held against those of another run
LEDGERS = tempfile.mkdtemp(prefix="crossbar-hil-ledgers-")
os.environ["CROSSBAR_HIL_LEDGERS"] = LEDGERS
atexit.register(shutil.rmtree, LEDGERS, ignore_errors=True)

# a background job of a shell ignores these, and the programs that tests start and stop would inherit that
for number in (getattr(signal, name, None) for name in ("SIGINT", "SIGHUP", "SIGQUIT")):
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _rewritten_files():
    """What pytest keeps of test files whose asserts it has rewritten; its name is part of theirs."""
    kept = f"*.{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"
    return Path(__file__).parent.glob(f"*/__pycache__/{kept}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session):
    """In a fresh clone one worker rewrites the asserts of all tests, and the others wait to read what it wrote."""
    shared = getattr(session.config, "workerinput", {}).get("rewriting")
    if shared is None or sys.dont_write_bytecode or sys.pycache_prefix or not os.access(Path(__file__).parent, os.W_OK):
        return (yield)
    with FileLock(shared) as lock:
        if any(_rewritten_files()):
            lock.release()
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What waits for seconds comes early: at the end of a run its worker would be the only one that works."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    if long and len(others) >= 2 * len(long) * workers:
        items[:] = _module("order").spread(long, others, workers)


def pytest_collection_finish():
    gc.enable()
    gc.freeze()
    _module("warm/spared").know_that_some_is_frozen()
    gc.set_threshold(20_000, 20, 20)  # by default every 700 objects: an eighth of the time of tests that train


@pytest.fixture(autouse=True)
def _same_draws():
    """A test draws the same from torch in any order and on any worker; pytest-randomly sees to the other generators."""
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)  # `torch.manual_seed` takes a ms, for GPUs


@pytest.fixture(autouse=True)
def _what_a_test_registers_is_its_own(monkeypatch):
    """Plugins that one test names are not there for the next, nor for the processes that it starts."""
    from firmware_specs.registry import lookup, modules

    monkeypatch.setattr(lookup, "_registered", {kind: dict(own) for kind, own in lookup._registered.items()})
    monkeypatch.setattr(modules, "_trusted", set(modules._trusted))
    monkeypatch.setattr(modules, "_plugins", list(modules._plugins))
    monkeypatch.setattr(sys, "path", list(sys.path))  # a named module's folder comes to its end


def _longer(own=0):
    """Processes that run, at least so many of our own, for each processor; 1 at least."""
    running = max(own, os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)
    return max(1.0, running / PROCESSORS)


@pytest.fixture
def longer():
    """`longer()`: how much longer things may take where others use the machine; 1 where nobody does."""
    return _longer


@pytest.fixture
def own_clock(monkeypatch):
    """`own_clock(now, sleep)`: this thread's time; what other tests left running goes on by the machine's.

    A thread that sleeps until a moment of the other clock would move this one by the difference of both.
    """
    here, monotonic, slept = threading.get_ident(), time.monotonic, time.sleep

    def mine(ours, machines):
        return lambda *seconds: (ours if threading.get_ident() == here else machines)(*seconds)

    def keep(now, sleep=slept):
        monkeypatch.setattr(time, "monotonic", mine(now, monotonic))
        monkeypatch.setattr(time, "sleep", mine(sleep, slept))

    return keep


@pytest.fixture
def takes_less_than():
    """An action that ends in time unless its host stands still: who is late nearly each time is late by himself."""

    def check(seconds, action, times=8):
        took_s = []
        while sum(took < seconds for took in took_s) < 2:
            assert len(took_s) < times, f"{took_s} s, expected less than {seconds}"
            began = time.monotonic()
            action()
            took_s.append(time.monotonic() - began)

    return check


@pytest.fixture
def rendered():
    """Figures of reports are rendered in this test."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Every training writes a report: what we do for it is done, what matplotlib does, seconds each, is not.

    Tests about reports, those with `report` in their file's name, and those that ask for `rendered` do render; so do
    the programs that they start warm. It is seen to before fixtures of whole modules train.
    """
    if "report" in item.path.name or "rendered" in getattr(item, "fixturenames", ()):
        os.environ.pop("TESTS_RENDER_NOTHING", None)
    else:
        os.environ["TESTS_RENDER_NOTHING"] = "1"
    if figures := sys.modules.get("hil.report.figures"):
        _module("warm/spared").render(figures)


@functools.cache
def _module(name):
    path = Path(__file__).parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"tests_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pseudo_terminal():
    """Opens the device's end of a serial cable."""
    if sys.platform == "win32":
        pytest.skip("no pseudo-terminals here")
    return _module("pseudo_terminal").PseudoTerminal


@pytest.fixture(scope="session")
def python(request):
    """Starts programs in processes of their own, as `subprocess` does, but for seconds of imports each."""
    client, given = _module("warm/client"), getattr(request.config, "workerinput", {})
    if not hasattr(os, "fork"):
        yield client.Cold()
    elif "warm" in given:
        yield client.Python(given["warm"])
    else:
        server = client.Server()
        yield client.Python(server.address)
        server.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config, specs):
    """All workers share one server of warm processes, and are some of its processes themselves."""
    if hasattr(os, "fork"):
        client = _module("warm/client")
        if "TESTS_WARM" in os.environ:  # a suite in a suite
            config.warm = client.Python(os.environ["TESTS_WARM"])
        else:
            config.warm = client.Server()
            config.add_cleanup(config.warm.stop)
        for spec in specs:
            if spec.popen and not spec.python:
                spec.python = shlex.join(client.Python(config.warm.address).program)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["rewriting"] = f"{LEDGERS}/rewriting.lock"
    if hasattr(node.config, "warm"):
        node.workerinput["warm"] = node.config.warm.address


@pytest.fixture(scope="session")
def c_boards(tmp_path_factory, request):
    own = tmp_path_factory.mktemp("firmware")
    shared = own.parents[1] if hasattr(request.config, "workerinput") else own  # of this run
    return _module("c_boards").CBoards(shared / "firmware", own)


@pytest.fixture(scope="session")
def checked(c_boards):
    """Programs with address and undefined-behaviour sanitizers: board-checked and frames."""
    return c_boards.make("check")


def _stop(number, frame):
    raise pytest.exit.Exception("SIGTERM: the suite ends", returncode=2)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """SIGTERM ends a suite with workers as Ctrl-C does."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, _stop)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """The limit of a test counts for a machine of its own: what else runs, our own workers too, makes it longer."""
    if item.config.getoption("timeout", None) is None and item.get_closest_marker("timeout") is None:
        limit_s = float(item.config.getini("timeout"))
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        item.add_marker(pytest.mark.timeout(limit_s * min(10.0, _longer(workers))))
    return (yield)

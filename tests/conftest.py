"""What must be so before anything is imported, however the tests were started."""

import os
import signal
import sys

import pytest

# on the small tensors of tests a second thread only waits for the first
os.environ.setdefault("OMP_NUM_THREADS", "1")

# what runs in the tests' process is compared with what commands do: all on the CPU (`hil/cuda` pretends a GPU)
os.environ["CUDA_VISIBLE_DEVICES"] = ""

# a background job of a shell ignores these, and the programs that tests start and stop would inherit that
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _same_draws():
    """A test draws the same from torch in any order and on any worker; pytest-randomly sees to the other generators."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)

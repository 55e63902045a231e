"""Not collected by itself: what `test_suite.py` runs and ends."""

import os
import threading
from pathlib import Path


def test_that_waits():
    Path(os.environ["SAYS_ITS_PID"]).write_text(str(os.getpid()))
    threading.Event().wait(50)

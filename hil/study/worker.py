"""What a study's worker does when the study itself is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing import parent_process

GRACE_S = 10.0
"""Time for the checkpoint of the training that was under way."""


def end_with_parent() -> None:
    """Makes this process stop, as on SIGTERM, when its parent is gone; a pool's worker would wait for work forever."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)

"""What a study's worker does when the study itself is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing import parent_process

from firmware_specs import platform, registry

GRACE_S = 10.0
"""Time for the checkpoint of the training that was under way."""


def begin(plugins: Sequence[str]) -> None:
    """Begins a worker of a study: it knows what its parent knows, and ends with it."""
    for module in plugins:
        registry.plugin(module)
    end_with_parent()


def end_with_parent() -> None:
    """Makes this process stop, as on SIGTERM, when its parent is gone; a pool's worker would wait for work forever."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = parent_process()
    if parent is None:
        return
    parent.join()
    platform.end_this_process()
    time.sleep(GRACE_S)
    os._exit(128 + signal.SIGTERM)

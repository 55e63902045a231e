"""What the garbage collector need not look at: modules, their classes and tables stay as long as the process does.

It goes through all of them whenever enough is new: with torch loaded, 80 ms each time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Stands around imports: nothing of them is garbage, and nothing is looked for."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


@contextmanager
def kept() -> Iterator[None]:
    """Stands around long work: what is there when it begins is not looked at until it ends.

    Where that is so already, of work around this or of the program that calls, it stays theirs to end.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

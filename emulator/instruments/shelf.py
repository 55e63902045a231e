"""Virtual instruments side by side on one bench, by model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from emulator.rack.events import Log
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.model import imported, model
from firmware_specs.racks.wiring import Instrument


class Box(Protocol):
    """A virtual instrument."""

    @property
    def deadline(self) -> float | None:
        """Until when it waits for something, monotonic seconds; None while it does not."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Bytes in, bytes out."""
        ...


class Shelf:
    """Instruments on one bench.

    Args:
        bench: What they stand on.
        instruments: By name.
        seed: Which specimens.

    Attributes:
        boxes: The instruments, by name.

    Raises:
        ValueError: a model has no virtual twin.
    """

    def __init__(self, bench: Stand, instruments: Mapping[str, Instrument], seed: int) -> None:
        self.stand = bench
        self.one_at_a_time = threading.RLock()
        self.boxes: dict[str, Box] = {
            name: _twin(spec)(bench, name, spec, Inaccuracy(seed, name)) for name, spec in instruments.items()
        }

    @property
    def log(self) -> Log:
        """What happened."""
        return self.stand.log

    def patience_s(self) -> float | None:
        """How long until the first instrument has waited long enough; None where none waits."""
        waiting = [box.deadline for box in self.boxes.values() if box.deadline is not None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def poll(self) -> list[tuple[str, bytes]]:
        """Lets instruments that have waited long enough go on; what they then say."""
        now = time.monotonic()
        due = [name for name, box in self.boxes.items() if box.deadline is not None and box.deadline <= now]
        return [(name, self.boxes[name].feed(b"")) for name in due]

    def feed(self, name: str) -> Callable[[bytes], bytes]:
        """The wire of one instrument, for an in-process loopback; several threads may talk, one bench answers."""
        box = self.boxes[name]

        def fed(data: bytes) -> bytes:
            with self.one_at_a_time:
                return box.feed(data)

        return fed


def _twin(spec: Instrument) -> Callable[..., Box]:
    twin = model(spec.model).twin
    if not twin:
        raise ValueError(f"{spec.model} has no virtual twin: its driver works on a real bench only")
    return imported(twin)

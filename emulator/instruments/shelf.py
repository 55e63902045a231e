"""Virtual instruments side by side on one bench, by model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from emulator.instruments.models.keithley2400 import Keithley2400
from emulator.instruments.models.keithley2450 import Keithley2450
from emulator.rack.boxes.keithley707b import Keithley707Box
from emulator.rack.boxes.keithley2600 import Keithley2600Box
from emulator.rack.boxes.keysight34980a import Keysight34980Box
from emulator.rack.boxes.keysight_b2900 import KeysightB2902Box
from emulator.rack.boxes.meters import ClockBox, Daq6510Box, Keysight34465Box
from emulator.rack.events import Log
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
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


MODELS: dict[str, Callable[..., Box]] = {
    "keithley-2400": Keithley2400,
    "keithley-2450": Keithley2450,
    "keithley-2636b": Keithley2600Box,
    "keysight-b2902a": KeysightB2902Box,
    "keithley-707b": Keithley707Box,
    "keysight-34980a": Keysight34980Box,
    "keithley-daq6510": Daq6510Box,
    "keysight-34465a": Keysight34465Box,
    "crossbar-hil-clock": ClockBox,
}


class Shelf:
    """Instruments on one bench.

    Args:
        bench: What they stand on.
        instruments: By name.
        seed: Which specimens.

    Attributes:
        boxes: The instruments, by name.
    """

    def __init__(self, bench: Stand, instruments: Mapping[str, Instrument], seed: int) -> None:
        self.stand = bench
        self.one_at_a_time = threading.RLock()
        self.boxes: dict[str, Box] = {
            name: MODELS[spec.model](bench, name, spec, Inaccuracy(seed, name)) for name, spec in instruments.items()
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

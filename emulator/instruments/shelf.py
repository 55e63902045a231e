"""Virtual instruments side by side on one bench, by model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from emulator.instruments.models.clock import Clock
from emulator.instruments.models.keithley707b import Keithley707B
from emulator.instruments.models.keithley2400 import Keithley2400
from emulator.instruments.models.keithley2450 import Keithley2450
from emulator.instruments.models.keithley2600 import Keithley2600
from emulator.instruments.models.keithley_daq6510 import KeithleyDaq6510
from emulator.instruments.models.keysight34465a import Keysight34465A
from emulator.instruments.models.keysight34980a import Keysight34980A
from emulator.instruments.models.keysight_b2900 import KeysightB2900
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
    "keithley-2601b": Keithley2600,
    "keithley-2602b": Keithley2600,
    "keithley-2604b": Keithley2600,
    "keithley-2611b": Keithley2600,
    "keithley-2612b": Keithley2600,
    "keithley-2614b": Keithley2600,
    "keithley-2634b": Keithley2600,
    "keithley-2635b": Keithley2600,
    "keithley-2636b": Keithley2600,
    "keysight-b2901a": KeysightB2900,
    "keysight-b2902a": KeysightB2900,
    "keysight-b2911a": KeysightB2900,
    "keysight-b2912a": KeysightB2900,
    "keithley-707b": Keithley707B,
    "keysight-34980a": Keysight34980A,
    "keithley-daq6510": KeithleyDaq6510,
    "keysight-34465a": Keysight34465A,
    "crossbar-hil-clock": Clock,
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

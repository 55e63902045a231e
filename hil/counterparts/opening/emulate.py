"""Virtual instruments for `hil emulate`: a datasheet becomes a served device."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from emulator.chip import Chip
from emulator.device import Device
from emulator.faults import FaultPlan
from emulator.journal import Event
from emulator.serve import Board, Doors
from firmware_specs import datasheet, platform


class Stoppable(Protocol):
    """Something that serves until it is stopped."""

    def stop(self) -> None:
        """Ends `run`."""
        ...


EVERYTHING = Doors(pty=platform.TERMINALS, tcp=0, scpi=0, hislip=0)


def open_board(
    name: str,
    seed: int = 0,
    doors: Doors = EVERYTHING,
    faults: FaultPlan | None = None,
    sink: Callable[[Event], None] | None = None,
    *,
    real_time: bool = False,
) -> Board:
    """A virtual instrument that is ready to be run.

    Args:
        name: Shipped datasheet or TOML file.
        seed: Which specimen.
        doors: How it can be reached.
        faults: What the wires do to the dialogue.
        sink: Called with every event of the device's journal.
        real_time: Requests take as long as the datasheet says.

    Raises:
        DatasheetError: the datasheet is refused.
        OSError: a port is taken.
    """
    chip = Chip(datasheet.load(name), seed)
    device = Device(chip, sink=sink, work=time.sleep) if real_time else Device(chip, sink=sink)
    return Board(device, doors, faults)


@contextmanager
def stopped_by_signals(board: Stoppable) -> Iterator[None]:
    """Ends a board's or a rack's `run` on Ctrl-C, SIGTERM and a closed terminal, however often they come."""

    def stop(number: int, frame: FrameType | None) -> None:
        board.stop()

    platform.close_is_a_signal()
    before = {number: signal.signal(number, stop) for number in platform.ASKING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

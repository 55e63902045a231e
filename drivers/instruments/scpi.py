"""What SCPI boxes have in common on the host's side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ProtocolViolation
from drivers.instruments.dialogue import Dialogue
from drivers.roles import Measured

QUEUE_DEPTH = 100


def drain_errors(dialogue: Dialogue) -> list[str]:
    """Pops the error queue until it says 0; texts are kept as the box words them."""
    found: list[str] = []
    for _ in range(QUEUE_DEPTH):
        entry = dialogue.ask("SYST:ERR?")
        code = entry.partition(",")[0]
        try:
            if int(code) == 0:
                return found
        except ValueError as error:
            raise ProtocolViolation(f"SYST:ERR? answered {entry!r}", device=dialogue.address) from error
        found.append(entry)
    raise ProtocolViolation(f"the error queue did not empty in {QUEUE_DEPTH} reads", device=dialogue.address)


class _Stepped(Protocol):
    def set_level(self, level: float) -> None: ...

    def measure(self) -> Measured: ...


def sweep_by_points(smu: _Stepped, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A staircase for a box without a sweep of its own: set, measure, next; 0 at the end, whatever happens."""
    amps = []
    try:
        for level in levels:
            smu.set_level(level)
            amps.append(smu.measure().amps)
    finally:
        smu.set_level(0.0)
    return np.asarray(levels, dtype=np.float64), np.asarray(amps, dtype=np.float64)

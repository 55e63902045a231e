"""Arrays that settle here, in this process, by compiled functions (`emulator.compiled`)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from hil.counterparts.seam import Parameters


@runtime_checkable
class Compiled(Protocol):
    """An array that says whether its sweeps are one compiled function, which has one thread."""

    def compiled(self, parameters: Parameters) -> bool:
        """Whether they are, where torch has one thread.

        Args:
            parameters: Of the block, without gradients.
        """
        ...

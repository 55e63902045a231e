"""Arrays that settle here, in this process, by compiled functions (`emulator.compiled`)."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from hil.counterparts.seam import Parameters


@runtime_checkable
class Compiled(Protocol):
    """An array that says what of it is compiled functions: its sweeps, where one, have one thread."""

    def compiled(self, parameters: Parameters) -> bool:
        """Whether they are, where torch has one thread.

        Args:
            parameters: Of the block, without gradients.
        """
        ...

    def calls_functions(self, parameters: Parameters) -> bool:
        """Whether any are called, with the threads that torch has, if they can be formed; forms none.

        Args:
            parameters: Of the block, without gradients.
        """
        ...

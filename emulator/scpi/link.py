"""State of one SCPI link: status registers, error queue, byte order, and the way to the firmware's verbs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emulator.device import Device
from emulator.machine import Machine
from emulator.refused import Refused
from emulator.scpi.once import Once
from firmware_specs.codes import ErrorCode, Opcode
from firmware_specs.scpi import BY_CODE, BlockError, ErrorQueue, Parameters, ScpiError, pack_array, parse_array
from firmware_specs.scpi.status import Status, event_bit


class ScpiLink:
    """One link of a device.

    Args:
        machine: Executes the verbs.
        door: Name of the link.
    """

    def __init__(self, machine: Machine, door: str) -> None:
        self.machine = machine
        self.door = door
        self.errors = ErrorQueue()
        self.status = Status()
        self.once = Once()
        self.swapped = False
        self.statistics: NDArray[np.float64] | None = None
        self.parameters = Parameters(())

    @property
    def device(self) -> Device:
        """The device behind it."""
        return self.machine.device

    @property
    def status_byte(self) -> int:
        """What *STB? answers."""
        return self.status.byte(len(self.errors) > 0)

    def verb(self, opcode: Opcode, payload: bytes = b"") -> bytes:
        """Asks the firmware, once all parameters of the unit are taken; a refusal becomes a `ScpiError`."""
        self.parameters.end()
        try:
            return self.machine.execute(opcode, payload, self.door)
        except Refused as refused:
            wait = f"{refused.detail} ms, " if refused.code == ErrorCode.BUSY and refused.detail else ""
            words = f"{ErrorCode(refused.code).name}: {wait}{refused.text}"
            raise ScpiError(BY_CODE.get(refused.code, -200), words) from refused
        finally:
            self.machine.end_reset()

    def fail(self, error: ScpiError) -> None:
        """Puts an error in the queue and its bit in the event register."""
        self.errors.put(error.code, error.words)
        self.status.events |= event_bit(error.code)

    def block(self, values: NDArray[np.generic]) -> bytes:
        """A block in the link's byte order."""
        return pack_array(values, swapped=self.swapped)

    def array(self, data: bytes, kind: str, *shape: int) -> NDArray[np.generic]:
        """Numbers of a block in the link's byte order."""
        try:
            return parse_array(data, kind, swapped=self.swapped).reshape(shape)
        except (BlockError, ValueError) as error:
            raise ScpiError(-161, str(error)) from error

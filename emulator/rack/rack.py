"""All instruments of a rack file on one bench, in front of one crossbar."""

from __future__ import annotations

from emulator.instruments.shelf import Shelf
from emulator.rack.bench import Bench
from firmware_specs.racks.rack import Rack


class VirtualRack(Shelf):
    """Instruments in front of one crossbar.

    Args:
        rack: What stands where; its `dut` section says what the crossbar is made of.
        real_time: Integration and relay times pass in real time too.
        log_commands: Keep every command line in the log.
    """

    def __init__(self, rack: Rack, *, real_time: bool = False, log_commands: bool = False) -> None:
        self.rack = rack
        self.bench = Bench(rack, real_time, log_commands)
        super().__init__(self.bench, rack.instruments, self.bench.dut.seed)

"""Serves a virtual rack, and says how a bench file reaches it."""

from __future__ import annotations

import secrets

from emulator.instruments.serve import ShelfServer
from emulator.rack.rack import VirtualRack
from firmware_specs.racks.rack import Rack


class RackServer(ShelfServer):
    """Sockets in front of a virtual rack.

    Args:
        virtual: The instruments.

    Raises:
        OSError: no port is free.
    """

    def __init__(self, virtual: VirtualRack) -> None:
        super().__init__(virtual)
        self._rack = virtual.rack

    def bench_rack(self) -> Rack:
        """The rack as a bench file holds it: addresses filled in, nothing said of the crossbar behind it."""
        addresses = self.addresses
        instruments = {
            name: spec.model_copy(update={"address": addresses[name]}) for name, spec in self._rack.instruments.items()
        }
        chip = f"virtual {secrets.token_hex(4)}"  # a new one with every start
        return self._rack.model_copy(update={"instruments": instruments, "dut": None, "chip": chip})

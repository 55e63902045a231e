"""The emulated device as a SCPI instrument (SCPI.md)."""

from emulator.scpi.endpoint import ScpiEndpoint

__all__ = ["ScpiEndpoint"]

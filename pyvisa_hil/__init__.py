"""Virtual laboratories for PyVISA: `pyvisa.ResourceManager("lab.toml@hil")`.

PyVISA finds a back-end by this name; the back-end itself is `emulator.visa`.
"""

from emulator.visa.library import HilVisaLibrary

WRAPPER_CLASS = HilVisaLibrary
"""What PyVISA takes as the back-end `hil`."""

__all__ = ["WRAPPER_CLASS"]

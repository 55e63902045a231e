"""All sections in the order of the page. A look that fails is a finding, too: a broken machine is what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from hil.doctor import machine, packages, places, ports
from hil.doctor.finding import Finding


def look(data_root: Path) -> list[Finding]:
    """Looks at this machine.

    Args:
        data_root: Folder of the data sets.
    """
    sections: dict[str, Callable[[], Iterable[Finding]]] = {
        "Python and packages": packages.look,
        "torch and processor": machine.look,
        "VISA": ports.visa,
        "serial ports": ports.serial,
        "USB instruments": ports.usb,
        "folders": lambda: places.look(data_root),
        "programs": places.programs,
    }
    found: list[Finding] = []
    for section, looks in sections.items():
        try:
            found += looks()
        except Exception as error:  # whatever a broken installation raises
            what = f"cannot be looked at: {type(error).__name__}: {error}"
            found.append(Finding(section, section, what, "wrong"))
    return found

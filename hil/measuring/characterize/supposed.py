"""What a device is supposed to be: the datasheet that its figures are compared with."""

from __future__ import annotations

from drivers.crossbar import Crossbar
from firmware_specs.addresses import split_options
from firmware_specs.datasheet import Datasheet, load, shipped


def supposed(crossbar: Crossbar, address: str, named: str | None = None) -> tuple[Datasheet | None, str]:
    """The datasheet of a device and how it was found, in words.

    The one that was named; that of an emulator's address; else the shipped one whose vendor and model the device says
    it is, so that a chip has the same figures in process and over a wire. None where nobody says.

    Args:
        crossbar: The open device.
        address: How it was opened.
        named: A shipped name or a TOML file.
    """
    if named is not None:
        return load(named), f"{named}, as named"
    if address.startswith("emulator:"):
        name = split_options(address.removeprefix("emulator:"))[0]
        return load(name), f"{name}, of the address"
    identity = crossbar.info.identity
    for name in shipped():
        sheet = load(name)
        if (sheet.identity.vendor, sheet.identity.model) == (identity.vendor, identity.model):
            return sheet, f"{name}, which the device says it is"
    return None, f"none is known of {identity.vendor} {identity.model}; --datasheet NAME|FILE names one"

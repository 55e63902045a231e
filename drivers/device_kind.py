"""What kind of wire an address stands for, where messages differ by it."""

from __future__ import annotations

ONE_CLIENT = "; a server may take one client at a time: is another program connected to it"


def is_served(device: str) -> bool:
    """Is there a server in between, that may take one client only?"""
    return "://" in device or "TCPIP" in device.upper()


def crowded(device: str) -> str:
    """What else may be the matter where nothing answers: the end of a sentence, or nothing."""
    return ONE_CLIENT if is_served(device) else ""

"""What kind of wire an address stands for, where messages differ by it."""

from __future__ import annotations


def is_served(device: str) -> bool:
    """Is there a server in between, that may take one client only?"""
    return "://" in device or "TCPIP" in device.upper()

"""Pytest plugin: `pytest --pyargs hil.conformance --hil-device ADDRESS`; an installed package registers it by itself.

It adds two options with our prefix and nothing else: fixtures are in `conftest.py`, for tests of this folder only.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--hil-device` and `--hil-protocol`."""
    group = parser.getgroup("hil", "conformance of crossbar hardware (pytest --pyargs hil.conformance)")
    group.addoption("--hil-device", help="address of the device under test, e.g. serial:/dev/ttyUSB0?baud=115200")
    group.addoption("--hil-protocol", choices=("serial", "scpi"), help="what an emulator: address is to speak")

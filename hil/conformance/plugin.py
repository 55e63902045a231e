"""Pytest plugin: `pytest --pyargs hil.conformance --device ADDRESS`; an installed package registers it by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conformance.subject import Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--device`."""
    parser.addoption("--device", help="address of the device under test, e.g. serial:/dev/ttyUSB0?baud=115200")


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The device under test; its outputs are off afterwards."""
    from hil.conformance.conversation import Conversation
    from hil.conformance.subject import Subject
    from hil.devices.wire import open_wire

    address = request.config.getoption("--device")
    if address is None:
        pytest.skip("no --device was given")
    with open_wire(address) as wire:
        device = Subject(Conversation(wire))
        yield device
        device.settle_down()

"""Pytest plugin: `pytest --pyargs hil.conformance --device ADDRESS`; an installed package registers it by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conformance.subject import Subject

PATIENCE_S = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--device` and `--protocol`."""
    parser.addoption("--device", help="address of the device under test, e.g. serial:/dev/ttyUSB0?baud=115200")
    parser.addoption("--protocol", choices=("serial", "scpi"), help="what an emulator: address is to speak")


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The device under test; its outputs are off afterwards."""
    from hil.conformance.suite import suite_of
    from hil.counterparts.opening.wire import open_wire, protocol_of

    address, wanted = request.config.getoption("--device"), request.config.getoption("--protocol")
    if address is None:
        pytest.skip("no --device was given")
    with open_wire(address, wanted) as wire:
        device = suite_of(protocol_of(address, wanted)).subject(wire, PATIENCE_S)
        yield device
        device.settle_down()

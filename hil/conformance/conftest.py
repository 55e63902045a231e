"""The device under test, for the conformance tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conformance.subject import Subject

PATIENCE_S = 2.0


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The device under test; its outputs are off afterwards."""
    from hil.conformance.suite import suite_of
    from hil.counterparts.opening.wire import open_wire, protocol_of

    address, wanted = request.config.getoption("--hil-device"), request.config.getoption("--hil-protocol")
    if address is None:
        pytest.skip("no --hil-device was given")
    with open_wire(address, wanted) as wire:
        device = suite_of(protocol_of(address, wanted)).subject(wire, PATIENCE_S)
        yield device
        device.settle_down()

"""The suite as tests: `pytest --pyargs hil.conformance --hil-device ADDRESS`."""

from __future__ import annotations

from typing import Any

import pytest

from hil.conformance.check import Check
from hil.conformance.subject import Subject
from hil.conformance.suite import perform, suite_of
from hil.counterparts.opening.wire import protocol_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a check of the protocol that the device speaks."""
    address, wanted = metafunc.config.getoption("--hil-device"), metafunc.config.getoption("--hil-protocol")
    suite = suite_of("serial" if address is None else protocol_of(address, wanted))
    metafunc.parametrize("check", suite.checks, ids=lambda check: check.name)


def test_conformance(subject: Subject, check: Check[Any]) -> None:
    """One check."""
    outcome = perform(subject, check)
    if outcome.verdict == "skipped" or (outcome.verdict == "failed" and check.level == "optional"):
        pytest.skip(outcome.seen)
    assert outcome.verdict == "passed", f"section {check.section}, {check.demand}: {outcome.seen}"  # noqa: S101

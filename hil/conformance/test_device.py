"""The suite as tests: `pytest --pyargs hil.conformance --device ADDRESS`."""

from __future__ import annotations

import pytest

from hil.conformance.check import Check
from hil.conformance.checks import CHECKS
from hil.conformance.subject import Subject
from hil.conformance.suite import perform


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_conformance(subject: Subject, check: Check) -> None:
    """One check."""
    outcome = perform(subject, check)
    if outcome.verdict == "skipped" or (outcome.verdict == "failed" and check.level == "optional"):
        pytest.skip(outcome.seen)
    assert outcome.verdict == "passed", f"section {check.section}, {check.demand}: {outcome.seen}"  # noqa: S101

"""Which checks a device failed last time, for `--failed-first`: a small file a device in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pooch

from hil.conformance.check import Check
from hil.conformance.result import Conformance
from hil.training.run.atomic import write_text


def place(address: str) -> Path:
    """File of a device."""
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    return Path(pooch.os_cache("crossbar-hil")) / "conform" / f"{name}.json"


def failed_before(address: str) -> frozenset[str]:
    """Names of the checks that failed; none where nothing is remembered."""
    try:
        names = json.loads(place(address).read_text("utf-8"))
    except (OSError, ValueError, RuntimeError):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def remember(address: str, result: Conformance) -> None:
    """Keeps what failed now, and of what was not made now what failed before."""
    made = {outcome.check.name for outcome in result.outcomes}
    failed = [outcome.check.name for outcome in result.outcomes if outcome.verdict == "failed"]
    failed += sorted(failed_before(address) - made)
    with contextlib.suppress(OSError, RuntimeError):  # no home, or a cache that cannot be written: nothing is lost
        path = place(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(failed))


def first(checks: Sequence[Check[Any]], names: frozenset[str]) -> tuple[Check[Any], ...]:
    """The same checks, those with these names in front."""
    return tuple(sorted(checks, key=lambda check: check.name not in names))

"""The rules a device can learn by, with the settings they are tried with, and the choice among them.

Which rule is best depends on cells that a datasheet describes in part: steps that scatter, that differ up and down,
that go one way. So it is tried: every rule once on one task, with a seed of its own, judged by samples set apart from
the training ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from firmware_specs.datasheet import Datasheet
from hil.training.run.marked import RunError

TRIAL_SEED = 1000
"""None that a card is made with."""
VALIDATION = 0.2
REWRITE = '{kind="rewrite"}'
BOTH_WAYS = {"pulsed": '{kind="pulsed",lr=1e-2}', "mixed": '{kind="mixed",lr=2e-2,threshold=5,most=400}'}
ONE_WAY = {
    "pulsed": '{kind="pulsed",lr=1e-2,refresh_every=50}',
    "mixed": '{kind="mixed",lr=4e-2,threshold=5,refresh_every=50}',
}
ALONG_LINES = '{kind="coincidence",lr=3e-3,slots=10}'
BY_ITSELF = {
    "hopfield": '{kind="device",lr=0.2,alternate=true,zero_contrast=1}',
    "resistive": '{kind="device",lr=0.05,alternate=true}',
}
"""Settings of `update`, as docs/explanation/chip-physics.md has them for cells of either kind."""


def candidates(sheet: Datasheet | None) -> dict[str, str]:
    """Rules that a device's cells can follow, `update` as TOML by its kind."""
    found = {"rewrite": REWRITE}
    if sheet is not None and sheet.update is not None:
        found["device"] = BY_ITSELF[sheet.fabric.substrate]
    if sheet is None or sheet.pulses.law == "none" or sheet.resistive:
        return found
    if sheet.pulses.one_sided:  # trains of either polarity would only raise or reset cells
        return found | ONE_WAY
    return found | BOTH_WAYS | ({"coincidence": ALONG_LINES} if sheet.coincidence is not None else {})


def given(kind: str, known: Mapping[str, str]) -> dict[str, str]:
    """The rule that was asked for, alone.

    Raises:
        RunError: this device's cells cannot follow it.
    """
    if kind not in known:
        raise RunError(f"--rule {kind}: this device's cells follow {' or '.join(known)}")
    return {kind: known[kind]}


def best(tried: Mapping[str, float]) -> str:
    """The rule that did best; of equal ones the first."""
    return max(tried, key=lambda kind: tried[kind])

"""What a plan costs its cells, held against its budget before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hil.measuring.characterize.plan import Plan, PlanError
from hil.measuring.characterize.steps import Step


def check_budget(plan: Plan, rows: dict[str, Sequence[Step]]) -> None:
    """Refuses a plan that costs more than it allows itself; raises `PlanError` with what each item costs."""
    cost = {name: _cost(steps) for name, steps in rows.items()}
    total = sum(cost.values())
    if total > plan.pulse_budget:
        listed = ", ".join(f"{name} {pulses}" for name, pulses in cost.items() if pulses)
        raise PlanError(
            f"pulse_budget: the plan costs {total} writes and pulses a cell ({listed}), allowed are {plan.pulse_budget}"
        )


def _cost(steps: Sequence[Step]) -> int:
    """Most writes and pulses that any cell takes."""
    planes: Counter[int | None] = Counter()
    for step in steps:
        for deed in step.deeds:
            planes[deed.plane] += deed.cost
    return planes[None] + max((count for plane, count in planes.items() if plane is not None), default=0)

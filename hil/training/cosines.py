"""How the gradients of a step agree with exact ones, where `run.cosine_every` asks for it.

Beside a block's own rule, implicit differentiation of its nominal parameters is worked out at the free states that were
measured, for the same error from behind: the chip is asked for nothing more, and the step is the same with and without.
Where the nominal network has no gradient there, its adjoint grows without end, the step has no cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hil.counterparts.seam import Parameters, States
from hil.learning.estimator import Estimator, Rule, RuleByLayer, Site
from hil.learning.gradients.baseline import AdjointError, Implicit
from hil.learning.model import energy_blocks

TOTAL, PREFIX = "cosine", "cosine."
EXACT = Implicit(unsolved="keep")
Found = tuple[Tensor, dict[str, Tensor]]


class Compared:
    """A rule whose gradients are compared; what it finds goes on unchanged.

    Args:
        rule: The block's own.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.seen: list[tuple[float, float, float]] = []
        """Inner product, square of the norm, and of the exact one's, of every backward pass."""

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> Found:
        """As the rule; see `hil.learning.estimator.Rule`."""
        found = self.rule.gradients(site, drive, parameters, free, loss_gradient)
        return self._beside(found, lambda: EXACT.gradients(site, drive, parameters, free, loss_gradient), parameters)

    def gradients_by_layer(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States
    ) -> Found:
        """As the rule's, where it has one; see `hil.learning.estimator.RuleByLayer`."""
        assert isinstance(self.rule, RuleByLayer)  # noqa: S101 - the model was refused otherwise
        given = site, drive, parameters, free, loss_gradients
        found = self.rule.gradients_by_layer(*given)
        return self._beside(found, lambda: EXACT.gradients_by_layer(*given), parameters)

    def _beside(self, found: Found, work_out: Callable[[], Found], parameters: Parameters) -> Found:
        """Notes how far what was found is from what is exact."""
        try:
            exact = work_out()
        except AdjointError:
            return found
        a, b = (torch.cat([each[1][name].flatten().double() for name in parameters]) for each in (found, exact))
        self.seen.append((float(a @ b), float(a @ a), float(b @ b)))
        return found


class Cosines:
    """Cosines of the angle between measured and exact gradients of the cells, by block.

    Args:
        model: Its energy blocks. One whose nudge follows the loss has no rule of its own to compare, and is left out.
        every: Steps from one comparison to the next; 0: never.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        rules = {name: (block, block.estimator) for name, block in energy_blocks(model).items()}
        self._blocks = {n: block for n, (block, rule) in rules.items() if not _follows(rule)}
        self._every = every
        self._seen: dict[str, list[tuple[float, float, float]]] = {}

    @contextmanager
    def of(self, step: int) -> Iterator[None]:
        """Within it a step of this number is compared, where it is its turn."""
        if not self._every or step % self._every:
            yield
            return
        before = {name: block.estimator for name, block in self._blocks.items()}
        beside = {name: Compared(rule) for name, rule in before.items()}
        try:
            for name, block in self._blocks.items():
                block.estimator = beside[name]
            yield
        finally:
            for name, block in self._blocks.items():
                block.estimator = before[name]
            self._seen = {name: rule.seen for name, rule in beside.items()}

    def take(self) -> dict[str, float]:
        """`cosine`, all cells together, and `cosine.BLOCK`; what has no angle is left out. Empty in other steps."""
        parts = {PREFIX + name.removesuffix(".energy"): seen for name, seen in self._seen.items()}
        found = {TOTAL: _cosine([one for seen in parts.values() for one in seen])}
        found |= {name: _cosine(seen) for name, seen in parts.items()}
        self._seen = {}
        return {name: value for name, value in found.items() if math.isfinite(value)}


def _cosine(seen: list[tuple[float, float, float]]) -> float:
    inner, one, other = (sum(parts) for parts in zip(*seen, strict=True)) if seen else (0.0, 0.0, 0.0)
    return inner / math.sqrt(one * other) if one > 0 and other > 0 else math.nan


def _follows(rule: Rule) -> bool:
    return isinstance(rule, Estimator) and rule.nudge == "reevaluated"

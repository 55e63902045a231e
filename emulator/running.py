"""Products followed along a phase: formed anew, or from what changed since the last one.

Its rounding is then relative to the change, and shrinks as the phase settles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from emulator.couplings import Coupling, Rounding, Shared, pooled, repeated, unpooled

Product = Callable[[Tensor], Tensor]
Sum = Callable[[Tensor, Tensor | None], Tensor]
"""`W x + current`."""


@dataclass
class Followed:
    """A map whose last argument and value are known.

    Attributes:
        exact: The map.
        given: The last argument.
        total: The map of the last argument, as well as it is known.
    """

    exact: Product
    given: Tensor = field(init=False, default_factory=lambda: torch.empty(0))
    total: Tensor = field(init=False, default_factory=lambda: torch.empty(0))

    def start(self, value: Tensor, copies: int) -> Tensor:
        """The exact map of a batch, repeated."""
        self.given, self.total = repeated(value, copies), repeated(self.exact(value), copies)
        return self.total


@dataclass
class RunningSum(Followed):
    """A linear map followed along a phase: exactly, or by coarse products of what changed.

    Attributes:
        coarse: Its linear part, bfloat16 to bfloat16.
        rounding: Says which one to use.
        in_place: Results need not outlive the next one.
    """

    coarse: Product
    rounding: Rounding
    in_place: bool

    def __call__(self, value: Tensor) -> Tensor:
        """The map of `value`."""
        if self.rounding.coarse:
            change = self.coarse((value - self.given).bfloat16())
            self.total = self.total.add_(change) if self.in_place else self.total + change
        else:
            self.total = self.exact(value)
        self.given = value
        return self.total


@dataclass(frozen=True)
class RunningCoupling(Coupling):
    """A coupling during one phase of mixed arithmetic."""

    pool: bool
    sum_up: RunningSum
    sum_down: RunningSum

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer."""
        z = self.sum_up(state)
        return pooled(z) if self.pool else (z, None)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer."""
        return self.sum_down(state if shared is None else unpooled(state, shared))

    def resume(self, pre: Tensor, post: Tensor, copies: int) -> tuple[Tensor, Shared]:
        """Starts both sums at given states."""
        z = self.sum_up.start(pre, copies)
        current, shared = pooled(z) if self.pool else (z, None)
        once = None if shared is None else (shared[0][: len(pre)], shared[1][: len(pre)])
        self.sum_down.start(post if once is None else unpooled(post, once), copies)
        return current, shared


@dataclass
class ChangeSum(Followed):
    """`W x + b` followed along a phase by a product of what changed, in the dtype of the state.

    Attributes:
        change: How its linear part is added to a current; None for a value whose map is better formed anew.
        lead: Products still to be formed anew: while much changes, little is gained.
    """

    change: Callable[[Tensor], Sum | None]
    lead: int

    def __call__(self, value: Tensor) -> Tensor:
        """The map of `value`."""
        follow = None if self.lead > 0 else self.change(value)
        self.total = self.exact(value) if follow is None else follow(value - self.given, self.total)
        self.given, self.lead = value, self.lead - 1
        return self.total


@dataclass(frozen=True)
class FollowedCoupling(Coupling):
    """A pooled coupling during one phase whose upward sums follow the changes."""

    inner: Coupling
    sum_up: ChangeSum

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer."""
        return pooled(self.sum_up(state))

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer."""
        return self.inner.down(state, shared)

    def add_down(self, current: Tensor, state: Tensor, shared: Shared) -> Tensor:
        """`current + down(...)`."""
        return self.inner.add_down(current, state, shared)

    def resume(self, pre: Tensor, post: Tensor, copies: int) -> tuple[Tensor, Shared]:
        """Starts the sum at given states."""
        return pooled(self.sum_up.start(pre, copies))

"""Which of several ways to form a product of a convolutional coupling: by rule, by name, or by measurement.

All ways give the same numbers to rounding; which is fastest depends on the processor, on the libraries torch was built
with, on shape, batch and threads. Rounding differs between them, so a choice once used is kept: the products of a run
do not change in its middle, and `Measured` asks its memory before it measures and tells it what it found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

DIRECT, PACKED, WINOGRAD, WINOGRAD_PACKED = "direct", "packed", "winograd", "winograd_packed"
NAMES = (DIRECT, PACKED, WINOGRAD, WINOGRAD_PACKED)
"""`direct`: torch's convolution. `packed`: the same by oneDNN, weights put beforehand into the order it likes.
`winograd`: fewer multiplications, as batched products. `winograd_packed`: the same products one by one, by oneDNN."""

BUDGET_S = 1.0
"""Most time a process spends on measuring, in all, by the clock on the wall: others may wait for what it finds."""
MARGIN = 0.05
"""Another way must be faster than the usual one by this share."""
HOPELESS = 1.3
"""A way that takes so many times the best one's time in a first round is not timed again."""
ROUNDS = 2
MOST_OPERATIONS, MOST_TILES = 1.3e9, 128
"""What is measured has at most so many operations, and 4x4 tiles a thread: more samples would tell the same."""


class Work(NamedTuple):
    """A product, as far as its speed depends on it. Its text is the key under which a choice is kept.

    Attributes:
        use: `up`; `pooled`, an upward sum before pooling, which has fewer ways; `down`; `change`, a sum that is
            followed by what changed in the state. The same work has the same ways.
        inputs: Channels of what is multiplied.
        outputs: Channels of the product.
        height: Of the maps of the earlier layer.
        width: Likewise.
        kernel: Edge of the kernel.
        stride: Of the convolution.
        padding: Of the convolution.
        dtype: Of state and weights.
        samples: A power of two, at least the batch or as many as are measured.
        threads: Torch's.
    """

    use: str
    inputs: int
    outputs: int
    height: int
    width: int
    kernel: int
    stride: int
    padding: int
    dtype: torch.dtype
    samples: int
    threads: int

    def __str__(self) -> str:
        """In words, one line."""
        return (
            f"{self.use} {self.inputs} to {self.outputs} channels of {self.height}x{self.width}, kernel {self.kernel}, "
            f"stride {self.stride}, padding {self.padding}, {str(self.dtype).removeprefix('torch.')}, "
            f"samples {self.samples}, threads {self.threads}"
        )


def measured_samples(batch: int, operations: int, tiles: int, threads: int) -> int:
    """How many samples stand for a batch: a power of two.

    Args:
        batch: Samples of it.
        operations: Floating-point operations of one.
        tiles: 4x4 tiles of one.
        threads: Torch's.
    """
    enough = max(1, min(batch, int(MOST_OPERATIONS / operations), -(-MOST_TILES * threads // tiles)))
    return 1 << (enough - 1).bit_length()


class Ways(Protocol):
    """Who chooses."""

    def way(self, work: Work, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        """One of the ways that there are.

        Args:
            work: What is to be formed.
            usual: The way that is taken without a measurement.
            runs: Forms it once, by the name of the way; the first call of each prepares weights.
        """
        ...


class ByRule:
    """The usual way, on every machine the same."""

    def way(self, work: Work, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        """The usual one."""
        return usual


@dataclass(frozen=True)
class ByName:
    """One way wherever it serves, else the usual one.

    Attributes:
        name: Of `NAMES`.
    """

    name: str

    def way(self, work: Work, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        """The named one."""
        return self.name if self.name in runs else usual


class Memory(Protocol):
    """Where choices outlive a process."""

    def held(self) -> AbstractContextManager[MutableMapping[str, str] | None]:
        """What is known by the text of a `Work`, this process's alone meanwhile; what is added is kept.

        None where nothing can be kept.
        """
        ...

    def read(self) -> Mapping[str, str]:
        """What is known, also where nothing can be kept."""
        ...


def own_clock(threads: int) -> float:
    """Of the calling thread where it works alone and the platform's clock is fine enough, else on the wall."""
    fine = time.get_clock_info("thread_time").resolution < 1e-3
    return time.thread_time() if threads == 1 and fine else time.perf_counter()


def ran(run: Callable[[], object], needed: bool = False) -> bool:
    """Whether a way can be run here, by running it.

    Args:
        run: Forms a product by it.
        needed: Whether there is no other one.

    Raises:
        RuntimeError: it cannot, and is needed.
    """
    try:
        run()
    except RuntimeError:
        if needed:
            raise
        return False
    return True


@dataclass
class Measured:
    """The fastest way, measured once and remembered.

    What is not measured is as the rule has it: where nothing can be remembered, since two runs would differ; and, for
    good, what comes after the time for measuring is over. A way that ends in a RuntimeError, as of a primitive that
    oneDNN cannot create, is none.

    Attributes:
        memory: Of earlier processes.
        clock: Compares ways, in seconds; the processor's own where one thread works, since others may be busy.
        wall: Seconds on the wall, by which time runs out.
        left_s: Time left for measuring.
    """

    memory: Memory
    clock: Callable[[int], float] = own_clock
    wall: Callable[[], float] = time.perf_counter
    left_s: float = BUDGET_S
    _known: dict[str, str] = field(default_factory=dict)

    def way(self, work: Work, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        """The fastest, or the usual one."""
        key = str(work)
        if len(runs) < 2:
            return usual
        if self._known.get(key) not in runs:
            self._known[key] = self._found(key, work.threads, usual, runs)
        return self._known[key]

    def _found(self, key: str, threads: int, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        with self.memory.held() as kept:
            if kept is None:
                known = self.memory.read().get(key, usual)
                return known if known in runs else usual
            if kept.get(key) not in runs:
                kept[key] = self._fastest(threads, usual, runs)
            return kept[key]

    def _fastest(self, threads: int, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        """The usual one where time runs out."""
        began, best = self.wall(), dict[str, float]()
        racing = [usual, *(name for name in runs if name != usual)]
        try:
            for number in range(ROUNDS + 1):  # before the first round each runs once, to prepare itself
                for name in tuple(racing):
                    if self.wall() - began >= self.left_s:
                        return usual
                    at = self.clock(threads)
                    if not ran(runs[name], needed=name == usual):
                        racing.remove(name)
                        best.pop(name, None)
                    elif number:
                        best[name] = min(self.clock(threads) - at, best.get(name, float("inf")))
                if number:
                    racing = [n for n in racing if best[n] <= HOPELESS * min(best.values())]
        finally:
            self.left_s -= self.wall() - began
        fastest = min(best, key=lambda name: best[name])
        return fastest if best[fastest] < (1 - MARGIN) * best[usual] else usual


@dataclass
class Chosen:
    """What one counterpart has been told so far; its checkpoints hold it, and a run that goes on asks it first.

    A copy in this process has been told the same. One that is pickled, as `torch.save` of a model does, may be loaded
    on another machine, and has been told nothing.

    Attributes:
        ways: Who chooses what is not known yet.
        by_work: Names of ways by the text of a `Work`.
    """

    ways: Ways
    by_work: dict[str, str] = field(default_factory=dict)

    def __deepcopy__(self, memo: object) -> Chosen:
        """Asks whom this one asks."""
        return Chosen(self.ways, dict(self.by_work))

    def __getstate__(self) -> dict[str, object]:
        """Of a pickle."""
        return {"ways": self.ways, "by_work": {}}

    def way(self, work: Work, usual: str, runs: Mapping[str, Callable[[], object]]) -> str:
        """As before, else as `ways` has it."""
        if len(runs) < 2:
            return usual
        key = str(work)
        known = self.by_work.get(key)
        if known is None or known not in runs:
            known = self.by_work[key] = self.ways.way(work, usual, runs)
        return known


RULE = ByRule()

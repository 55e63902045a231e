"""Samples of one phase shared among threads of Python's, each of which computes with kernels of one thread.

A sweep of convolutions is dozens of kernels; threads within every one of them wait for each other as often, and hand
their maps through the memory they share. A thread that keeps to its samples waits once a sweep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from emulator.couplings import ConvCoupling, Coupling
from emulator.packed import PackedCoupling
from firmware_specs import platform

SMALLEST_MAP = 64
"""Cells of a map from which on sharing pays: below, every thread reads all weights for its few products."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def shares(couplings: Sequence[Coupling], samples: int) -> list[slice]:
    """The samples of each thread, of equal number where that is possible; one slice where sharing does not pay."""
    threads = min(torch.get_num_threads(), samples)
    plain = [c.plain for c in couplings if isinstance(c, PackedCoupling)]
    maps = [c.pre[1] * c.pre[2] for c in plain if isinstance(c, ConvCoupling) and c.weight.device.type == "cpu"]
    pays = len(maps) == len(couplings) and min(maps, default=0) >= SMALLEST_MAP
    if threads == 1 or not pays or torch.is_grad_enabled():
        return [slice(0, samples)]
    ends = [samples * number // threads for number in range(threads + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def each(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `work` makes of every item, in order: one thread an item, none where there is one item only."""
    if len(items) == 1:
        return [work(items[0])]
    asked = [thread.submit(_quietly, work, item) for thread, item in zip(_crew(len(items)), items, strict=True)]
    wait(asked)  # one that failed does not leave the others at work
    return [each.result() for each in asked]


def part(tensor: Tensor, share: slice, copies: int) -> Tensor:
    """A share's samples of a batch of so many phases one after the other."""
    if len(tensor) == copies * (share.stop - share.start):
        return tensor
    return tensor[share] if copies == 1 else torch.cat([phase[share] for phase in tensor.chunk(copies)])


def joined(parts: Sequence[Tensor], copies: int) -> Tensor:
    """The batch that `part` took apart."""
    if len(parts) == 1:
        return parts[0]
    phases = [p.chunk(copies) for p in parts]
    return torch.cat([phase[number] for number in range(copies) for phase in phases])


def _quietly(work: Callable[[Item], Result], item: Item) -> Result:
    with torch.no_grad():  # which a new thread does not know
        return work(item)


_threads: list[ThreadPoolExecutor] = []
_hiring = threading.Lock()


def _crew(size: int) -> list[ThreadPoolExecutor]:
    """Threads that stay, with kernels of one thread each, in order: what one works on stays in its core's cache."""
    with _hiring:
        if len(_threads) < size:
            usual = torch.get_num_threads()
            while len(_threads) < size:
                _threads.append(ThreadPoolExecutor(1, thread_name_prefix="samples"))
                _threads[-1].submit(_alone).result()
            torch.set_num_threads(usual)  # for the threads that come later
        return _threads[:size]


def _alone() -> None:
    torch.set_num_threads(1)
    torch.get_num_threads()  # a thread takes its number when it first asks for it


platform.after_fork(_threads.clear)

"""The compiled sweeps of a dense chain, and how they are called.

llvmlite compiles them within the process, in a tenth of a second at the first settle: nothing else has to be installed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

FIELDS, TERM_FIELDS, REALS = 7, 4, 3
"""Numbers of a layer, of a term, and real ones of a layer in the tables that the function reads."""
_compiling = threading.Lock()


class Shape(NamedTuple):
    """What the function keeps in registers: sums of `rows` samples by `vectors` times `lanes` units.

    Attributes:
        lanes: Numbers of a vector.
        rows: Samples of a block.
        vectors: Vectors of a row.
    """

    lanes: int
    rows: int
    vectors: int

    @property
    def columns(self) -> int:
        """Units of a block, and of a panel of weights."""
        return self.lanes * self.vectors


class Update(NamedTuple):
    """One layer's part of a sweep.

    Attributes:
        state: (rows, width), changed in place.
        constant: (samples, width), or (width,) for all samples.
        terms: State of a sending layer, units of it, and its weights in panels.
        low: Lower rail, or None.
        high: Upper rail, or None.
        alpha: Of the products.
    """

    state: Tensor
    constant: Tensor
    terms: Sequence[tuple[Tensor, Tensor]]
    low: float | None
    high: float | None
    alpha: float


@dataclass(frozen=True)
class Kernel:
    """The function.

    Attributes:
        shape: What it keeps in registers.
        function: As ctypes calls it, without the interpreter's lock.
        owner: Keeps its code.
    """

    shape: Shape
    function: Any
    owner: Any

    def sweeps(self, updates: Sequence[Update], samples: int, tolerance: float, pace: float) -> Sweeping:
        """Ready to sweep; tensors of the updates are contiguous float32 on the CPU, and kept."""
        fields, terms, reals = list[int](), list[int](), list[float]()
        for u in updates:
            width = u.state.shape[1]
            stride = width if u.constant.dim() > 1 else 0
            first = len(terms) // TERM_FIELDS
            fields += (u.state.data_ptr(), width, width // self.shape.columns, u.constant.data_ptr(), stride, first)
            fields.append(len(u.terms))
            for source, panels in u.terms:
                terms += (source.data_ptr(), source.shape[1], panels.shape[1], panels.data_ptr())
            reals += (-math.inf if u.low is None else u.low, math.inf if u.high is None else u.high, u.alpha)
        tables = (
            (ctypes.c_int64 * len(fields))(*fields),
            (ctypes.c_int64 * len(terms))(*terms),
            (ctypes.c_float * len(reals))(*reals),
        )
        state = updates[0].state
        spread = state.new_empty(len(state) * self.shape.lanes)
        residual, since = state.new_empty(samples), torch.ones(samples, dtype=torch.long)
        return Sweeping(self.function, updates, samples, tolerance, pace, tables, spread, residual, since)


@dataclass(frozen=True)
class Sweeping:
    """A phase under way.

    Attributes:
        function: As of `Kernel`.
        updates: Layers in order.
        samples: Of the batch.
        tolerance: Largest change of a sample at rest; 0: none ever is.
        pace: Over-relaxation.
        tables: What the function reads.
        spread: Its memory.
        residual: (samples,) largest change in the last sweep.
        since: (samples,) first sweep since which each sample rests.
    """

    function: Any
    updates: Sequence[Update]
    samples: int
    tolerance: float
    pace: float
    tables: tuple[Any, ...]
    spread: Tensor
    residual: Tensor
    since: Tensor

    def run(self, first: int, last: int) -> bool:
        """Sweeps, so many done before, until all samples rest or so many are done; whether they rest."""
        places = (t.data_ptr() for t in (self.spread, self.residual, self.since))
        numbers = self.samples, len(self.updates), first, last, self.tolerance, self.pace
        return bool(self.function(*numbers, *self.tables, *places))


@cache
def kernel() -> Kernel | None:
    """The function for this processor; None where llvmlite is not installed."""
    if importlib.util.find_spec("llvmlite") is None:
        return None
    with _compiling:
        return _compile()


def _compile() -> Kernel:
    import llvmlite.binding as llvm

    from emulator.chain_code import written

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    shape = Shape(16, 8, 2) if features.get("avx512f", False) else Shape(8, 4, 2)
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3)
    module = llvm.parse_assembly(written(shape))
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    whole, real, place = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    kind = ctypes.CFUNCTYPE(whole, *[whole] * 4, *[real] * 2, *[place] * 6)
    return Kernel(shape, kind(engine.get_function_address("sweeps")), engine)

"""The compiled functions, as ctypes calls them, without the interpreter's lock: ready in a tenth of a second."""

from __future__ import annotations

import ctypes
import importlib.util
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from emulator.compiled.tables import Shape

OLDEST = 20
"""LLVM's release, llvmlite 0.45: an older one ends the process where it cannot translate something."""
_compiling = threading.Lock()
_WHOLE, _REAL, _PLACE = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p


@dataclass(frozen=True)
class Library:
    """The functions; what they are given is contiguous, on the CPU, and 32-bit where it is real.

    Attributes:
        shape: What `sweeps` keeps in registers.
        sweeps: Of a dense chain, `emulator.compiled.sweeps`.
        send: Values through a DAC, `emulator.compiled.conversions`.
        read: Values through an ADC.
        owner: Keeps their code.
    """

    shape: Shape
    sweeps: Any
    send: Any
    read: Any
    owner: Any


def library() -> Library | None:
    """The functions for this processor; None where llvmlite is not installed, or products and sums are two steps."""
    with _compiling:
        return _library()


def form_beside() -> threading.Thread:
    """Forms the functions while something else is done: who needs them before they are ready waits in `library`.

    What is wrong with llvmlite is said there, to who needs them.
    """

    def form() -> None:
        with suppress(Exception):
            library()

    forming = threading.Thread(target=form, name="forming compiled functions")
    forming.start()
    return forming


@cache
def _library() -> Library | None:
    if importlib.util.find_spec("llvmlite") is None:
        return None
    import llvmlite.binding as llvm
    from llvmlite import ir

    if llvm.llvm_version_info[0] < OLDEST:
        return None
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target, features = llvm.Target.from_default_triple(), llvm.get_host_cpu_features()
    if target.name.startswith("x86") and not features.get("fma", False):
        return None
    from emulator.compiled import conversions, sweeps

    shape = Shape(16, 8, 2) if features.get("avx512f", False) else Shape(8, 4, 2)
    module = ir.Module("compiled")
    sweeps.write(module, shape)
    conversions.write(module, shape.lanes)
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=3)
    checked = llvm.parse_assembly(str(module))
    checked.verify()
    engine = llvm.create_mcjit_compiler(checked, machine)
    engine.finalize_object()

    def found(name: str, result: Any, *arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(result, *arguments)(engine.get_function_address(name))

    return Library(
        shape,
        found("sweeps", _WHOLE, *[_WHOLE] * 4, *[_REAL] * 2, *[_PLACE] * 6),
        found("send", None, *[_WHOLE] * 4, _REAL, *[_PLACE] * 8),
        found("read", None, *[_WHOLE] * 4, _REAL, *[_PLACE] * 8),
        engine,
    )

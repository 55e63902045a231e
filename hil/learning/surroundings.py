"""What PyTorch's own tools do around a block: compiled, under autocast, traced, exported, differentiated twice.

A block talks to a counterpart, which nothing can trace: under `torch.compile` it is one opaque call with the same
numbers (`hil.learning.opaque`); under autocast it computes in its own precision; what would record it as tensor
operations is refused in a sentence.
"""

from __future__ import annotations

import sys

import torch
from torch.fx import Proxy

FIRST_ONLY = (
    "an energy block has first derivatives only: equilibrium propagation measures a gradient, not a graph of it "
    "(create_graph, hessian, jvp and the like need one); on reference:, differentiate hil.learning.energy yourself"
)
NO_RECORDING = (
    "an energy block cannot be exported or traced: its states are settled by a counterpart, not computed by "
    "tensor operations. Export the feedforward parts one by one, or save the weights (state_dict)"
)
NO_TRANSFORM = (
    "an energy block cannot be transformed by torch.func (vmap, grad, jvp, ...): it talks to a counterpart; batch "
    "along the first axis and call backward()"
)


class NotTraceable(RuntimeError):
    """A block was to be recorded as tensor operations, which it is not."""


class NoSecondDerivative(RuntimeError):
    """A gradient of a block was to be differentiated."""


def refuse_recording(drive: object) -> None:
    """Refuses export, ONNX, `torch.jit.trace` and `torch.fx`, which hands over no tensor.

    Raises:
        NotTraceable: one of them is running.
    """
    exporting = getattr(torch.compiler, "is_exporting", lambda: False)()
    onnx = sys.modules.get("torch.onnx")  # whoever exports has imported it; to import it here delays a first step
    if exporting or torch.jit.is_tracing() or (onnx and onnx.is_in_onnx_export()) or isinstance(drive, Proxy):
        raise NotTraceable(NO_RECORDING)


class NotScriptable:
    """A module that `torch.jit.script` refuses in a sentence, alone or within another one."""

    def __prepare_scriptable__(self) -> None:
        """What `torch.jit.script` calls first."""
        raise NotTraceable(NO_RECORDING)


def recorded_by_func() -> bool:
    """Whether a transform of `torch.func` is running."""
    stack = getattr(torch._C._functorch, "peek_interpreter_stack", lambda: None)
    return stack() is not None


def is_batched(gradient: torch.Tensor) -> bool:
    """Whether a gradient stands for many at once, as the older `vmap` of `torch.autograd.grad` has it."""
    return torch._C._functorch.is_batchedtensor(gradient) or torch._C._functorch.is_legacy_batchedtensor(gradient)

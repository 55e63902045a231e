"""A pretended GPU: training code runs as on `cuda:0`, and breaks where it would break there, without one.

Tensors on it say that they are on `cuda:0` and hold a CPU tensor that computes for them. What CUDA refuses is refused:
operations on tensors of both devices, numpy views, generators of the other device. Every wait of the host for the
device is counted. Not seen: what kernels of a GPU round otherwise, memory, and time. Zeros that autograd itself makes
are on the CPU: the backward of a pooling's backward is refused here, and would not be there.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from torch.autograd.graph import _engine_run_backward
from torch.overrides import TorchFunctionMode

CUDA = torch.device("cuda", 0)
aten = torch.ops.aten

BETWEEN = {aten.copy_, aten._to_copy}
BY_HOST_INDICES = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
WAITS = {
    aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten.equal, aten.bincount, aten._unique2,
    aten.unique_dim, aten.unique_consecutive, aten.repeat_interleave, aten.allclose, aten.is_nonzero,
}  # fmt: skip
"""Operations whose result has a size, or is a value, that the host must know."""
TAKE_NUMBERS = {aten.where, aten.fill_, *BY_HOST_INDICES}
CPU_ONLY = {aten.histogram, aten.histogramdd}


def _changed(change, value):
    """Applies `change` to all leaves of a call's arguments or results, which are hardly ever deep.

    Half the time of these tests was torch's own `tree_map`, which looks every node up.
    """
    if isinstance(value, tuple | list):
        return type(value)([_changed(change, v) for v in value])
    if isinstance(value, dict):
        return {k: _changed(change, v) for k, v in value.items()}
    return change(value)


def _tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list | dict):
        return [t for v in (value.values() if isinstance(value, dict) else value) for t in _tensors(v)]
    return []


def _held(value):
    return value.held if isinstance(value, OnCuda) else value


class OnCuda(torch.Tensor):
    """A tensor that says it is on `cuda:0`; to C++ it is one of the CPU, so that autograd runs here."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    @staticmethod
    def __new__(cls, held, gpu):
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype, device="cpu", **layout)

    def __init__(self, held, gpu):
        self.held, self.gpu = held, gpu

    def __tensor_flatten__(self):
        """By having this, the tensors of a module change in place when it moves."""
        return ["held"], self.gpu

    @staticmethod
    def __tensor_unflatten__(tensors, gpu, *layout):
        return OnCuda(tensors["held"], gpu)

    def __repr__(self):
        return f"OnCuda({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        tensors = _tensors((args, kwargs or {}))
        gpu = next(t for t in tensors if isinstance(t, OnCuda)).gpu
        return gpu.compute(func, args, kwargs or {}, tensors)


class Generator(torch.Generator):
    """A generator of either device; both draw on the CPU."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")

    def __init__(self, device="cpu"):
        self.on_cuda = torch.device(device).type == "cuda"


class PretendedGpu(TorchFunctionMode):
    """While it is entered, `device="cuda"` makes tensors on it.

    Attributes:
        waits: How often the host had to wait for the device.
    """

    waits = 0

    def compute(self, func, args, kwargs, tensors):
        """One operation, at least one of whose tensors is on the device."""
        kind = func.overloadpacket
        _refuse_mixture(func, kind, args, tensors)
        assert kind not in CPU_ONLY and func.namespace == "aten", f"{func} has no CUDA kernel"
        self.waits += kind in WAITS or (kind in BETWEEN and not isinstance(args[0], OnCuda)) or _by_mask(kind, args)
        known = {id(_held(t)): t for t in tensors}

        def here(value):
            if not isinstance(value, torch.Tensor):
                return value
            found = known[id(value)] if id(value) in known else OnCuda(value, self)
            assert found.shape == value.shape and found.stride() == value.stride(), f"{func} changed a tensor's layout"
            return found

        return _changed(here, func(*_changed(_held, args), **_changed(_held, kwargs)))

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), func.__name__
        on_cuda = bool(args) and isinstance(args[0], OnCuda)
        if name in ("to", "cpu", "cuda") and isinstance(args[0], torch.Tensor):
            return self._moved(func, *args, **kwargs)
        if on_cuda and name in ("numpy", "__array__", "data_ptr"):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        if on_cuda and name == "tolist":
            self.waits += 1
            return args[0].held.tolist()
        if on_cuda and name in ("new_tensor", "one_hot"):  # these ask C++ for the device
            return OnCuda(func(args[0].held, *args[1:], **kwargs), self)
        if name == "backward":
            with self:  # torch leaves it while it handles a function
                kept = {"allow_unreachable": True, "accumulate_grad": True}
                return _engine_run_backward(args[:1], (torch.ones_like(args[0]),), False, False, (), **kept)
        where = kwargs.pop("device", None)
        draws = kwargs.get("generator")
        wanted = on_cuda if where is None else torch.device(where).type == "cuda"
        if draws is not None and draws.on_cuda != wanted:
            raise RuntimeError(f"{name}: expected a generator of the tensor's device")
        if where is None:
            return func(*args, **kwargs)
        if bool(args) and isinstance(args[0], torch.Tensor) and name in ("as_tensor", "asarray"):
            return self._moved(torch.Tensor.to, args[0], where, **kwargs)
        if not wanted:
            return func(*_changed(_held, args), device=where, **kwargs)
        made = func(*args, **kwargs)
        return made if isinstance(made, OnCuda) else OnCuda(made, self)

    def _moved(self, func, tensor, *args, **kwargs):
        """`Tensor.to`, `.cpu` and `.cuda`."""
        places = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor | torch.device | str)]
        if func.__name__ == "to" and not places:
            return func(tensor, *args, **kwargs)
        place = func.__name__ if func.__name__ != "to" else places[0]
        dtypes = [place.dtype] if isinstance(place, torch.Tensor) else []
        place = place.device if isinstance(place, torch.Tensor) else torch.device(place)
        dtypes += [a for a in (*args, *kwargs.values()) if isinstance(a, torch.dtype)]
        moved = tensor if (place.type == "cuda") == isinstance(tensor, OnCuda) else _Move.apply(tensor, self)
        kwargs = {k: v for k, v in kwargs.items() if k in ("copy", "memory_format")}
        return moved.to(*dtypes, **kwargs) if dtypes or kwargs else moved


class _Move(torch.autograd.Function):
    """To the other device; the gradient comes back."""

    @staticmethod
    def forward(ctx, tensor, gpu):
        ctx.gpu = gpu
        if isinstance(tensor, OnCuda):
            gpu.waits += 1
            return tensor.held.detach().clone()
        return OnCuda(tensor.detach().clone(), gpu)

    @staticmethod
    def backward(ctx, gradient):
        return _Move.apply(gradient, ctx.gpu), None


def _refuse_mixture(func, kind, args, tensors):
    """As CUDA does; a number, a CPU tensor without dimensions, may stand beside one tensor."""
    if kind in BETWEEN:
        return
    if kind in BY_HOST_INDICES:
        tensors = [t for t in (args[0], *args[2:3]) if isinstance(t, torch.Tensor)]
    host = [t for t in tensors if not isinstance(t, OnCuda)]
    if not host:
        return
    takes_numbers = (torch.Tag.pointwise in func.tags and len(tensors) == 2) or kind in TAKE_NUMBERS
    written_here = func._schema.is_mutable and not isinstance(tensors[0], OnCuda)
    if not (takes_numbers and all(t.dim() == 0 for t in host) and not written_here):
        shapes = [(str(t.device), tuple(t.shape)) for t in tensors]
        raise RuntimeError(f"Expected all tensors to be on the same device: {func} of {shapes}")


def _by_mask(kind, args):
    return kind in BY_HOST_INDICES and any(t is not None and t.dtype == torch.bool for t in args[1])


@pytest.fixture
def pretended(monkeypatch):
    """While `pretended()` is entered, torch sees one GPU, on every thread that works for a pool, too."""

    @contextmanager
    def entered():
        gpu, submit = PretendedGpu(), ThreadPoolExecutor.submit

        def on_thread(function, *args):
            with gpu:
                return function(*args)

        with monkeypatch.context() as patch, gpu:
            patch.setattr(torch.cuda, "is_available", lambda: True)
            patch.setattr(torch.cuda, "device_count", lambda: 1)
            patch.setattr(torch.backends.cudnn, "allow_tf32", True)
            # an optimizer's step asks the driver whether a graph is recorded, unless torch was built without CUDA
            patch.setattr(torch.backends.cuda, "is_built", lambda: False)
            if hasattr(torch, "accelerator"):
                patch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
            patch.setattr(torch, "Generator", Generator)
            patch.setattr(ThreadPoolExecutor, "submit", lambda pool, *call: submit(pool, on_thread, *call))
            yield gpu

    return entered


@pytest.fixture
def gpu(pretended):
    """One pretended GPU for the whole test."""
    with pretended() as gpu:
        yield gpu

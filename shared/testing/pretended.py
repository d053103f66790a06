"""A GPU that is not there, to find on a CPU what would fail on CUDA.

    from shared.testing import pretended_gpu
    with pretended_gpu():
        network.to("cuda")(images.to("cuda")).sum().backward()

Inside the block ``torch.cuda.is_available()`` is true, and a tensor that was sent to ``cuda`` says that it
is there; what it holds is computed on the CPU, so numbers are those of the CPU wherever the code under test
does the same for both devices. What fails as on CUDA: operations on tensors of both devices, generators of
the other device, ``numpy()``. Autocast for ``cuda`` makes products bf16. What cannot be found this way:
kernels that CUDA lacks, their rounding, memory, speed, and whether work is waited for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
#: What autograd is told: it has no queue for CUDA in a torch without it, and needs none for this device.
_TOLD = torch.device("meta")

_aten = torch.ops.aten
_MOVES = (_aten._to_copy.default, _aten.copy_.default, _aten._local_scalar_dense.default)
#: Their indices may stay on the CPU.
_INDEXED = (
    *(_aten.index.Tensor, _aten._unsafe_index.Tensor),
    *(_aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default),
)
#: They take no single number from the CPU either; arithmetic does.
_STRICT = (_aten.index_select.default, _aten.gather.default, _aten.cat.default, _aten.stack.default)
_FROM_VALUES = (torch.tensor, torch.as_tensor, torch.asarray)

#: Autocast's lists as far as they matter here: products go to bf16, losses to float32.
_PRODUCTS = (
    *(torch.conv1d, torch.conv2d, torch.conv3d, torch.conv_transpose2d, F.linear, torch.einsum),
    *(torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm),
    *(Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, Tensor.mm, Tensor.bmm),
)
_LOSSES = (F.cross_entropy, F.nll_loss, F.mse_loss, F.l1_loss, torch.softmax, F.softmax, F.log_softmax)

_real_load = torch.load
_real_engine = torch.autograd._engine_run_backward


class _GpuTensor(Tensor):
    """Says that it is on the GPU; ``held``, on the CPU, has the numbers."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> _GpuTensor:
        how = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.shape, device=_TOLD, **how)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the pretended GPU is used outside of pretended_gpu()")

    def __reduce_ex__(self, protocol: Any) -> Any:  # for torch.save
        return self.held.__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:  # torch's own would copy a storage
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        copied = nn.Parameter(copied, self.requires_grad) if isinstance(self, nn.Parameter) else copied
        return memo.setdefault(id(self), copied)

    def __repr__(self, **how: Any) -> str:
        return f"{self.held!r} on a pretended GPU"

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)


class _Generator(torch.Generator):
    """Draws the CPU's numbers on either device; its state is a tensor on the CPU, as on CUDA."""

    def __new__(cls, device: torch.device | str = "cpu") -> _Generator:
        made = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        return made

    device = property(lambda self: self.place)


class _Kernels(TorchDispatchMode):
    """Computes on what the tensors hold, after a look at where they claim to be."""

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if not torch.is_inference_mode_enabled():
            return self._compute(func, args, dict(kwargs or {}))
        with torch.inference_mode(False), torch.no_grad():  # its tensors could not be wrapped
            return self._compute(func, args, dict(kwargs or {}))

    def _compute(self, func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if isinstance(tensor, _GpuTensor)]
        result_there = bool(there)
        if kwargs.get("device") is not None:
            result_there = kwargs["device"].type != "cpu"
            kwargs["device"] = torch.device("cpu")
        _check_places(func, args, there, [t for t in tensors if not isinstance(t, _GpuTensor)])
        args, kwargs = tree_map(_held, (args, kwargs))
        out = func(*args, **kwargs)
        if not result_there or func is _aten._local_scalar_dense.default:
            return out
        known = {id(tensor.held): tensor for tensor in there}  # what is changed in place stays itself
        return tree_map(lambda x: _wrapped(x, known), out)


def _wrapped(x: Any, known: Mapping[int, _GpuTensor]) -> Any:
    if not isinstance(x, Tensor):
        return x
    return known[id(x)] if id(x) in known else _GpuTensor(x)


def _held(x: Any) -> Any:
    return x.held if isinstance(x, _GpuTensor) else x


def _check_places(func: Any, args: tuple, there: list[_GpuTensor], here: list[Tensor]) -> None:
    if not there or not here or func in _MOVES:
        return
    if func in _INDEXED:
        misplaced = [] if isinstance(args[0], _GpuTensor) else here
    else:
        misplaced = [tensor for tensor in here if tensor.dim() or func in _STRICT]
    if misplaced:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in misplaced)
        raise RuntimeError(
            f"{func}: expected all tensors to be on the same device, found cuda:0 and cpu (of shape {shapes})"
        )


class _Calls(TorchFunctionMode):
    """What has to be settled before torch looks at devices itself: names of devices, generators, autocast."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.device:
            return func(*args, **kwargs)
        first = args[0] if args else None
        if func is Tensor.numpy and isinstance(first, _GpuTensor):
            raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")
        if func is Tensor.tolist and isinstance(first, _GpuTensor):
            return first.detach().held.tolist()
        if func is Tensor.cuda:
            return first.to(_TOLD)
        if func in _FROM_VALUES and kwargs.get("device") is not None:
            place = kwargs.pop("device")
            return func(*args, **kwargs).to(_told(place))
        if func is Tensor.new_tensor and isinstance(first, _GpuTensor):
            place = kwargs.pop("device", _TOLD)
            return torch.tensor(*args[1:], **{"dtype": first.dtype, **kwargs}).to(_told(place))
        args, kwargs = _autocast(func, *tree_map(_told, (args, kwargs)))
        return _checked(func(*args, **kwargs), kwargs.get("generator"))


def _told(x: Any) -> Any:
    """The device to name to torch instead of CUDA; anything else as it is."""
    named = isinstance(x, torch.device) or (isinstance(x, str) and x.partition(":")[0] == "cuda")
    return _TOLD if named and torch.device(x).type == "cuda" else x


def _autocast(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> tuple[tuple, Mapping[str, Any]]:
    if not torch.is_autocast_enabled("cuda") or func not in (*_PRODUCTS, *_LOSSES):
        return args, kwargs
    kind = torch.get_autocast_dtype("cuda") if func in _PRODUCTS else torch.float32
    floats = (torch.float32, torch.bfloat16, torch.float16)  # float64 stays
    return tree_map(
        lambda x: x.to(kind) if isinstance(x, _GpuTensor) and x.dtype in floats else x, (args, kwargs)
    )


def _checked(out: Any, generator: torch.Generator | None) -> Any:
    place = GPU if isinstance(out, _GpuTensor) else torch.device("cpu")
    if generator is not None and isinstance(out, Tensor) and generator.device.type != place.type:
        raise RuntimeError(f"expected a {place.type!r} generator, but found {generator.device.type!r}")
    return out


def _load(file: Any, map_location: Any = None, **how: Any) -> Any:
    loaded = _real_load(file, map_location="cpu", **how)
    if map_location is None or torch.device(map_location).type == "cpu":
        return loaded
    return tree_map(lambda x: x.to(map_location) if isinstance(x, Tensor) else x, loaded)


def _engine(*args: Any, **how: Any) -> Any:
    with _Calls():  # for gradients written in Python; a mode is off while it calls what it was called for
        return _real_engine(*args, **how)


def _no_accelerator(check_available: bool = False) -> None:
    return None


#: What is asked of `torch.cuda`. Memory is not metered, and nothing has to be waited for.
_CUDA: dict[str, Callable[..., Any]] = {
    "is_available": lambda: True,
    "is_bf16_supported": lambda including_emulation=True: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "is_current_stream_capturing": lambda: False,
    "get_device_name": lambda device=None: "pretended GPU",
    **dict.fromkeys(("init", "synchronize", "reset_peak_memory_stats", "empty_cache"), lambda *device: None),
    "get_rng_state": lambda device=None: torch.get_rng_state(),  # there is one stream only
    "set_rng_state": lambda state, device=None: None,
    **dict.fromkeys(("memory_allocated", "max_memory_allocated"), lambda device=None: 0),
}


@contextlib.contextmanager
def pretended_gpu() -> Iterator[None]:
    """Let ``cuda`` and ``cuda:0`` name a GPU that is not there, for the tests of code that may meet one.

    The tensors made inside are of no use after the block, except through ``cpu()`` before its end.
    """
    with contextlib.ExitStack() as stack:
        for name, answer in _CUDA.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        # optimizers ask whether a graph is captured: in a build with CUDA, of a driver that is not there
        stack.enter_context(mock.patch.object(torch.accelerator, "current_accelerator", _no_accelerator))
        stack.enter_context(mock.patch.object(torch, "Generator", _Generator))
        stack.enter_context(mock.patch.object(torch, "load", _load))
        stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", _engine))
        stack.enter_context(_Kernels())
        stack.enter_context(_Calls())
        yield

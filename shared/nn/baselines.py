"""Baselines from escnn and e2cnn in the shape of this package's layers, and conversion into them.

Their layers are wrapped so that they take and return regular features ``(batch, channels, |G|, height,
width)``. Their conventions are ours: both order the elements of C_n and D_n as `shared.algebra.groups` does,
mirror left-right as it does, and keep the elements of a field next to each other. So wrapping reshapes and
never copies. The only module that imports these libraries, and only when a function needs them.

escnn and e2cnn expand a basis of steerable filters; ``to_ours`` turns a layer with its present weights into
one of :mod:`shared.nn` with the same function. The other way is not possible in general: their basis leaves
out filters that vary fast along the angle.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from shared.algebra.groups import Group, cube_rotations
from shared.base.errors import UserError, unknown
from shared.nn import GroupBatchNorm, GroupConv, GroupPool, LiftingConv

__all__ = [
    "INSTALL",
    "SteerableBatchNorm",
    "SteerableConv",
    "SteerableGroupPool",
    "available",
    "expand_filter",
    "group_pool",
    "group_representations",
    "regular_batchnorm",
    "regular_conv",
    "to_ours",
]

INSTALL = {
    "escnn": "pip install --no-deps escnn==1.0.11 lie_learn==0.0.2 && pip install joblib pymanopt autograd",
    "e2cnn": "pip install e2cnn==0.2.3",
}


#: Of the filters of a converted layer, relative to their largest entry.
_LARGEST_GAP = 1e-4


class SteerableConv(nn.Module):
    """Convolution of escnn or e2cnn between an image or regular features and regular features.

    Use :func:`regular_conv`. Its state dictionary differs between training and evaluation, because the
    libraries keep the expanded filter in evaluation; save in training mode.

    Shape:
        in  (batch, in_channels, height, width) if ``first``, else (batch, in_channels, |G|, height, width)
        out (batch, out_channels, |G|, height', width')
    """

    def __init__(self, layer: nn.Module, as_field: Any, group: Group, first: bool) -> None:
        super().__init__()
        self.layer = layer
        self.group = group
        self.first = first
        self.in_channels, self.out_channels = len(layer.in_type), len(layer.out_type)
        for name in ("kernel_size", "stride", "padding", "dilation"):
            setattr(self, name, (getattr(layer, name),) * 2)
        self._as_field = as_field

    def forward(self, x: Tensor) -> Tensor:
        fiber = (self.in_channels,) if self.first else (self.in_channels, self.group.order)
        if x.dim() != 3 + len(fiber) or x.shape[1:-2] != fiber:
            raise ValueError(
                f"expected (batch, {', '.join(map(str, fiber))}, height, width), not {tuple(x.shape)}."
            )
        y = self.layer(self._as_field(x.flatten(1, -3), self.layer.in_type)).tensor
        return y.unflatten(1, (self.out_channels, self.group.order))


class SteerableBatchNorm(nn.Module):
    """Batch norm of escnn or e2cnn with statistics over batch, elements and pixels.

    Use :func:`regular_batchnorm`.

    Shape:
        in and out (batch, channels, |G|, height, width)
    """

    def __init__(self, layer: nn.Module, as_field: Any, group: Group) -> None:
        super().__init__()
        self.layer = layer
        self.group = group
        self.channels = len(layer.in_type)
        self._as_field = as_field

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(self._as_field(x.flatten(1, 2), self.layer.in_type)).tensor
        return y.unflatten(1, (self.channels, self.group.order))


class SteerableGroupPool(nn.Module):
    """Largest value over the group, by escnn or e2cnn. Use :func:`group_pool`.

    Shape:
        in  (batch, channels, |G|, height, width)
        out (batch, channels, height, width)
    """

    mode = "max"

    def __init__(self, layer: nn.Module, as_field: Any, group: Group) -> None:
        super().__init__()
        self.layer = layer
        self.group = group
        self._as_field = as_field

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self._as_field(x.flatten(1, 2).contiguous(), self.layer.in_type)).tensor


def regular_conv(
    backend: str,
    group: Group,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int = 0,
    *,
    first: bool = False,
    dilation: int = 1,
    bias: bool = True,
    **basis: Any,
) -> SteerableConv:
    """Build a convolution of ``escnn`` or ``e2cnn`` with the library's own initialization.

    Args:
        backend: ``escnn`` or ``e2cnn``.
        group: C_n or D_n with n of at least 2.
        in_channels: regular fields in, or channels of the image if ``first``.
        out_channels: regular fields out.
        kernel_size: side of the square filter, in pixels.
        stride: step of the output grid.
        padding: zeros on each side.
        first: whether the input is an image (lifting convolution).
        dilation: distance between filter taps.
        bias: one bias for each field.
        basis: options of the library's filter basis, such as ``rings``, ``sigma`` or ``frequencies_cutoff``.

    Raises:
        UserError: if the library is not there.
        ValueError: for other groups, or from the library if its default basis is empty, as for 2x2 filters.
    """
    library = load(backend)
    source = field_type(backend, group, in_channels, regular=not first)
    target = field_type(backend, group, out_channels, regular=True)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "bias": bias, **basis}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="indexing with dtype torch.uint8")  # e2cnn, harmless
        layer = library.nn.R2Conv(source, target, kernel_size, **settings)
    return SteerableConv(layer, library.nn.GeometricTensor, group, first)


def regular_batchnorm(backend: str, group: Group, channels: int) -> SteerableBatchNorm:
    """Build a batch norm of ``escnn`` or ``e2cnn`` for regular features.

    Errors as in :func:`regular_conv`.
    """
    library = load(backend)
    layer = library.nn.InnerBatchNorm(field_type(backend, group, channels, regular=True))
    return SteerableBatchNorm(layer, library.nn.GeometricTensor, group)


def group_pool(backend: str, group: Group, channels: int) -> SteerableGroupPool:
    """Build a pool over the group of ``escnn`` or ``e2cnn``.

    Errors as in :func:`regular_conv`.
    """
    library = load(backend)
    layer = library.nn.GroupPooling(field_type(backend, group, channels, regular=True))
    return SteerableGroupPool(layer, library.nn.GeometricTensor, group)


def expand_filter(module: SteerableConv) -> Tensor:
    """Expand the library's weights into the dense filter that it convolves with.

    Shape:
        ``(out_channels |G|, in_channels, k, k)`` if ``module.first``, else
        ``(out_channels |G|, in_channels |G|, k, k)``; the group axis varies fastest.
    """
    return module.layer.expand_parameters()[0]


@torch.no_grad()
def to_ours(module: nn.Module) -> nn.Module:
    """Copy a module, with the escnn and e2cnn layers in it replaced by equal ones of :mod:`shared.nn`.

    The copy has weights of its own, tied where the module's are, and computes the same up to rounding and the
    accuracy of the library's filter basis (about 1e-6). Only for the groups that permute pixels, C2, C4, D2
    and D4, and for layers made by `regular_conv`, `regular_batchnorm` and `group_pool`.

    Raises:
        ValueError: if a layer has another group, or if something of the libraries cannot be converted: their
            layers as they are, other fields than regular ones, a norm without weights or statistics, hooks.
    """
    converted: dict[int, Any] = {}
    inside: set[int] = set()
    for place, part in module.named_modules():
        if isinstance(part, SteerableConv | SteerableBatchNorm | SteerableGroupPool):
            converted[id(part)] = _layer_to_ours(place, part)
            inside.update(map(id, part.modules()))
        library = type(part).__module__.split(".")[0]
        if library in INSTALL and id(part) not in inside:
            raise ValueError(
                f"{place or 'the module'} is a {type(part).__name__} of {library} itself, which has no twin "
                "here; make it by regular_conv, regular_batchnorm or group_pool."
            )
    return copy.deepcopy(module, converted)  # which takes the twins for copies made before


def _layer_to_ours(name: str, module: nn.Module) -> nn.Module:
    """Convert one wrapped layer; ``name`` is for messages."""
    rules = {
        SteerableConv: _conv_to_ours,
        SteerableBatchNorm: _batchnorm_to_ours,
        SteerableGroupPool: _pool_to_ours,
    }
    name, attached = name or type(module).__name__, ("_forward_hooks", "_forward_pre_hooks")
    if type(module) not in rules or "forward" in vars(module):
        raise ValueError(f"{name} changes what {type(module).__name__} does; convert it by hand.")
    if any(getattr(part, hooks) for part in module.modules() for hooks in attached):
        raise ValueError(f"{name} has hooks, which its twin would lack; remove them before the conversion.")
    return rules[type(module)](name, module)


def _check_fields(name: str, types: Any, trivial: bool) -> None:
    kind = "trivial" if trivial else "regular"
    fields = types.representations
    if any(not (field.is_trivial() if trivial else field.name == "regular") for field in fields):
        raise ValueError(f"{name} has other fields than {kind} ones, which have no twin here.")


def _pool_to_ours(name: str, module: SteerableGroupPool) -> GroupPool:
    if type(module.layer).__name__ != "GroupPooling":
        raise ValueError(f"{name} pools by {type(module.layer).__name__}, which has no twin here.")
    _check_fields(name, module.layer.in_type, trivial=False)
    return GroupPool("max").train(module.training)


def _conv_to_ours(name: str, module: SteerableConv) -> LiftingConv | GroupConv:
    """Read the free filter off the dense one: it is the response of the identity element."""
    _check_fields(name, module.layer.in_type, trivial=module.first)
    _check_fields(name, module.layer.out_type, trivial=False)
    dense, bias = module.layer.expand_parameters()
    order, k = module.group.order, module.kernel_size
    build = LiftingConv if module.first else GroupConv
    ours = build(
        module.in_channels,
        module.out_channels,
        k,
        group=module.group,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        groups=module.layer.groups,
        bias=bias is not None,
        padding_mode=module.layer.padding_mode,
    ).to(dense)
    ours.weight.copy_(dense[::order].reshape(ours.weight.shape))
    if bias is not None:
        ours.bias.copy_(bias[::order])
    if not torch.allclose(ours.filter_bank(), dense, atol=_LARGEST_GAP * float(dense.abs().max())):
        raise ValueError(f"{name} turns its filters otherwise than {module.group.name} of shared.algebra.")
    return ours.train(module.training)


def _batchnorm_to_ours(name: str, module: SteerableBatchNorm) -> GroupBatchNorm:
    _check_fields(name, module.layer.in_type, trivial=False)
    norm = next(part for part in module.layer.modules() if isinstance(part, nn.BatchNorm3d))
    if norm.weight is None or norm.running_mean is None:
        raise ValueError(f"{name} has no weights or no running statistics, which GroupBatchNorm needs.")
    ours = GroupBatchNorm(module.channels, module.group, eps=norm.eps, momentum=norm.momentum).to(norm.weight)
    for part in ("weight", "bias", "running_mean", "running_var"):
        getattr(ours, part).copy_(getattr(norm, part))
    return ours.train(module.training)


@cache
def load(backend: str) -> SimpleNamespace:
    """Import a library, or say how to install it.

    Raises:
        UserError: if it is not known, not installed, or does not work with this numpy.
    """
    if backend not in INSTALL:
        raise UserError(unknown("backend", backend, INSTALL))
    if int(np.__version__.split(".")[0]) >= 2:  # lie_learn is built for numpy 1; e2cnn fails from 2.3 on
        raise UserError(
            f"{backend} needs numpy below 2, but {np.__version__} is installed; use an older numpy."
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*py3nj.*")  # escnn has a slower way of its own
            parts = {
                part: importlib.import_module(f"{backend}.{part}") for part in ("group", "gspaces", "nn")
            }
    except ImportError as error:
        raise UserError(f"{backend} cannot be imported ({error}); install it: {INSTALL[backend]}") from error
    if backend == "escnn":
        # escnn 1.0.11 gives np.matrix to scikit-learn, which refuses it since 1.2; without scikit-learn's
        # random SVD it takes scipy's, which is deterministic as well
        parts["group"]._numerical.randomized_svd = None
    return SimpleNamespace(**parts)


def available(backend: str) -> bool:
    """Whether ``escnn`` or ``e2cnn`` can be imported.

    Raises:
        UserError: if ``backend`` is neither.
    """
    try:
        load(backend)
    except UserError:
        if backend not in INSTALL:
            raise
        return False
    return True


@cache
def plane(backend: str, group: Group) -> Any:
    """Build the library's plane with the symmetry of a cyclic or dihedral group, counter-clockwise."""
    family, arguments = group.family or ("", ())
    if family not in ("cyclic", "dihedral") or arguments[0] < 2:
        raise ValueError(f"{group.name} has no baseline in {backend}; use C_n or D_n with n of at least 2.")
    spaces = load(backend).gspaces
    names = {"escnn": ("rot2dOnR2", "flipRot2dOnR2"), "e2cnn": ("Rot2dOnR2", "FlipRot2dOnR2")}[backend]
    return getattr(spaces, names[family == "dihedral"])(arguments[0])


def field_type(backend: str, group: Group, channels: int, regular: bool) -> Any:
    """The library's type of ``channels`` regular fields of a group, or trivial ones."""
    space = plane(backend, group)
    field = space.regular_repr if regular else space.trivial_repr
    return load(backend).nn.FieldType(space, channels * [field])


class Reference(NamedTuple):
    """What a library says about a group, with the elements in the order of `shared.algebra.groups`."""

    table: np.ndarray
    regular: np.ndarray
    irreps: tuple[np.ndarray, ...]


def group_representations(backend: str, group: Group) -> Reference:
    """Read multiplication table, regular representation and irreps of a group from a library.

    Args:
        backend: ``escnn``, or ``e2cnn`` for cyclic and dihedral groups.
        group: a group made by a constructor of `shared.algebra.groups`.

    Shape:
        ``table`` is ``(n, n)``, ``regular`` is ``(n, n, n)``, each irrep ``(n, d, d)``.

    Raises:
        ValueError: if the library does not have the group.
        UserError: if the library cannot be loaded.
    """
    library = load(backend).group
    if backend == "e2cnn":
        theirs, elements = _e2cnn_elements(library, group)
        combine, irreps = theirs.combine, list(theirs.irreps.values())
    else:
        with contextlib.redirect_stdout(io.StringIO()):  # its cache announces itself
            theirs, elements = _escnn_elements(library, group)
            combine, irreps = (lambda a, b: a @ b), theirs.irreps()
    table = np.array([[elements.index(combine(a, b)) for b in elements] for a in elements])
    regular = np.stack([theirs.regular_representation(e) for e in elements])
    position = [theirs.elements.index(e) for e in elements]
    matrices = tuple(np.stack([np.asarray(irrep(e), dtype=float) for e in elements]) for irrep in irreps)
    return Reference(table, regular[:, position][:, :, position], matrices)


def _e2cnn_elements(library: Any, group: Group) -> tuple[Any, list]:
    family, arguments = group.family or ("", ())
    if family not in ("cyclic", "dihedral"):
        raise ValueError(f"e2cnn does not have {group.name}; it has cyclic and dihedral groups.")
    n = arguments[0]
    if family == "cyclic":
        return library.cyclic_group(n), list(range(n))
    return library.dihedral_group(n), [divmod(g, n) for g in range(2 * n)]


def _escnn_elements(library: Any, group: Group) -> tuple[Any, list]:
    family, arguments = group.family or ("", ())
    if family == "cyclic":
        theirs = library.cyclic_group(*arguments)
        return theirs, [theirs.element(g) for g in range(group.order)]
    if family == "dihedral":
        theirs = library.dihedral_group(*arguments)
        return theirs, [theirs.element(divmod(g, arguments[0])) for g in range(group.order)]
    if family == "octahedral":
        theirs = library.octa_group()
        by_matrix = {np.rint(e.to("MAT")).astype(int).tobytes(): e for e in theirs.elements}
        return theirs, [by_matrix[matrix.astype(int).tobytes()] for matrix in cube_rotations()]
    if family == "direct_product":
        (left, first), (right, second) = (_escnn_elements(library, factor) for factor in arguments)
        theirs = library.direct_product(left, right)
        return theirs, [theirs.pair_elements(a, b) for a in first for b in second]
    raise ValueError(
        f"{group.name} is not a group that escnn has; use one of the constructors in shared.algebra.groups."
    )

"""`assert_equivariant`: for the tests of anyone who builds an equivariant module."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from shared.algebra.groups import Group, cyclic, dihedral
from shared.atlas import atlas
from shared.base.errors import UserError, unknown
from shared.measure import Action, Errors, equivariance_error
from shared.measure.trials import Unsteady
from shared.nn import GroupBatchNorm, GroupConv
from shared.nn.copies import converted, copied

#: Largest relative error (largest abs(D) by largest output) by number type and library. Filters of escnn and
#: e2cnn are built in single precision whatever the type, so float64 does not make them more exact.
TOLERANCES: dict[tuple[torch.dtype, str], float] = {
    (torch.float64, "own"): 1e-10,
    (torch.float32, "own"): 1e-4,
    (torch.bfloat16, "own"): 1e-1,
    (torch.float16, "own"): 1e-2,
    (torch.float64, "escnn"): 1e-5,
    (torch.float32, "escnn"): 1e-4,
}
_NAMES: dict[str, Callable[[], Group]] = {"p4": lambda: cyclic(4), "p4m": lambda: dihedral(4)}


def tolerance_for(module: object, dtype: torch.dtype) -> float:
    """Tolerance for a module: that of escnn if it holds layers of escnn or e2cnn, else ours.

    Raises:
        UserError: if there is none for the number type.
    """
    parts = module.modules() if isinstance(module, nn.Module) else ()
    foreign = any(type(m).__module__.split(".")[0] in ("escnn", "e2cnn") for m in parts)
    key = (dtype, "escnn" if foreign else "own")
    if key not in TOLERANCES:
        raise UserError(f"there is no tolerance for {dtype}; give tolerance=...")
    return TOLERANCES[key]


def shake(module: nn.Module, generator: torch.Generator) -> None:
    """Perturb parameters and running statistics, so that a bias of zero or a fresh norm hides no fault."""
    with torch.no_grad():
        for parameter in module.parameters():
            scale = 0.3 * max(parameter.square().mean().sqrt().item(), 0.1)
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(scale * noise.to(parameter))
        for m in module.modules():
            if isinstance(getattr(m, "running_mean", None), Tensor):
                noise = torch.randn((2, *m.running_mean.shape), generator=generator).to(m.running_mean)
                m.running_mean.add_(0.3 * noise[0])
                m.running_var.mul_((0.3 * noise[1]).exp())


def assert_equivariant(
    module: Callable[[Tensor], Tensor],
    group: Group | str = "p4",
    *,
    size: int | tuple[int, int] | None = None,
    in_channels: int | None = None,
    x: Tensor | None = None,
    act_in: str | Action | None = None,
    act_out: str | Action | None = None,
    tolerance: float | None = None,
    dtype: torch.dtype = torch.float64,
    shaken: bool = True,
    trials: int = 3,
    seed: int = 0,
) -> Errors:
    """Assert ``f(g x) = g f(x)`` up to rounding for every element of a group; the module is not changed.

    Args:
        module: what to test; a module is copied to the CPU, put in eval mode and converted to ``dtype``.
        group: a group, or "p4" or "p4m".
        size: pixels of random inputs, one number or (height, width); exactness depends on it.
        in_channels: of random inputs; read from the first layer that says so if left out.
        x: an input to use instead of random ones.
        act_in, act_out: as in `shared.measure.equivariance_error`; told from the shapes if left out. An
            output of shape (batch, channels) is taken to be invariant; an input of it needs act_in.
        tolerance: largest abs(D) allowed, relative to the largest output; from `TOLERANCES` if left out.
        dtype: number type of the test.
        shaken: perturb the copy's weights and running statistics in each trial (`shake`).
        trials: how many random inputs and perturbations.
        seed: of both.

    Returns:
        the errors of the worst trial.

    Raises:
        AssertionError: with the errors by element, and the layer that breaks it if the size atlas knows; also
            if two calls differ, or random numbers are drawn.
        UserError: if neither size nor x is given, trials is below 1, the output does not depend on the input,
            or `equivariance_error` refuses: no element changes the input, or no copy can be made.
    """
    __tracebackhide__ = True
    group = _group(group)
    generator = torch.Generator().manual_seed(seed)
    limit = tolerance_for(module, dtype) if tolerance is None else tolerance
    if trials < 1:
        raise UserError(f"trials must be 1 or more, not {trials}")
    found, alive = [], False
    for _ in range(trials):
        tested = _prepare(module, dtype, generator if shaken else None)
        inputs = x if x is not None else _random_input(module, group, size, in_channels, generator)
        inputs = converted(inputs.cpu() if isinstance(module, nn.Module) else inputs, dtype)
        try:
            errors = equivariance_error(tested, inputs, group, act_in, act_out)
        except Unsteady as error:
            raise AssertionError(_failure(module, group, inputs, str(error))) from error
        if not errors.relative_max <= limit:  # also catches NaN
            said = f"relative error {errors.relative_max:.2e} under {errors.worst!r}, allowed {limit:.0e}"
            raise AssertionError(_failure(module, group, inputs, said, errors.table()))
        found.append(errors)
        alive = alive or _depends_on_input(tested, inputs)
    if not alive:
        raise UserError(
            "the output does not depend on the input, so nothing was tested; give another input or seed"
        )
    return max(found, key=lambda e: e.relative_max)


def _group(group: Group | str) -> Group:
    if isinstance(group, Group):
        return group
    if group not in _NAMES:
        raise UserError(unknown("group", group, _NAMES))
    return _NAMES[group]()


def _prepare(module: Callable, dtype: torch.dtype, generator: torch.Generator | None) -> Callable:
    """A copy in the type of the test; shaken in training mode, in which no layer keeps derived filters."""
    if not isinstance(module, nn.Module):
        return module
    clone = copied(module, dtype).to("cpu").train()
    if generator is not None:
        shake(clone, generator)
    return clone.eval()


def _random_input(
    module: Callable,
    group: Group,
    size: int | tuple[int, int] | None,
    in_channels: int | None,
    generator: torch.Generator,
) -> Tensor:
    if size is None:
        raise UserError(
            "give size=..., the side of the input: exactness depends on it; or give an input x=..."
        )
    sides = (size, size) if isinstance(size, int) else tuple(size)
    parts = list(module.modules()) if isinstance(module, nn.Module) else []
    first = next((m for m in parts if hasattr(m, "in_channels") or isinstance(m, GroupBatchNorm)), None)
    channels = in_channels or getattr(first, "in_channels", None) or getattr(first, "channels", None)
    if channels is None:
        raise UserError("cannot tell how many channels the module reads; give in_channels=...")
    orientations = (group.order,) if isinstance(first, GroupConv | GroupBatchNorm) else ()
    shape = (2, channels, *orientations, *sides)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _depends_on_input(tested: Callable, x: Tensor) -> bool:
    with torch.no_grad():
        y = tested(x).clone()  # a module may hand out one and the same tensor
        return bool((y != tested(x.flip(0) * 0.5 + 1)).any())


def _failure(module: Callable, group: Group, x: Tensor, said: str, table: str = "") -> str:
    name = type(module).__name__ if isinstance(module, nn.Module) else getattr(module, "__name__", "function")
    at, kind = "x".join(map(str, x.shape[-2:])), str(x.dtype).removeprefix("torch.")
    lines = [f"{name} is not equivariant to {group.name} at {at} ({kind}): {said}", *filter(None, [table])]
    try:
        found = atlas(module, tuple(x.shape[-2:]), group, group=group if x.ndim == 5 else None)
    except UserError as error:  # not a network of layers that the atlas knows, or a random one
        return "\n".join(lines if table else [*lines, f"size atlas: {error}"])
    if found.exact:
        lines.append(
            "the size atlas finds no fault in sizes, strides and padding: look at weights and orientations"
        )
    else:
        lines += [f"size atlas: {found.verdict}: {found.first_break.reason}"]
        lines.append(found.nearest_exact.sentence(found.size, False))
    return "\n".join(lines)

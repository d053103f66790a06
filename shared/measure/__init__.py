"""Equivariance and invariance error of any module, element by element.

For a group element g, ``D = f(g x) - g f(x)`` is the amount by which a module f fails. The readings of
Eq. 14 of "Using and Abusing Equivariance" (text, formula and released code disagree) are given beside the
scale-free errors; only the latter can be compared between networks or before and after training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shared.algebra.groups import Group
from shared.base.errors import UserError, unknown
from shared.measure.default_actions import ACTIONS, Action, act_orientations, act_trivial, find_action
from shared.measure.errors import ElementErrors, Errors, Sums, compare
from shared.measure.trials import Trials, check_repeats, evaluating
from shared.nn.copies import converted

__all__ = [
    "ACTIONS", "Action", "ElementErrors", "Errors", "act_orientations", "act_trivial", "compare",
    "equivariance_error", "errors_by_stage", "find_action", "invariance_error",
]  # fmt: skip


def _chosen(group: Group, elements: Iterable[int] | None) -> list[int]:
    chosen = [g for g in range(group.order) if g != group.identity] if elements is None else list(elements)
    if any(not 0 <= g < group.order for g in chosen):
        raise UserError(f"elements of {group.name} are 0 to {group.order - 1}, not {chosen}")
    if not chosen:
        raise UserError(
            f"{group.name} has no element to try here, so nothing would be tested; give another group, or "
            "elements"
        )
    return chosen


def equivariance_error(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    group: Group,
    act_in: str | Action | None = None,
    act_out: str | Action | None = None,
    *,
    dtype: torch.dtype | None = None,
    elements: Iterable[int] | None = None,
) -> Errors:
    """Measure ``f(g x) - g f(x)`` in eval mode and without gradients; the input is not changed.

    Nothing is reported that was not tested: what is refused, and why, stands below.

    Args:
        module: a module or function; afterwards it is in the mode in which it was. It is called twice on
            ``x``: a module that gives two answers cannot be measured.
        x: a batch of inputs; rectangular maps are fine (a quarter turn swaps their sides).
        group: whose elements are tried.
        act_in, act_out: how the group acts on inputs and outputs: "image", "features", "orientations",
            "trivial", a function (group, element, tensor) -> tensor, or None to tell from the shape (see
            `find_action`).
        dtype: measure a copy of the module in this type, such as `torch.float64`; complex numbers stay so.
        elements: which elements; all but the identity if left out.

    Raises:
        UserError: if there is no input, no element changes it, or one changes neither input nor output; if
            the output is not one tensor, or differs between two calls; if an action cannot be told, an
            element does not exist, the module cannot be copied into the type or read a turned rectangle.
    """
    x, chosen = _input(x, dtype), _chosen(group, elements)
    act, trials, errors = find_action(act_in, x, group, "in"), Trials(group, chosen), {}
    with evaluating(module, dtype) as f, torch.no_grad():
        y = _output(_first(f, x.clone(), dtype)).clone()  # a module may hand out one and the same tensor
        check_repeats(lambda: {"": _output(f(x.clone()))}, {"": y}, x)
        act_y = find_action(act_out, y, group, "out")
        for g in chosen:
            moved, expected = act(group, g, x), act_y(group, g, y)
            trials.moves(g, x, moved)
            trials.answers(g, y, expected)
            errors[group.element_names[g]] = compare(_output(_apply(f, x, moved)), expected)
    trials.check()
    return Errors(errors)


def _input(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    if not x.numel():
        raise UserError(
            f"an input of shape {tuple(x.shape)} holds nothing to measure with; give some samples"
        )
    return converted(x, dtype)


def _first(f: Callable[[Tensor], Any], x: Tensor, dtype: torch.dtype | None) -> Any:
    """The first call; if it fails in a type that was asked for, the reason is most often that type."""
    if dtype is None:
        return f(x)
    try:
        return f(x)
    except RuntimeError as error:
        raise UserError(
            f"the module cannot compute in {str(dtype).removeprefix('torch.')} "
            f"({str(error).splitlines()[0]}); convert it yourself and leave dtype out"
        ) from error


def _output(y: Any) -> Tensor:
    if not isinstance(y, Tensor) or y.layout != torch.strided or not y.numel():
        raise UserError("the module must return one dense tensor, with numbers in it, to be measured")
    return y


def _apply(f: Callable[[Tensor], Any], x: Tensor, moved: Tensor) -> Any:
    """Run the module on the moved input, which for a rectangle has another shape than ``x``."""
    if moved.untyped_storage().data_ptr() == x.untyped_storage().data_ptr():
        moved = moved.clone()  # the first layer may work in place
    if moved.shape == x.shape:
        return f(moved)
    try:
        return f(moved)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the module reads inputs of shape {tuple(x.shape)}, but not turned ones of {tuple(moved.shape)} "
            f"({str(error).splitlines()[0]}); use square inputs, or elements that keep the shape"
        ) from error


def invariance_error(
    module: Callable[[Tensor], Tensor],
    x: Tensor,
    group: Group,
    act_in: str | Action | None = None,
    *,
    dtype: torch.dtype | None = None,
    elements: Iterable[int] | None = None,
) -> Errors:
    """Measure ``f(g x) - f(x)``; arguments as in `equivariance_error`."""
    return equivariance_error(module, x, group, act_in, "trivial", dtype=dtype, elements=elements)


def errors_by_stage(
    module: nn.Module,
    x: Tensor,
    group: Group,
    stages: Sequence[str] | None = None,
    *,
    act_in: str | Action | None = None,
    dtype: torch.dtype | None = None,
    elements: Iterable[int] | None = None,
    batch_size: int | None = None,
) -> dict[str, Errors]:
    """Measure the outputs of submodules in one pass for each element.

    Args:
        module: the network.
        x: a batch of inputs.
        group: whose elements are tried.
        stages: names of submodules, as in ``module.get_submodule``; the direct children if left out.
        act_in, dtype, elements: as in `equivariance_error`; how the outputs move is told from their shapes.
        batch_size: inputs at once, all if left out; the outputs of two passes are kept in memory.

    Returns:
        for each stage its errors, in the order given. A stage that runs several times counts with its last.

    Raises:
        UserError: if a stage does not exist, does not run, or returns no tensor; and as `equivariance_error`.
    """
    x = _input(x, dtype)
    names = [name for name, _ in module.named_children()] if stages is None else list(stages)
    known = dict(module.named_modules())
    for name in names:
        if name not in known:
            raise UserError(unknown("stage", name, [n for n in known if n]))
    act, chosen = find_action(act_in, x, group, "in"), _chosen(group, elements)
    trials, sums = Trials(group, chosen), {name: {g: Sums() for g in chosen} for name in names}
    with evaluating(module, dtype) as net, torch.no_grad():
        for number, batch in enumerate(x.split(batch_size or max(1, len(x)))):
            before = _first(lambda inputs: _outputs(net, inputs, names), batch.clone(), dtype)
            if not number:
                again = lambda batch=batch: _outputs(net, batch.clone(), names)  # noqa: E731
                check_repeats(again, before, x)
            act_y = {name: find_action(None, before[name], group, "out") for name in names}
            for g in chosen:
                moved = act(group, g, batch)
                trials.moves(g, batch, moved)
                after = _apply(lambda turned: _outputs(net, turned, names), batch, moved)
                for name in names:
                    expected = act_y[name](group, g, before[name])
                    sums[name][g].add(after[name], expected)
                    trials.answers(g, before[name], expected)
    trials.check()
    return {
        name: Errors({group.element_names[g]: total.errors() for g, total in of.items()})
        for name, of in sums.items()
    }


def _outputs(module: nn.Module, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Outputs of the named submodules for one input, before a next layer changes them in place."""
    seen: dict[str, Any] = {}

    def keep(name: str) -> Callable[..., None]:
        def store(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen[name] = output.clone() if isinstance(output, Tensor) else output

        return store

    hooks = [module.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        module(x)
    finally:
        for hook in hooks:
            hook.remove()
    for name in names:
        if not isinstance(seen.get(name), Tensor):
            raise UserError(f"stage {name!r} did not run, or did not return one tensor; choose another stage")
    return seen

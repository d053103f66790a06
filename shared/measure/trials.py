"""What makes a measurement a test: a module that gives one answer, and an input that was moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from shared.algebra.groups import Group
from shared.base.errors import UserError
from shared.nn.copies import copied
from shared.nn.random_state import random_states
from shared.nn.train_mode import restored_modes

#: Two answers to one input may differ by so many units of rounding (sums in another order on a GPU).
_ROUNDINGS = 64


@contextlib.contextmanager
def evaluating(module: Any, dtype: torch.dtype | None) -> Iterator[Any]:
    """The module in eval mode (a copy, if the type changes); afterwards every mode is as it was.

    Raises:
        UserError: if the module cannot be copied.
    """
    if not isinstance(module, nn.Module):
        yield module
        return
    if dtype is not None:
        module = copied(module, dtype)
    with restored_modes(module):
        yield module.eval()


def near(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree to rounding; NaN agrees with NaN."""
    if a.shape != b.shape:
        return False
    if not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    scale = b.abs().nan_to_num(0.0, 0.0, 0.0).max().item() if b.numel() else 0.0
    limit = min(0.05, _ROUNDINGS * torch.finfo(a.dtype).eps) * scale
    return bool(torch.isclose(a, b.to(a), rtol=0.0, atol=limit, equal_nan=True).all())


class Unsteady(UserError):
    """The module gives two answers to one input, or draws random numbers for it."""


def check_repeats(call: Callable[[], Mapping[str, Tensor]], first: Mapping[str, Tensor], x: Tensor) -> None:
    """Refuse a module whose answers (by stage) to one input ``x`` differ, or that may have drawn them.

    Args:
        call: gives the answers once more.
        first: the answers of the first call.
        x: the input.

    Raises:
        Unsteady: if answers differ, or random numbers were drawn.
    """
    before = random_states(x.device)  # as the first call left them: one that sets them itself is no problem
    second = call()
    differ = [name for name, y in first.items() if not near(second[name], y)]
    if not differ and random_states(x.device) == before:
        return
    where = f" at stage {differ[0]!r}" if differ and differ[0] else ""
    found = (
        f"two calls with the same input give different outputs{where}" if differ else "a call draws numbers"
    )
    raise Unsteady(
        f"{found}: the module is random even in eval mode, as F.dropout without training=self.training is, "
        "or keeps state between calls; make it deterministic, then measure"
    )


class Trials:
    """Which elements were put to the test: they move the input, or the output of an input that they leave.

    Args:
        group: whose elements are tried.
        chosen: the elements.
    """

    def __init__(self, group: Group, chosen: Sequence[int]) -> None:
        self.group, self.chosen = group, list(chosen)
        self.moving: set[int] = set()
        self.tested = {group.identity}

    def moves(self, g: int, x: Tensor, moved: Tensor) -> bool:
        """Whether ``g`` has changed this input; noted."""
        changed = not near(moved, x)
        if changed:
            self.moving.add(g)
        return changed

    def answers(self, g: int, y: Tensor, expected: Tensor) -> None:
        """Note whether ``g`` changes the output of an input that it leaves as it is: then this was tested."""
        if g not in self.moving | self.tested and not near(expected, y):
            self.tested.add(g)

    def check(self) -> None:
        """Refuse to report what was not tested.

        Raises:
            UserError: if no element changed the input, or one changed neither input nor output.
        """
        if not self.moving:
            raise UserError(
                f"no element of {self.group.name} that was tried changes the input, so nothing was tested; "
                "give an input without this symmetry, or the action on inputs as act_in"
            )
        idle = [g for g in self.chosen if g not in self.moving | self.tested]
        if idle:
            names = ", ".join(self.group.element_names[g] for g in idle)
            raise UserError(
                f"{names} of {self.group.name} changes neither input nor output, so it was not tested; give "
                "a less symmetric input, or leave it out with elements"
            )

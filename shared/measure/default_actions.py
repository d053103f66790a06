"""How a group acts on what goes in and out of a module, by name or told from the shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from shared.algebra.actions import act_features, act_image
from shared.algebra.groups import Group
from shared.base.errors import UserError, unknown

Action = Callable[[Group, int, Tensor], Tensor]


def act_trivial(group: Group, g: int, x: Tensor) -> Tensor:
    """Leave the tensor as it is: the action on invariants."""
    return x


def act_orientations(group: Group, g: int, x: Tensor) -> Tensor:
    """Permute the group axis of features without pixels by left multiplication.

    Shape:
        ``x`` is ``(B, C, |G|)``, and so is the result.

    Raises:
        ValueError: if axis 2 does not have one entry for each group element.
    """
    if x.ndim != 3 or x.shape[2] != group.order:
        raise ValueError(f"orientations are (B, C, {group.order}), but the shape is {tuple(x.shape)}")
    return x.index_select(2, torch.tensor(group.table[group.inverse[g]], device=x.device))


ACTIONS: Mapping[str, Action] = {
    "image": act_image,
    "features": act_features,
    "orientations": act_orientations,
    "trivial": act_trivial,
}


def find_action(action: str | Action | None, x: Tensor, group: Group, what: str) -> Action:
    """Take an action as given, by name, or guess it from the shape.

    (B, C, H, W) are images, (B, C, |G|, H, W) features; outputs (B, C, |G|) are orientations, outputs (B, C)
    and (B,) invariants. How inputs of these last shapes move, nobody can tell: points, vectors, amounts?

    Args:
        action: name, function (which gets a copy, and may change it), or None to guess.
        x: the tensor that it acts on.
        group: the group.
        what: "in" or "out", for the message.

    Raises:
        UserError: if the name is not known or the shape says nothing.
    """
    if callable(action):
        return lambda group, g, tensor: _moved(action(group, g, tensor.clone()), what)
    if action is not None:
        if action not in ACTIONS:
            raise UserError(unknown("action", action, ACTIONS))
        return ACTIONS[action]
    regular = x.ndim in (3, 5) and x.shape[2] == group.order
    guess = {4: "image", 5: "features" if regular else None}
    if what == "out":
        guess |= {1: "trivial", 2: "trivial", 3: "orientations" if regular else None}
    name = guess.get(x.ndim)
    if name is None:
        raise UserError(
            f"cannot tell how {group.name} acts on the {what}put of shape {tuple(x.shape)}; give act_{what}: "
            f"one of {', '.join(ACTIONS)}, or a function (group, element, tensor) -> tensor"
        )
    return ACTIONS[name]


def _moved(result: object, what: str) -> Tensor:
    if not isinstance(result, Tensor):
        raise UserError(
            f"act_{what} returned {type(result).__name__}, not a tensor; it must return the moved tensor"
        )
    return result

"""Train several seeds as one network: their layers side by side as groups of one convolution.

Grouped convolutions in channels_last memory are the fastest way to train small networks of several
seeds (2 to 4 times on a CPU); vmap falls back to the same kernels plus copies.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn import GroupBatchNorm, GroupConv, LiftingConv, ReplicaLinear

_CONVOLUTIONS = (nn.Conv2d, LiftingConv, GroupConv)
_NORMS = (nn.BatchNorm2d, GroupBatchNorm)


def stackable(model: nn.Module) -> bool:
    """Whether every layer with parameters is one that `stack` knows."""
    return all(_known(module) for module in model.modules())


def _known(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not own or isinstance(module, (*_CONVOLUTIONS, *_NORMS, nn.Linear))


def stack(models: Sequence[nn.Module]) -> nn.Module:
    """One network that computes all ``models``, which must be of one architecture.

    Its forward takes their inputs side by side, (batch, replicas * channels, height, width), and gives
    their outputs side by side, (batch, replicas * outputs). The models themselves are not changed.

    Raises:
        UserError: if a layer has parameters and is of a kind that cannot be grouped.
    """
    both = copy.deepcopy(models[0])
    for name, module in list(models[0].named_modules()):
        if not _known(module):
            raise UserError(
                f"layer {name or 'itself'} of kind {type(module).__name__} cannot be trained side by side; "
                "set replicas: one_by_one"
            )
        parts = [model.get_submodule(name) for model in models]
        if isinstance(module, nn.Linear):
            if not name:
                return ReplicaLinear(parts)
            parent, _, leaf = name.rpartition(".")
            setattr(both.get_submodule(parent), leaf, ReplicaLinear(parts))
        elif isinstance(module, (*_CONVOLUTIONS, *_NORMS)):
            _widen(both.get_submodule(name), parts)
    return both


def _widen(target: nn.Module, parts: Sequence[nn.Module]) -> None:
    """Give ``target`` the channels and values of all ``parts``."""
    count = len(parts)
    counts = ("in_channels", "out_channels", "groups") if isinstance(target, _CONVOLUTIONS) else ("channels",)
    if isinstance(target, nn.BatchNorm2d):
        counts = ("num_features",)
    for attribute in counts:
        setattr(target, attribute, getattr(target, attribute) * count)
    for key, value in list(target.named_parameters(recurse=False)):
        joined = torch.cat([getattr(part, key).detach() for part in parts])
        setattr(target, key, nn.Parameter(joined, requires_grad=value.requires_grad))
    for key, value in list(target.named_buffers(recurse=False)):
        if value.dim() == 1 and not key.startswith("_"):  # statistics; filter indices serve every replica
            setattr(target, key, torch.cat([getattr(part, key) for part in parts]))


@torch.no_grad()
def unstack(both: nn.Module, models: Sequence[nn.Module]) -> None:
    """Copy the parameters and statistics of the joint network back into ``models``."""
    joint: dict[str, Tensor] = {**dict(both.named_parameters()), **dict(both.named_buffers())}
    for index, model in enumerate(models):
        for key, value in [*model.named_parameters(), *model.named_buffers()]:
            source = joint[key]
            if source.dim() == value.dim() + 1:  # ReplicaLinear keeps the replicas on an axis of their own
                value.copy_(source[index])
            elif source.shape == value.shape:
                value.copy_(source)
            else:
                value.copy_(source.chunk(len(models))[index])

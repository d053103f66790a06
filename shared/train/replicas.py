"""Train several seeds as one network: their layers side by side as groups of one convolution.

Grouped convolutions in channels_last memory are the fastest way to train small networks of several
seeds (2 to 4 times on a CPU); vmap falls back to the same kernels plus copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn import GroupBatchNorm, GroupConv, LiftingConv, ReplicaLinear
from shared.nn.copies import copied

_CONVOLUTIONS = (nn.Conv2d, LiftingConv, GroupConv)
_NORMS = (nn.BatchNorm2d, GroupBatchNorm)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def stackable(model: nn.Module) -> bool:
    """Whether `stack` can be tried: `obstacle` finds nothing.

    That each seed computes what it would alone is another question; see `shared.train.side_by_side`.
    """
    return obstacle(model) is None


def obstacle(model: nn.Module) -> str | None:
    """What keeps the layers of a network from being joined: an unknown kind, hooks, a forward of its own."""
    for name, module in model.named_modules():
        layer = f"layer {name or 'itself'} of kind {type(module).__name__}"
        if not _known(module):
            return f"{layer} cannot be trained side by side"
        if any(getattr(module, hooks) for hooks in _HOOKS):
            return f"{layer} has hooks, which would see all seeds at once"
        if "forward" in vars(module):
            return f"{layer} has a forward of its own, which belongs to one network"
    for name, parameter in model.named_parameters():
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            return f"the gradient of {name} has hooks, which would see all seeds at once"
    return None


def _known(module: nn.Module) -> bool:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not own or isinstance(module, (*_CONVOLUTIONS, *_NORMS, nn.Linear))


def stack(models: Sequence[nn.Module]) -> nn.Module:
    """One network that computes all ``models``, which must be of one architecture.

    Its forward takes their inputs side by side, (batch, replicas * channels, height, width), and gives
    their outputs side by side, (batch, replicas * outputs). The models themselves are not changed. Layers
    that share a weight go on sharing it, and what is frozen stays frozen.

    Raises:
        UserError: if a layer has parameters and is of a kind that cannot be grouped, or hooks.
    """
    if why := obstacle(models[0]):
        raise UserError(f"{why}; set replicas: one_by_one")
    both = copied(models[0])
    linears: dict[nn.Module, nn.Module] = {}
    for (name, module), target in zip(models[0].named_modules(), list(both.modules())):
        parts = [model.get_submodule(name) for model in models]
        if isinstance(module, nn.Linear):
            linears[target] = ReplicaLinear(parts)
        elif isinstance(module, (*_CONVOLUTIONS, *_NORMS)):
            _widen(target, parts)
    for parent in list(both.modules()):
        for name, child in parent._modules.items():
            parent._modules[name] = linears.get(child, child)
    _tie(both, models[0])
    return linears.get(both, both)


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


def _tie(both: nn.Module, model: nn.Module) -> None:
    """Let parameters of ``both`` be one wherever they are one in ``model``."""
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        shared = first.setdefault(id(parameter), name)
        if shared != name and both.get_parameter(shared).shape == both.get_parameter(name).shape:
            parent, _, leaf = name.rpartition(".")
            setattr(both.get_submodule(parent), leaf, both.get_parameter(shared))


def part(source: Tensor, value: Tensor, index: int, count: int) -> Tensor:
    """What of a joint tensor belongs to network ``index`` of ``count``, whose own is like ``value``."""
    if source.dim() == value.dim() + 1:  # ReplicaLinear keeps the replicas on an axis of their own
        return source[index]
    return source if source.shape == value.shape else source.chunk(count)[index]


def named_tensors(model: nn.Module) -> Iterable[tuple[str, Tensor]]:
    """Parameters and buffers by name, each once."""
    return [*model.named_parameters(), *model.named_buffers()]


@torch.no_grad()
def unstack(both: nn.Module, models: Sequence[nn.Module]) -> None:
    """Copy the parameters and statistics of the joint network back into ``models``."""
    joint = dict(named_tensors(both))
    for index, model in enumerate(models):
        for key, value in named_tensors(model):
            value.copy_(part(joint[key], value, index, len(models)))

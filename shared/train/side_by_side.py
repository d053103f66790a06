"""Whether the joint network of several seeds does for each of them what its own network does alone.

What is computed across channels without a layer that `stack` knows (a softmax, a concatenation, a norm in
the forward) may go across the seeds, and trains without a word. So it is tried, on a few training images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.nn import RightConvolutions
from shared.nn.copies import copied
from shared.nn.random_state import own_random, random_states
from shared.train.replicas import named_tensors, obstacle, part, stack
from shared.train.session import TrainingSet, seeded, streams

#: Images of each seed that are tried.
PROBE_IMAGES = 8
#: Relative to the largest entry of each tensor.
_TOLERANCES = {torch.float64: 1e-8, torch.float32: 3e-5}
#: Perturbations of the weights: as they are, and so that no zero of an initialization hides a layer.
_SPREADS = (0.0, 0.3, 0.3)
_LOST = "beside another seed's network it computes something else than alone"


def cross_entropies(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of each replica, (replicas,).

    Args:
        outputs: of the joint network, (batch, replicas * classes, ...).
        labels: (replicas, batch, ...), one for each entry of the last axes.
    """
    logits = outputs if outputs.dtype == torch.float64 else outputs.float()
    logits = logits.unflatten(1, (len(labels), -1)).transpose(0, 1)
    each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1), reduction="none")
    return each.view(len(labels), -1).mean(1)  # a replica's gradient is that of its own mean


def joined(images: Tensor) -> Tensor:
    """Images of the replicas, (replicas, batch, channels, ...), as the joint network reads them."""
    return images.transpose(0, 1).flatten(1, 2)


def difference(
    models: Sequence[nn.Module], data: TrainingSet, seeds: Sequence[int], device: str
) -> str | None:
    """Why the seeds cannot be trained side by side with the same result as alone; None if they can.

    Outputs, gradients and statistics of the joint network are compared with those of each network alone, in
    float64 where the layers allow it, with the weights as they are and perturbed. Models, data and random
    generators stay as they are.
    """
    if why := obstacle(models[0]):
        return why
    why = None
    for dtype, tolerance in _TOLERANCES.items():
        try:
            with own_random(0, device), RightConvolutions():
                images, labels = _images(data, seeds, device, dtype)
                for trial, spread in enumerate(_SPREADS):
                    copies = [_perturbed(model, dtype, spread, trial).to(device) for model in models]
                    _compare(copies, images, labels, seeds, device, tolerance)
            return None
        except _Differs as error:
            return str(error)
        except Exception as error:  # networks of others raise what they like; alone it may well run
            why = f"{_LOST} ({type(error).__name__}: {(str(error) or 'no message').splitlines()[0]})"
    return why


class _Differs(Exception):
    """What differs, in words."""


def _images(
    data: TrainingSet, seeds: Sequence[int], device: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The first training images of each seed with a little noise, which breaks ties; their labels."""
    rows = torch.stack([index[:PROBE_IMAGES] for index in data.train]).to(device)
    state = random_states(device)
    images = data.transform(data.images[rows], streams(seeds, device)[1])
    if random_states(device) != state:
        raise _Differs("the transform of the images draws from a random generator that all seeds share")
    for one, own, stream in zip(rows.split(1), images.split(1), streams(seeds, device)[1]):
        if not _near(data.transform(data.images[one], [stream]), own, 1e-5):
            raise _Differs("the transform of the images gives a seed something else beside another one")
    images = images.to(dtype)
    noise = torch.randn(images.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    finite = images[images.isfinite()]
    scale = finite.std() if finite.numel() > 1 else 1.0
    return images + 0.01 * scale * noise.to(device), data.labels[rows]


def _perturbed(model: nn.Module, dtype: torch.dtype, spread: float, trial: int) -> nn.Module:
    clone, generator = copied(model, dtype), torch.Generator().manual_seed(trial)
    with torch.no_grad():
        for parameter in clone.parameters():
            scale = spread * max(parameter.square().mean().sqrt().item(), 0.1) if spread else 0.0
            if scale and parameter.is_floating_point():
                noise = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
                parameter.add_(scale * noise.to(parameter))
    return clone


def _compare(
    copies: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    seeds: Sequence[int],
    device: str,
    tolerance: float,
) -> None:
    """Raise `_Differs` unless the joint network agrees with each of ``copies``."""
    joint = stack(copies)
    apart = []
    for index, (model, stream) in enumerate(zip(copies, streams(seeds, device)[2])):
        state, kept = random_states(device), _attributes(model)
        seeded(model, [stream])
        apart.append(_step(model, joined(images[index : index + 1]), labels[index : index + 1]))
        if random_states(device) != state:
            raise _Differs("the network draws from a random generator that all seeds share (nn.Dropout does)")
        if _attributes(model) != kept:
            raise _Differs("the network keeps what it computes in attributes, which belong to one seed")
    seeded(joint, streams(seeds, device)[2])
    both = _step(joint, joined(images), labels)
    tensors = dict(named_tensors(joint))
    for index, (model, outputs) in enumerate(zip(copies, apart)):
        if not _near(both.unflatten(1, (len(copies), -1))[:, index], outputs, tolerance):
            raise _Differs(_LOST)
        _compare_tensors(model, tensors, index, len(copies), tolerance)


def _step(network: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """Outputs in training mode; gradients are left in the parameters."""
    network.train()
    outputs = network(x)
    cross_entropies(outputs, labels).sum().backward()
    return outputs.detach().clone()


def _compare_tensors(
    model: nn.Module, joint: dict[str, Tensor], index: int, count: int, tolerance: float
) -> None:
    """Compare gradients, and parameters and buffers as the step has left them."""
    floor = max((_largest(p.grad) for p in model.parameters() if p.grad is not None), default=0.0)
    floor *= tolerance * 1e-3  # for a gradient that is zero but for rounding
    for name, value in named_tensors(model):
        own = part(joint[name], value, index, count)
        if not _near(own, value, tolerance):
            raise _Differs(f"{_LOST} (buffer {name})")
        grad = joint[name].grad
        if (grad is None) != (value.grad is None):
            raise _Differs(f"{name} is trained in some seeds' networks only, alone or beside others")
        if grad is not None and not _near(part(grad, value, index, count), value.grad, tolerance, floor):
            raise _Differs(f"{_LOST} (gradient of {name})")


def _near(a: Tensor, b: Tensor, tolerance: float, floor: float = 0.0) -> bool:
    if a.shape != b.shape:
        return False
    if not b.is_floating_point():
        return torch.equal(a, b)
    limit = tolerance * _largest(b) + floor
    return bool(torch.isclose(a.to(b), b, rtol=0.0, atol=limit, equal_nan=True).all())


def _largest(t: Tensor) -> float:
    """The largest absolute value of those that are finite."""
    return t.detach().abs().nan_to_num(0.0, 0.0, 0.0).max().item() if t.numel() else 0.0


def _attributes(model: nn.Module) -> list[Any]:
    """What layers keep beside parameters and buffers, as far as a look tells whether it changes."""
    found: list[Any] = []
    for module in model.modules():
        for key, value in vars(module).items():
            if key.startswith("_") or key == "training":
                continue
            if isinstance(value, Tensor):
                found.append((key, id(value), value._version))
            elif value is None or isinstance(value, bool | int | float | str):
                found.append((key, value))
            elif isinstance(value, list | dict | set):
                found.append((key, len(value)))
    return found

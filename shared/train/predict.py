"""Predictions and accuracy in plain float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn.train_mode import restored_modes
from shared.train.precision import precision


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Tensor,
    transform: Callable[[Tensor], Tensor] | None = None,
    *,
    batch_size: int = 512,
    channels_last: bool = False,
) -> Tensor:
    """Outputs of ``model`` in eval mode and float32, whatever it was trained in.

    Args:
        model: the network; its parts keep their modes.
        images: (count, channels, height, width), any dtype, on the model's device.
        transform: from a batch of images to the network's input.
        batch_size: images at once.
        channels_last: memory order of the input.

    Shape:
        out (count, outputs)
    """
    order = torch.channels_last if channels_last else torch.contiguous_format
    outputs = []
    with restored_modes(model), precision("float32", images.device):
        model.eval()
        for batch in images.split(batch_size):
            x = transform(batch) if transform is not None else batch
            outputs.append(model(x.contiguous(memory_format=order)).clone())  # it may be one and the same
    return torch.cat(outputs)


def guesses(outputs: Tensor) -> Tensor:
    """Class of each row of ``outputs`` (count, classes, ...), the one of its largest entry; (count, ...).

    Raises:
        UserError: if a row has no largest entry, because it holds a NaN or an infinite one.
    """
    lost = int((~outputs.amax(1).isfinite()).sum()) if outputs.is_floating_point() and outputs.numel() else 0
    if lost:
        count = outputs[:, 0].numel()
        raise UserError(
            f"{lost} of {count} outputs of the network are not finite, so they have no class; lower the "
            "learning rate or train in float32"
        )
    return outputs.argmax(1)


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Percentage of outputs (count, classes, ...) whose largest entry is at the labels (count, ...).

    Raises:
        UserError: if an output has no largest entry; see `guesses`.
        ValueError: if there are fewer than two classes, or another number of labels.
    """
    if outputs.dim() < 2 or outputs.shape[1] < 2 or labels.shape != outputs[:, 0].shape:
        raise ValueError(
            "accuracy needs outputs (count, classes, ...) of two classes or more and labels (count, ...), "
            f"not {tuple(outputs.shape)} and {tuple(labels.shape)}"
        )
    return 100 * (guesses(outputs) == labels).double().mean().item()

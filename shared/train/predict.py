"""Predictions and accuracy in plain float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

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
            outputs.append(model(x.contiguous(memory_format=order)))
    return torch.cat(outputs)


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Percentage of rows of ``outputs`` (count, classes) whose largest entry is at ``labels`` (count,)."""
    return 100 * (outputs.argmax(1) == labels).double().mean().item()

"""The statistics of batch norm, estimated anew after training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from shared.nn import GroupBatchNorm
from shared.nn.train_mode import restored_modes
from shared.train.precision import precision


@torch.no_grad()
def estimate_statistics(
    model: nn.Module,
    images: Tensor,
    transform: Callable[[Tensor], Tensor] | None = None,
    *,
    batch_size: int = 256,
    channels_last: bool = False,
) -> None:
    """Replace the running statistics of every batch norm by their mean over ``images``, without dropout.

    Dropout changes the variance of what the next norms see in training, and they keep that; when the
    network is used, without dropout, their statistics no longer fit (X. Li et al., "Understanding the
    Disharmony between Dropout and Batch Normalization by Variance Shift", CVPR 2019). This undoes it: the
    norms work as in training, all else as in use. Weights stay as they are, and so does the training mode.

    Args:
        model: changed in place.
        images: (count, channels, height, width), such as the training images, on the model's device.
        transform: from a batch of images to the network's input.
        batch_size: images at once; each batch counts the same.
        channels_last: memory order of the input.

    Raises:
        ValueError: if there are no images.
    """
    if not len(images):
        raise ValueError("batch norm's statistics need at least one image")
    norms = [module for module in model.modules() if _keeps_statistics(module)]
    momenta = [norm.momentum for norm in norms]
    order = torch.channels_last if channels_last else torch.contiguous_format
    try:
        with restored_modes(model), precision("float32", images.device):
            model.eval()
            for norm in norms:
                norm.train()
            for number, batch in enumerate(images.split(batch_size), 1):
                for norm in norms:
                    norm.momentum = 1 / number  # the mean of all batches so far
                x = transform(batch) if transform is not None else batch
                model(x.contiguous(memory_format=order))
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum


def _keeps_statistics(module: nn.Module) -> bool:
    return isinstance(module, (_BatchNorm, GroupBatchNorm)) and module.running_mean is not None

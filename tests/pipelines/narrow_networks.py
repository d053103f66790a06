"""Networks of the subsampling paper that are quick to run, and images for them."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.subsampling.settings import Settings


def narrow(model: str, **more: object) -> Settings:
    """A network of the paper's geometry that is quick to run; narrower digit networks die."""
    size = {"width": 4} if model.endswith("cnn") else {"width": 2, "blocks": 1}
    return Settings(model=model, **size, **more)


def images(settings: Settings, size: int, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(size)
    return torch.randn(count, settings.channels, size, size, generator=generator)

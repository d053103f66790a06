"""One training step of every network of every tier, in both memory orders: for `test_every_network`.

Prints the name of each before its step, so that whoever started it knows which one ended it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from all_papers import PAPERS
from torch import Tensor, nn

from pipelines.regular_latent import exploration_networks, smoke_models
from shared.data import catalogue
from shared.nn import RightConvolutions
from shared.runs import config, paper_modules

FORMATS = (torch.contiguous_format, torch.channels_last)
Build = Callable[[], nn.Module]


def networks() -> Iterator[tuple[str, Build, tuple[int, ...]]]:
    """(name, what builds it, shape of an image) of each network that some tier trains, once."""
    seen = set()
    for paper in PAPERS:
        models = paper_modules.module(paper, "models")
        for experiment in config.load(paper).experiments.values():
            for tier in experiment.tiers:
                for run in experiment.runs(tier):
                    found = _network(paper, models, run.settings)
                    if found is None:
                        continue
                    build, shape = found
                    with torch.device("meta"):  # shapes only
                        key = (str(build()), shape)
                    if key not in seen:
                        seen.add(key)
                        yield f"{run.spec} {shape}", build, shape


def _network(paper: str, models: object, settings: object) -> tuple[Build, tuple[int, ...]] | None:
    if paper == "lconv":
        if not settings.takes_precision():
            return None  # a study: nothing is trained on images
        channels, side, _ = shape = tuple(catalogue.find(settings.dataset).shape)
        return lambda: models.build(settings, 0, channels, side, 10), shape
    if paper == "soft_equivariance":
        return None  # convolutions without strides, as wide as the angles make them
    if paper == "regular_latent" and settings.kind == "exploration":
        shape = (3, 32, 32) if settings.group == "C4" else (1, 28, 28)
        return lambda: nn.Sequential(*exploration_networks.PARTS[settings.group](settings.latent)), shape
    if paper == "regular_latent":
        if settings.kind not in ("ddmnist", "smoke") or settings.model != "cnn":
            return None  # volumes have another memory order; steerable layers take long to build
        shape = (1, 56, 56) if settings.kind == "ddmnist" else (20, settings.size, settings.size)
        build = smoke_models.build if settings.kind == "smoke" else models.build
        return lambda: build(settings, 0), shape
    if settings.model in ("picture", "inventory", "layers"):
        return None  # pictures, verdicts of the atlas, single layers: nothing is trained
    channels = 1 if settings.model == "toy" else getattr(settings, "channels", 1)
    # networks of large images take any size; what counts is the remainder by all strides together
    side = settings.size if settings.size <= 64 else 32 + settings.size % 32
    return lambda: models.build(settings, 0), (channels, side, side)


def step(network: nn.Module, images: Tensor) -> None:
    """What training does: forward, guarded as in `shared.train`, and backward."""
    with RightConvolutions():
        outputs = network(images)
    outputs.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, build, shape in networks():
        for memory in FORMATS:
            print(name, memory, flush=True)
            network, images = build(), torch.randn(2, *shape)
            step(network, images.to(memory_format=memory))
    print("every network took a step")

"""A training step of P4CNN: ours, escnn, e2cnn, and the dense convolutions of equal width.

python -m benchmarks.p4cnn [--repetitions 15] [--batch 128] [--threads 2] [--out]
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from pipelines.subsampling import models
from pipelines.subsampling.settings import Settings
from shared import steerable
from shared.nn import Dropout, GroupBatchNorm, GroupConv, GroupPool, LiftingConv, SpatialMaxPool
from shared.train import precision

NOTE = (
    "One step is zero_grad, forward, backward and Adam (fused, for all). The networks are those of Table 1 "
    "(7 convolutions of 10 fields, 3 input channels, dropout 0.3); *dense* is the plain network with the 40 "
    "channels that the p4 filters expand to. escnn, e2cnn and *dense* use torch's dropout, as their users "
    "do; *dense, our dropout* separates that gain from the cost of the group. bf16 is autocast in "
    "channels_last memory."
)
OURS, DENSE, DENSE_OURS = "p4 (this package)", "dense", "dense, our dropout"
PEERS = ("escnn", "e2cnn")
#: Memory order and precision by name; "tf32" only on CUDA.
FORMATS = {
    "float32": (False, "float32"),
    "float32 channels_last": (True, "float32"),
    "tf32 channels_last": (True, "tf32"),
    "bf16": (True, "bf16"),
}


def _peer_layer(backend: str, layer: nn.Module) -> nn.Module:
    if isinstance(layer, (LiftingConv, GroupConv)):
        return steerable.regular_conv(
            backend,
            layer.group,
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size[0],
            layer.stride[0],
            layer.padding[0],
            first=isinstance(layer, LiftingConv),
        )
    if isinstance(layer, GroupBatchNorm):
        return steerable.regular_batchnorm(backend, layer.group, layer.channels)
    return nn.Dropout(layer.p) if isinstance(layer, Dropout) else layer


def _dense_layer(layer: nn.Module, own_dropout: bool) -> nn.Module:
    """The plain layer with all |G| orientations as channels of their own."""
    if isinstance(layer, (LiftingConv, GroupConv)):
        order = layer.group.order
        wide_in = layer.in_channels * (1 if isinstance(layer, LiftingConv) else order)
        return nn.Conv2d(wide_in, layer.out_channels * order, layer.kernel_size, layer.stride, layer.padding)
    if isinstance(layer, GroupBatchNorm):
        return nn.BatchNorm2d(layer.channels * layer.group.order)
    if isinstance(layer, SpatialMaxPool):
        return nn.MaxPool2d(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features * 4, layer.out_features)
    if isinstance(layer, GroupPool):
        return nn.Identity()
    return nn.Dropout(layer.p) if isinstance(layer, Dropout) and not own_dropout else layer


def networks(settings: Settings) -> tuple[dict[str, Callable[[], nn.Module]], list[str]]:
    """Functions that build the networks, and remarks on those that cannot be built here."""

    def swapped(change: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
        return lambda: nn.Sequential(*(change(layer) for layer in models.p4cnn(settings)))

    found: dict[str, Callable[[], nn.Module]] = {OURS: lambda: models.p4cnn(settings)}
    remarks = []
    for backend in PEERS:
        if steerable.available(backend):
            found[backend] = swapped(lambda layer, backend=backend: _peer_layer(backend, layer))
        else:
            remarks.append(f"{backend} is not installed here; install it with: {steerable.INSTALL[backend]}")
    found[DENSE] = swapped(lambda layer: _dense_layer(layer, False))
    found[DENSE_OURS] = swapped(lambda layer: _dense_layer(layer, True))
    return found, remarks


def _factory(
    build: Callable[[], nn.Module], memory: bool, number: str, batch: int, options: Options
) -> Callable[[float], Step]:
    """Return a function that makes the training step, for a part of the batch."""
    order = torch.channels_last if memory else torch.contiguous_format
    settings = _settings(options)

    def make(part: float) -> Step:
        torch.manual_seed(0)
        network = build().to(options.device).train()
        if all(p.dim() <= 4 for p in network.parameters()):  # group filters have a fifth axis
            network = network.to(memory_format=order)
        parameters = list(network.parameters())  # once: escnn compares basis objects at every walk
        optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
        shape = (max(2, round(batch * part)), settings.channels, settings.size, settings.size)
        x = torch.rand(shape, device=options.device).contiguous(memory_format=order)
        labels = torch.randint(models.CLASSES, shape[:1], device=options.device)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with precision(number, options.device):
                logits = network(x)
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()

        return step

    return make


def _settings(options: Options) -> Settings:
    return Settings(size=12, width=2) if options.tiny else Settings()


def _formats(options: Options) -> dict[str, tuple[bool, str]]:
    return {k: v for k, v in FORMATS.items() if v[1] != "tf32" or options.device.startswith("cuda")}


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """One case: the step at one batch size."""
    batch = options.batch or (4 if options.tiny else 128)
    found, remarks = networks(_settings(options))
    formats = _formats(options)
    variants = {
        f"{name}: {form}": _factory(build, *how, batch, options)
        for name, build in found.items()
        for form, how in formats.items()
    }

    def against(name: str, form: str | None = "float32") -> Callable[[str], str | None]:
        def reference(variant: str) -> str | None:
            other = f"{name}: {form or variant.rpartition(': ')[2]}"
            return other if other in variants else None

        return reference

    ratios = {
        "time / dense float32": against(DENSE),
        "time / escnn float32": against("escnn"),
        "time / dense, our dropout, same format": against(DENSE_OURS, None),
    }
    settings = _settings(options)
    title = f"P4CNN, batch {batch}, {settings.channels} x {settings.size} x {settings.size}"
    return [Case(title, batch, variants, ratios)], remarks


BENCHMARK = Benchmark("p4cnn", "Training step of P4CNN", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("p4cnn")

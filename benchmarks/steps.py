"""A training step of a p4 network, of the same by escnn and e2cnn, and of the dense one of equal width."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.cases import Case, Options
from benchmarks.timing import Step
from shared.nn import Dropout, GroupBatchNorm, GroupConv, GroupPool, LiftingConv, SpatialMaxPool, baselines
from shared.runs.api import refusal
from shared.train import precision

NOTE = (
    "One step is zero_grad, forward, backward and Adam (fused, for all). *dense* is the plain network with "
    "all the channels that the p4 filters expand to. escnn, e2cnn and *dense* use torch's dropout, as their "
    "users do; *dense, our dropout* separates that gain from the cost of the group. bf16 is autocast in "
    "channels_last memory."
)
OURS, DENSE, DENSE_OURS = "p4 (this package)", "dense", "dense, our dropout"
PEERS = ("escnn", "e2cnn")
#: Memory order and precision by name; timed is what the device computes in.
FORMATS = {
    "float32": (False, "float32"),
    "float32 channels_last": (True, "float32"),
    "tf32 channels_last": (True, "tf32"),
    "bf16": (True, "bf16"),
}


#: A layer to put in another's place, or None to leave it and look at its children.
Change = Callable[[nn.Module], nn.Module | None]


def swapped(network: nn.Module, change: Change) -> nn.Module:
    """The network with layers exchanged, in place."""
    for name, child in network.named_children():
        other = change(child)
        if other is None:
            swapped(child, change)
        elif other is not child:
            setattr(network, name, other)
    return network


def _peer_layer(backend: str, layer: nn.Module) -> nn.Module | None:
    if isinstance(layer, (LiftingConv, GroupConv)):
        return baselines.regular_conv(
            backend,
            layer.group,
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size[0],
            layer.stride[0],
            layer.padding[0],
            first=isinstance(layer, LiftingConv),
            bias=layer.bias is not None,
        )
    if isinstance(layer, GroupBatchNorm):
        return baselines.regular_batchnorm(backend, layer.group, layer.channels)
    return nn.Dropout(layer.p) if isinstance(layer, Dropout) else None


def _dense_layer(layer: nn.Module, own_dropout: bool) -> nn.Module | None:
    """The plain layer with all |G| orientations as channels of their own."""
    if isinstance(layer, (LiftingConv, GroupConv)):
        order = layer.group.order
        wide_in = layer.in_channels * (1 if isinstance(layer, LiftingConv) else order)
        shape = (layer.kernel_size, layer.stride, layer.padding)
        return nn.Conv2d(wide_in, layer.out_channels * order, *shape, bias=layer.bias is not None)
    if isinstance(layer, GroupBatchNorm):
        return nn.BatchNorm2d(layer.channels * layer.group.order)
    if isinstance(layer, SpatialMaxPool):
        return nn.MaxPool2d(layer.kernel_size, layer.stride)
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features * 4, layer.out_features)
    if isinstance(layer, GroupPool):
        return nn.Identity()
    return nn.Dropout(layer.p) if isinstance(layer, Dropout) and not own_dropout else None


def networks(
    build: Callable[[], nn.Module], with_dropout: bool = True
) -> tuple[dict[str, Callable[[], nn.Module]], list[str]]:
    """Functions that build the networks, and remarks on those that cannot be built here.

    Args:
        build: makes the p4 network.
        with_dropout: whether it has dropout, so that *dense, our dropout* differs from *dense*.
    """

    def other(change: Change) -> Callable[[], nn.Module]:
        return lambda: swapped(build(), change)

    found: dict[str, Callable[[], nn.Module]] = {OURS: build}
    remarks = []
    for backend in PEERS:
        if baselines.available(backend):
            found[backend] = other(lambda layer, backend=backend: _peer_layer(backend, layer))
        else:
            remarks.append(f"{backend} is not installed here; install it with: {baselines.INSTALL[backend]}")
    found[DENSE] = other(lambda layer: _dense_layer(layer, False))
    if with_dropout:
        found[DENSE_OURS] = other(lambda layer: _dense_layer(layer, True))
    return found, remarks


def _factory(
    build: Callable[[], nn.Module], memory: bool, number: str, images: tuple[int, ...], device: str
) -> Callable[[float], Step]:
    """Return a function that makes the training step, for a part of the batch."""
    order = torch.channels_last if memory else torch.contiguous_format

    def make(part: float) -> Step:
        torch.manual_seed(0)
        network = build().to(device).train()
        if all(p.dim() <= 4 for p in network.parameters()):  # group filters have a fifth axis
            network = network.to(memory_format=order)
        parameters = list(network.parameters())  # once: escnn compares basis objects at every walk
        optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
        shape = (max(2, round(images[0] * part)), *images[1:])
        x = torch.rand(shape, device=device).contiguous(memory_format=order)
        labels = torch.randint(10, shape[:1], device=device)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            with precision(number, device):
                logits = network(x)
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()

        return step

    return make


def case(
    title: str,
    build: Callable[[], nn.Module],
    images: tuple[int, int, int, int],
    options: Options,
    with_dropout: bool = True,
) -> tuple[Case, list[str]]:
    """All networks in all formats on one batch.

    Args:
        title: of the network.
        build: makes the p4 network, of ten outputs.
        images: shape of the batch.
        options: device, and what else the command line asks for.
        with_dropout: whether the network has dropout.
    """
    formats = {k: v for k, v in FORMATS.items() if not refusal(v[1], options.device)}
    found, remarks = networks(build, with_dropout)
    variants = {
        f"{name}: {form}": _factory(network, *how, images, options.device)
        for name, network in found.items()
        for form, how in formats.items()
    }

    def against(name: str, form: str | None = "float32") -> Callable[[str], str | None]:
        def reference(variant: str) -> str | None:
            other = f"{name}: {form or variant.rpartition(': ')[2]}"
            return other if other in variants else None

        return reference

    ratios = {"time / dense float32": against(DENSE), "time / escnn float32": against("escnn")}
    last = DENSE_OURS if with_dropout else DENSE
    ratios[f"time / {last}, same format"] = against(last, None)
    count, channels, height, width = images
    title = f"{title}, batch {count}, {channels} x {height} x {width}"
    return Case(title, count, variants, ratios), remarks

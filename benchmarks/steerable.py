"""The steerable systems of `regular_latent`: training steps against the CNN's and straightforward ones.

python -m benchmarks.steerable [--repetitions 5] [--batch 32] [--threads 1] [--out]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from pipelines.regular_latent import models, smoke_models, steerable
from pipelines.regular_latent.settings import Settings
from shared.nn import baselines
from shared.nn.baselines_partial import PartialConv
from shared.nn.baselines_steerable import PathwayConv, irreps_to, space
from shared.nn.fields import BlurPool, ExpandedConv, FieldBatchNorm, FieldGate

NOTE = (
    "One step is zero_grad, forward, backward and Adam (fused), on random images of 56 x 56; 66 filters. "
    "*SCNN of escnn's modules* is the same network from its R2Conv, IIDBatchNorm2d, GatedNonLinearity1 and "
    "PointwiseAvgPoolAntialiased. *RPP, two convolutions* convolves with the steerable and with the ordinary "
    "filters. *PSCNN, basis anew* mixes each element of the basis by the likelihood at each step, then "
    "multiplies by the weights. Roll-outs: six forward passes and one backward, of the networks for SMOKE."
)
CNN, RELEASED, TWO, ANEW = "CNN", "SCNN of escnn's modules", "RPP, two convolutions", "PSCNN, basis anew"
#: What each variant is measured against, as the originals do it.
STRAIGHT = {"SCNN": RELEASED, "RPP": TWO, "PSCNN": ANEW}
ONCE, EACH = "filters once a step", "filters in each forward pass"


class _Wrapped(nn.Module):
    """A module of escnn as one on tensors."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(baselines.load("escnn").nn.GeometricTensor(x, self.module.in_type)).tensor


def _of_escnn(settings: Settings) -> nn.Module:
    """SCNN of escnn's modules; gates and irreps are fields there, each with a batch-norm scale."""
    library = baselines.load("escnn")
    kinds = library.nn
    plane = space(settings.group)
    irreps = list(irreps_to(settings.group, steerable.BANDS[settings.group][0]))
    gates = [plane.trivial_repr] * len(irreps)
    network = models.build(settings, 0)
    fields, layers = kinds.FieldType(plane, [plane.trivial_repr]), []
    widths = iter([*network.widths[:5], settings.filters])
    for layer in network.body:
        if isinstance(layer, ExpandedConv):
            count = next(widths)
            last = layer.kernel_size == 1
            target = count * [plane.trivial_repr] if last else count * gates + count * irreps
            target = kinds.FieldType(plane, target)
            options = {"stride": layer.stride, "padding": layer.padding, "bias": not last}
            layers.append(_Wrapped(kinds.R2Conv(fields, target, layer.kernel_size, **options)))
            fields = target
        elif isinstance(layer, FieldBatchNorm):
            layers.append(_Wrapped(kinds.IIDBatchNorm2d(fields)))
        elif isinstance(layer, FieldGate):
            layers.append(_Wrapped(kinds.GatedNonLinearity1(fields)))
            fields = layers[-1].module.out_type
        elif isinstance(layer, BlurPool):
            pool = kinds.PointwiseAvgPoolAntialiased(fields, steerable.BLUR, layer.stride, layer.padding)
            layers.append(_Wrapped(pool))
        else:
            layers.append(layer)
    network.body = nn.Sequential(*layers)
    return network


class _Apart(nn.Module):
    """A residual pathway as two convolutions."""

    def __init__(self, layer: PathwayConv) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        options = {"stride": layer.stride, "padding": layer.padding}
        filters, bias = super(PathwayConv, layer).expand()
        return F.conv2d(x, filters, bias, **options) + F.conv2d(
            x, layer.free_weight, layer.free_bias, **options
        )


class _Anew(nn.Module):
    """A partial convolution that makes every element of its basis at each step."""

    def __init__(self, layer: PartialConv) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        layer, weight = self.layer, self.layer.weight
        one = torch.eye(weight.shape[-1], device=x.device)[:, None]
        layer._parameters["weight"] = one
        basis = layer.pair_filters()[:, 0]
        layer._parameters["weight"] = weight
        filters = (weight @ basis.flatten(1)).unflatten(-1, basis.shape[1:]).transpose(1, 2)
        filters = filters.reshape(layer.out_channels, layer.in_channels, *2 * (layer.kernel_size,))
        bias = None if layer.bias is None else (layer.bias @ layer.invariant.T).flatten()
        return F.conv2d(x, filters, bias, stride=layer.stride, padding=layer.padding)


def _straightforward(name: str, settings: Settings) -> nn.Module:
    if name == RELEASED:
        return _of_escnn(settings)
    network = models.build(settings, 0)
    wrap = _Apart if name == TWO else _Anew
    for place, layer in enumerate(network.body):
        if isinstance(layer, ExpandedConv):
            network.body[place] = wrap(layer)
    return network


def _step(network: nn.Module, images: Tensor, device: str) -> Step:
    network, images = network.to(device).train(), images.to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    labels = torch.arange(len(images), device=device) % 100

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step


def _systems(group: str, channels: int, batch: int, device: str) -> Case:
    def make(name: str, part: float) -> Step:
        model = name.partition(" ")[0].strip(",").lower()
        settings = Settings(model=model, group=group, channels=channels)
        straight = name in STRAIGHT.values()
        network = _straightforward(name, settings) if straight else models.build(settings, 0)
        return _step(network, torch.randn(max(2, round(batch * part)), 1, 56, 56), device)

    names = [CNN, "SCNN", RELEASED, "Restriction", "RPP", TWO, "PSCNN", ANEW]
    ratios: dict[str, Callable[[str], str | None]] = {
        "time / CNN": lambda name: CNN,
        "time / straightforward": lambda name: STRAIGHT.get(name),
    }
    variants = {name: partial(make, name) for name in names}
    return Case(f"{group} on DDMNIST, {channels} channels, batch {batch}", batch, variants, ratios)


def _roll_out(model: str, channels: int, side: int, batch: int, device: str) -> Case:
    def make(name: str, part: float) -> Step:
        settings = Settings(kind="smoke", dataset="", shifted=0.0, model=model, channels=channels, size=side)
        network = smoke_models.build(settings, 0).to(device).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        fields = torch.randn(max(2, round(batch * part)), 20, side, side, device=device)
        layers = [layer for layer in network.modules() if isinstance(layer, ExpandedConv)]

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            x, loss = fields, 0
            for _ in range(6):
                if name == EACH:
                    for layer in layers:
                        layer.forget()
                out = network(x)
                x, loss = torch.cat([x[:, 2:], out], 1), loss + out.square().mean()
            loss.backward()
            optimizer.step()

        return step

    title = f"{model} on SMOKE, six passes, {channels} channels, {side} x {side}, batch {batch}"
    variants = {name: partial(make, name) for name in (EACH, ONCE)}
    return Case(title, batch, variants, {f"time / {EACH}": lambda name: EACH})


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """The systems for each group, and roll-outs; none where escnn is missing."""
    missing = [name for name in ("escnn", "e2cnn") if not baselines.available(name)]
    if missing:
        return [], [f"{name} is not installed: {baselines.INSTALL[name]}" for name in missing]
    tiny, device = options.tiny, options.device
    channels, batch = (1, 2) if tiny else (6, options.batch or 32)
    width, side, flows = (2, 8, 2) if tiny else (32, 32, 16)
    groups = ("D1",) if tiny else ("D1", "C4", "D4")
    return [
        *(_systems(group, channels, batch, device) for group in groups),
        *(_roll_out(model, width, side, flows, device) for model in ("rpp", "pscnn")),
    ], []


BENCHMARK = Benchmark("steerable", "Steerable systems", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("steerable")

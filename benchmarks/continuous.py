"""Convolutions with continuous kernels on SE(2) and T(2): layers and whole networks, forward and backward.

python -m benchmarks.continuous [--repetitions 15] [--batch 64] [--threads 1] [--out]
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.cases import Benchmark, Case, Options
from benchmarks.timing import Step
from pipelines.soft_equivariance import models
from pipelines.soft_equivariance.settings import Settings
from shared.nn import ContinuousGroupConv, FixedAngles, KernelSettings
from shared.nn.correlation import Way

NOTE = (
    "Layers: forward and backward with the gradients of input and parameters, float32, a disk of 29 taps of "
    "7 x 7. *dense* is one convolution whose filters lie ready, with as many channels as there are fields "
    "times angles, and its gradients. *kernel generation* is the kernel network and its gradients alone. In "
    "brackets: the way to correlate (`shared.nn.correlation`). Networks: a training step with Adam (fused) "
    "of the CKResNet; *straightforward* makes kernels at all 49 taps and convolves densely, as released."
)
DENSE, OURS, SOFT = "dense", "ours (chosen way)", "ours, soft SO(2)"
GENERATION, STRAIGHT = "kernel generation", "straightforward"


def _gradients(call: Callable[[], Tensor], leaves: list[Tensor]) -> Step:
    grad = torch.randn_like(call())
    return lambda: torch.autograd.grad(call(), leaves, grad)


def _layer(shape: tuple[int, int, int, int], device: str, way: Way | None, omega: float | None) -> Step:
    """A step of the layer; ``shape`` is angles, channels, batch and side of the map."""
    angles, channels, batch, side = shape
    torch.manual_seed(0)
    settings = KernelSettings(form="released", omega_angle=omega, rotation="integer")
    layer = ContinuousGroupConv(channels, channels, None, settings, border="zeros").to(device)
    layer.way = way
    grid = FixedAngles(angles)()
    # pixels first in memory, as the layer before it leaves them
    x = torch.randn(side, side, batch, angles, channels, device=device).permute(2, 4, 3, 0, 1)
    if way == "direct":
        x = x.contiguous()
    x.requires_grad_()
    leaves = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return _gradients(lambda: layer(x, grid)[0], leaves)


def _generation(angles: int, channels: int, device: str) -> Step:
    torch.manual_seed(0)
    layer = ContinuousGroupConv(channels, channels, None, KernelSettings(form="released")).to(device)
    grid = FixedAngles(angles)()
    leaves = [p for p in layer.parameters() if p.requires_grad]
    return _gradients(lambda: layer.kernel(grid, grid), leaves)


def _dense(wide: int, batch: int, side: int, device: str) -> Step:
    torch.manual_seed(0)
    x = torch.randn(batch, wide, side, side, device=device, requires_grad=True)
    weight = torch.randn(wide, wide, 7, 7, device=device, requires_grad=True)
    return _gradients(lambda: F.conv2d(x, weight, padding=3), [x, weight])


def _layers(angles: int, channels: int, batch: int, side: int, device: str) -> Case:
    def size(part: float) -> int:
        return max(2, round(batch * part))

    def ours(way: Way | None, omega: float | None = None) -> Callable[[float], Step]:
        return lambda part: _layer((angles, channels, size(part), side), device, way, omega)

    variants: dict[str, Callable[[float], Step]] = {
        DENSE: lambda part: _dense(channels * angles, size(part), side, device),
        OURS: ours(None),
        SOFT: ours(None, 1.0),
        "ours (spectral)": ours("spectral"),
        "ours (direct)": ours("direct"),
        GENERATION: lambda part: _generation(angles, channels, device),
    }
    title = f"SE(2) layer, {angles} angles, {channels} -> {channels} channels, {side} x {side}, batch {batch}"
    return Case(title, batch, variants, {"time / dense": lambda v: DENSE, "time / ours": lambda v: OURS})


def _step(network: nn.Module, batch: int, side: int, device: str) -> Step:
    network = network.to(device).train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-3, fused=True)
    x = torch.rand(batch, 3, side, side, device=device)
    labels = torch.randint(10, (batch,), device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()

    return step


def _networks(
    title: str, arms: dict[str, Settings], reference: str, batch: int, side: int, device: str
) -> Case:
    def make(name: str, settings: Settings) -> Callable[[float], Step]:
        def build(part: float) -> Step:
            network = models.build(settings, 0, 3, side, 10)
            for layer in network.modules():
                if isinstance(layer, ContinuousGroupConv) and STRAIGHT in name:
                    layer.way = "direct"
            return _step(network, max(2, round(batch * part)), side, device)

        return build

    variants = {name: make(name, settings) for name, settings in arms.items()}
    return Case(f"{title}, batch {batch}", batch, variants, {f"time / {reference}": lambda v: reference})


def cases(options: Options) -> tuple[list[Case], list[str]]:
    """Layers with 8 and 16 angles, a whole network with 8, and soft T(2) against T(2)."""
    device, tiny = options.device, options.tiny
    channels, side, small = (2, 8, 3) if tiny else (32, 32, 7)
    batch = options.batch or (2 if tiny else 64)
    narrow = Settings(channels=(2, 3) if tiny else (16, 32), pools=(0,) if tiny else (0, 1), kernel=small)
    straight = {"support": "square"}
    eight = {
        STRAIGHT: Settings(**{**vars(narrow), "angles": 8, **straight}),
        "ours": Settings(**{**vars(narrow), "angles": 8}),
        "ours, soft SO(2)": Settings(**{**vars(narrow), "angles": 8, "model": "soft", "omega_rotation": 1.0}),
    }
    plane = {**vars(narrow), "support": "square"}
    soft = {"model": "soft", "soft_in": "translation", "omega_translation": 5.0}
    flat = {
        "T(2)": Settings(**plane),
        f"T(2), {STRAIGHT}": Settings(**plane),
        "soft T(2)": Settings(**{**plane, **soft}),
    }
    network_side = 8 if tiny else 32
    return [
        _layers(2 if tiny else 8, channels, batch, side, device),
        _layers(4 if tiny else 16, channels, max(2, batch // 4), side, device),
        _networks("CKResNet, 8 angles, half width", eight, STRAIGHT, batch, network_side, device),
        _networks("CKResNet on T(2), half width", flat, "T(2)", batch, network_side, device),
    ], []


BENCHMARK = Benchmark("continuous", "Continuous kernels", NOTE, cases)

if __name__ == "__main__":
    from benchmarks.runner import start

    start("continuous")

"""CKResNet: a lifting layer, two residual blocks and a last group convolution with continuous kernels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.soft_equivariance.settings import Settings
from shared.base.errors import UserError
from shared.nn.angles import AngleGrid, FixedAngles, PartialAngles, RandomAngles, seed_angles
from shared.nn.continuous import ContinuousGroupConv, ContinuousLifting, ContinuousPointwise
from shared.nn.field_norm import FieldBatchNorm, in_pixels_order, instance_norm_relu
from shared.nn.kernel_networks import KernelNetwork, KernelSettings

#: Names of the layers whose kernels may see absolute coordinates, from input to output.
LAYERS = ("lift", "block1_a", "block1_b", "block2_a", "block2_b", "last")
#: The center of a grid of 7 taps in float32 (torch.linspace), as in the authors' branch, not 0. A kernel
#: is exactly 0 there at the start; then ReLU after the lift hands no gradient on, and a network that lifts
#: by its center tap never learns. This rounding error is what lets theirs learn.
CENTER = -(2.0**-25)
#: Added to a seed for the angles that a network draws before a training or a test gives it a generator.
ANGLES_SEED = 3_000_003


def build(settings: Settings, seed: int, channels: int, side: int, classes: int) -> CKResNet:
    """The network of ``settings`` with the weights of ``seed``; the global random state is left alone.

    Networks of one seed that differ in what is relaxed have the same weights, but for those of absolute
    coordinates, as far as they have the same layers.

    Shape:
        in  (batch, channels, side, side)
        out (batch, classes)

    Raises:
        UserError: if a map of the network is smaller than the support of its kernels.
    """
    smallest = side // 2 ** len(settings.pools)
    if smallest < settings.kernel:
        raise UserError(
            f"after the pools, maps of {side} pixels have {smallest}, fewer than the {settings.kernel} of a "
            "kernel; take larger images, fewer pools or a smaller kernel"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = CKResNet(settings, channels, classes)
        except ValueError as error:
            raise UserError(f"the {settings.model} network: {error}") from None
    seed_angles(network, seed + ANGLES_SEED)
    return network


def kernel_settings(settings: Settings) -> KernelSettings:
    """What all kernel networks of a network have in common."""
    return KernelSettings(
        form=settings.kernel_net,
        hidden=settings.hidden,
        # random Fourier features have other units, and the same phases at their own default
        omega=None if settings.kernel_net == "rff" else settings.omega,
        omega_relative=settings.omega_relative or None,
        omega_angle=settings.omega_rotation if settings.soft_rotation else None,
        omega_position=settings.omega_translation if settings.soft_translation else None,
        learned=settings.learn_omega,
        tied=settings.tied,
        rotation=settings.rot_freq,
        relative_follows=settings.relative_follows and settings.model == "soft",
        domain=settings.domain,
        fan_in=settings.fan_in,
        freeze=settings.absolute_weights == "frozen",
    )


class CKResNet(nn.Module):
    """The network of the released partial G-CNN (fact sheet, section 3.1), for all models of the paper.

    Lift, batch norm, ReLU; two blocks of two group convolutions, each with instance norm and ReLU, then the
    shortcut is added, batch norm, ReLU; a group convolution without padding, batch norm, ReLU; the maximum
    over angles and pixels; a linear layer. Pools come before the ReLU of the layer they belong to.

    A strict network is invariant to turns by 2 pi / n, exactly to quarter turns if 4 divides n and the sides
    stay even up to the pools; a soft one to turns by 2 pi / `Settings.order`; a partial one to none.

    Attributes:
        layers: the six layers of `LAYERS`, by name.
        shortcuts: by name, block1 and block2, where they have parameters.
    """

    def __init__(self, settings: Settings, channels: int, classes: int) -> None:
        super().__init__()
        first, second = settings.channels
        kernel = kernel_settings(settings)
        taps = "disk" if settings.support == "disk" else "all"
        shared: dict[str, Any] = {"settings": kernel, "kernel_size": settings.kernel}
        lift_taps = "center" if settings.lift_taps == "center" else taps
        lift = ContinuousLifting(
            channels, first, _lift_angles(settings), taps=lift_taps, border="zeros", **shared
        )

        if lift_taps == "center":
            _start(lift.network)

        def group(inputs: int, outputs: int, padding: str = "same") -> ContinuousGroupConv:
            more = {"taps": taps, "border": settings.border, "padding": padding}
            return ContinuousGroupConv(inputs, outputs, _group_angles(settings), **more, **shared)

        made = [lift, group(first, first), group(first, first), group(first, second)]
        made += [group(second, second), group(second, second, "valid")]
        self.layers = nn.ModuleDict(dict(zip(LAYERS, made)))
        widths = [layer.out_channels for layer in made]
        self.biases = nn.ParameterDict()
        if settings.bias:
            self.biases.update(
                {name: nn.Parameter(torch.zeros(width)) for name, width in zip(LAYERS, widths)}
            )
        self.shortcuts = nn.ModuleDict()
        learned = settings.shortcut == "learned"
        for name, inputs, outputs in (("block1", first, first), ("block2", first, second)):
            if learned or inputs != outputs:
                self.shortcuts[name] = ContinuousPointwise(
                    inputs, outputs, kernel, hidden=settings.shortcut_hidden
                )
        self.norms = nn.ModuleDict(
            {
                name: FieldBatchNorm(width)
                for name, width in (("lift", first), ("block1", first), ("block2", second), ("last", second))
            }
        )
        self.classifier = nn.Linear(second, classes)
        self.pools = settings.pools

    def forward(self, x: Tensor) -> Tensor:
        x, grid = self.layers["lift"](x)
        x = self._end("lift", self._biased("lift", x), 0)
        for number in (1, 2):
            x, grid = self._block(number, x, grid)
        x, _ = self.layers["last"](x, grid)
        x = self._end("last", self._biased("last", x))
        return self.classifier(x.amax((2, 3, 4)))

    def _block(self, number: int, x: Tensor, grid: AngleGrid) -> tuple[Tensor, AngleGrid]:
        y, made = x, grid
        for letter in "ab":
            name = f"block{number}_{letter}"
            y, made = self.layers[name](y, made)
            y = instance_norm_relu(self._biased(name, y))
        name = f"block{number}"
        if name in self.shortcuts:
            x = self.shortcuts[name](x, grid, made)
        return self._end(name, y + x, number), made

    def _biased(self, name: str, x: Tensor) -> Tensor:
        return x + self.biases[name][:, None, None, None] if name in self.biases else x

    def _end(self, name: str, x: Tensor, number: int | None = None) -> Tensor:
        """Batch norm, the pool of this number if there is one, ReLU."""
        x = self.norms[name](x)
        if number in self.pools:
            x = F.max_pool2d(x.flatten(1, 2), 2).unflatten(1, x.shape[1:3])
        return F.relu(in_pixels_order(x))

    def seed(self, generators: list[torch.Generator]) -> None:
        """Draw all random angles from this generator; raises ValueError if there is not exactly one."""
        for module in self.modules():
            if isinstance(module, RandomAngles):
                module.seed(generators)

    def penalty(self) -> Tensor:
        """Sum over layers of the squares of omega' (the regularizer of a learned one, without lambda)."""
        return torch.stack([layer.penalty() for layer in self.layers.values()]).sum()

    def keep_norms(self) -> None:
        """From now on, each forward pass leaves its kernels' norms for `kernel_norm`."""
        for layer in self._convolutions():
            layer.keep_norm = True

    def kernel_norm(self) -> Tensor:
        """Sum of the (un-squared) norms of all kernels of the last forward pass, and of the biases."""
        norms = [layer.kernel_norm for layer in self._convolutions() if layer.kernel_norm is not None]
        norms += [torch.linalg.vector_norm(bias) for bias in self.biases.values()]
        return torch.stack(norms).sum()

    def _convolutions(self) -> Iterator[Any]:
        yield from self.layers.values()
        yield from self.shortcuts.values()

    def omegas(self) -> dict[str, float]:
        """omega' of each layer: of the absolute angle, else of the position (mean of axes); may be empty."""
        found = {}
        for name, layer in self.layers.items():
            network: KernelNetwork = layer.network
            for omega in (network.omega_position, network.omega_angle):
                if omega is not None:
                    found[name] = float(omega.detach().mean())
        return found

    def intervals(self) -> dict[str, float]:
        """Learned part of the circle of each group convolution of a partial network; may be empty."""
        grids = {name: layer.angles for name, layer in self.layers.items()}
        return {name: float(g.interval.detach()) for name, g in grids.items() if isinstance(g, PartialAngles)}


@torch.no_grad()
def _start(network: KernelNetwork) -> None:
    """Give the last layer the biases that make the kernel at 0 what it would be at `CENTER`."""
    more = {"angle": torch.zeros(1)} if "angle" in network.extra else {}
    more |= {"position": torch.zeros(1, 2)} if "position" in network.extra else {}
    network.last_bias.add_(network(offset=torch.full((1, 2), CENTER), **more)[0])


def _lift_angles(settings: Settings) -> nn.Module:
    fixed = settings.grid == "fixed"
    return FixedAngles(settings.angles) if fixed else RandomAngles(settings.angles)


def _group_angles(settings: Settings) -> nn.Module | None:
    """The angles that a group convolution draws; None to keep its input's."""
    if settings.model == "partial":
        return PartialAngles(settings.angles, reparametrized=settings.interval_gradient == "full")
    return RandomAngles(settings.angles) if settings.grid == "per_layer" else None


def count_parameters(module: nn.Module) -> int:
    """Parameters of a module, trained or frozen."""
    return sum(parameter.numel() for parameter in module.parameters())

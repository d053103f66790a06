"""Claims E1 to E5 without training, in float64: what holds to rounding, and which turns are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipelines.soft_equivariance import models
from pipelines.soft_equivariance.settings import Settings
from pipelines.soft_equivariance.training import shift_error
from shared.algebra.groups import dihedral
from shared.nn.angles import FixedAngles, one_draw, seed_angles
from shared.nn.continuous import ContinuousGroupConv, ContinuousLifting
from shared.nn.kernel_networks import KernelNetwork, KernelSettings
from shared.runs.api import Context, Row

#: Angles and whole frequencies whose networks are turned (fact sheet, section 2.3).
ANGLES, FREQUENCIES = (4, 8, 16), (0, 1, 2, 3, 4, 6, 8, 12, 16)
#: Frequencies at which kernels of neighboring pixels are compared, on so many pixels.
CORRELATED, PIXELS = (0, 1, 3, 10, 30, 100), 32
#: Images, and their side for the networks and for single layers.
IMAGES, SIDE, LAYER_SIDE = 2, 28, 20
#: Colors of an image, and fields of a single layer.
COLORS, FIELDS = 3, 4
_QUARTERS = (1, 2, 3)


def run(settings: Settings, seeds: Sequence[int], context: Context) -> dict[int, list[Row]]:
    """Rows of each seed; described in `pipelines.soft_equivariance.experiment.run`.

    Networks have the settings' widths; biases of kernels are drawn, since with zero biases a kernel is odd.
    """
    return {
        seed: [
            *_special_cases(settings, seed),
            *_same_kernels(),
            *_circle(seed),
            *_subgroups(seed),
            *_neighbors(seed),
            *_kept(settings, seed),
        ]
        for seed in seeds
    }


def draw_biases(module: nn.Module, seed: int) -> nn.Module:
    """Draw the biases of the sine layers of all kernel networks in a module from U(-1, 1), and return it.

    Those of the last layer stay 0: a constant would hide how kernels differ.
    """
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, KernelNetwork):
            for name, parameter in part.named_parameters():
                if name in ("first_bias", "hidden_bias"):
                    parameter.data.uniform_(-1, 1, generator=generator)
    return module


def _network(settings: Settings, seed: int, **changes: object) -> models.CKResNet:
    """A network in eval mode whose kernels are of order 1 at the start, with drawn biases."""
    base = {"kernel_net": "released", "pools": (0, 1), "size": SIDE, "grid": "per_layer"}
    made = replace(settings, study="", shortcut="learned", **{**base, **changes})
    network = draw_biases(models.build(made, seed, COLORS, SIDE, 10), seed)
    return network.double().eval()


def _images(seed: int, side: int, channels: int = COLORS) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    return torch.randn(IMAGES, channels, side, side, dtype=torch.float64, generator=generator)


@torch.no_grad()
def _turned(network: models.CKResNet, x: Tensor, seed: int) -> dict[int, float]:
    """By degrees, the relative change of the logits under quarter turns, with one draw of angles."""
    seed_angles(network, seed)
    with one_draw(network):
        logits = network(x)
        return {90 * k: _relative(network(x.rot90(k, (-2, -1))), logits) for k in _QUARTERS}


def _relative(found: Tensor, expected: Tensor) -> float:
    return float(torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected))


# E1


@torch.no_grad()
def _special_cases(settings: Settings, seed: int) -> list[Row]:
    x = _images(seed, SIDE)
    soft = {"model": "soft", "soft_in": "rotation", "angles": 8, "rot_freq": "free"}
    kept = _network(settings, seed, **soft, relative_follows=False)
    strict = _network(settings, seed, model="strict", angles=8, rot_freq="free")
    rows = [Row("strict_residual", degrees, change) for degrees, change in _turned(kept, x, seed).items()]
    for network in (kept, strict):
        seed_angles(network, seed)
    rows.append(Row("control_residual", "", _relative(kept(x), strict(x))))
    residuals = {"translation": _translation(seed), "pooling": _pooling(seed), "impulse": _impulse(seed)}
    return rows + [Row(f"{name}_residual", "", value) for name, value in residuals.items()]


def _layer(seed: int, kind: type, angles: int = 1, taps: str = "disk", **settings: object) -> nn.Module:
    """A single layer of released kernels with drawn biases; those of one seed share what they have."""
    inputs = COLORS if kind is ContinuousLifting else FIELDS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kernel = KernelSettings(form="released", **settings)  # type: ignore[arg-type]
        layer = kind(inputs, FIELDS, FixedAngles(angles), kernel, taps=taps, border="zeros")
    return draw_biases(layer, seed).double().eval()


def _translation(seed: int) -> float:
    """Remark 2: relaxed in T(2) at omega' = 0, a lift is the ordinary convolution with its kernel."""
    x = _images(seed, LAYER_SIDE)
    soft = _layer(seed, ContinuousLifting, omega_position=0.0)
    strict = _layer(seed, ContinuousLifting)
    grid = FixedAngles(1)()
    values = strict.kernel(grid, grid)[0, :, :, 0]
    weight = values.new_zeros(FIELDS, COLORS, strict.kernel_size, strict.kernel_size)
    rows, columns = (strict._offsets + strict.radius).T
    weight[:, :, rows, columns] = values
    return _relative(soft(x)[0][:, :, 0], F.conv2d(x, weight, padding=strict.radius))


def _pooling(seed: int) -> float:
    """Remark 3: with omega = omega' = 0 a group convolution is a sum over angles and the disk."""
    angles = FixedAngles(4)()
    x = _images(seed, LAYER_SIDE, FIELDS * 4).unflatten(1, (FIELDS, 4))
    layer = _layer(
        seed, ContinuousGroupConv, 4, omega=0.0, omega_angle=0.0, relative_follows=True, rotation="free"
    )
    disk = x.new_zeros(layer.kernel_size, layer.kernel_size)
    rows, columns = (layer._offsets + layer.radius).T
    disk[rows, columns] = 1
    summed = F.conv2d(
        x.sum(2), disk.expand(FIELDS, 1, -1, -1).contiguous(), padding=layer.radius, groups=FIELDS
    )
    matrix = layer.kernel(angles, angles)[0, :, :, 0, 0]
    expected = torch.einsum("oi,bihw->bohw", matrix, summed)[:, :, None].expand(-1, -1, 4, -1, -1)
    return _relative(layer(x, angles)[0], expected)


def _impulse(seed: int) -> float:
    """Remark 1: a kernel of one tap is a product, pixel by pixel, with a matrix that depends on the pixel."""
    x = _images(seed, LAYER_SIDE)
    layer = _layer(seed, ContinuousLifting, taps="center", omega_position=3.0)
    grid = FixedAngles(1)()
    size = (LAYER_SIDE, LAYER_SIDE)
    matrices = layer.kernel(grid, grid, size)[:, 0, :, :, 0, 0].unflatten(0, size)
    return _relative(layer(x)[0][:, :, 0], torch.einsum("hwoi,bihw->bohw", matrices, x))


# E2


def _same_kernels() -> list[Row]:
    """App. B.1 on the symmetries of a square: (u, v) to (v^-1 u, u) or (v^-1 u, v) loses nothing.

    v^-1 u alone does: ``relative_pairs`` pairs share it.
    """
    group = dihedral(4)
    table, inverse = group.table, group.inverse
    lost = 0
    seen = np.zeros(group.order, dtype=int)
    for u, v in product(range(group.order), repeat=2):
        relative = table[inverse[v], u]
        seen[relative] += 1
        lost += (u, table[u, inverse[relative]]) != (u, v)  # from (v^-1 u, u)
        lost += (table[v, relative], v) != (u, v)  # from (v^-1 u, v)
    return [Row("coordinates_residual", "", float(lost)), Row("relative_pairs", "", float(seen.max()))]


# E3


def _circle(seed: int) -> list[Row]:
    names = {"circle_jump": "integer", "circle_jump_authors": "authors", "circle_jump_real": "free"}
    return [Row(name, "", _jump(seed, rotation)) for name, rotation in names.items()]


@torch.no_grad()
def _jump(seed: int, rotation: str) -> float:
    """Jump of a soft kernel where the relative or absolute angle comes round, by its standard deviation."""
    layer = _layer(
        seed,
        ContinuousGroupConv,
        rotation=rotation,
        omega_angle=1.0,
        relative_follows=rotation == "authors",
    )
    angle = 2 * torch.pi * torch.arange(360, dtype=torch.float64) / 360
    seam = torch.tensor([1e-9, 2 * torch.pi - 1e-9, torch.pi - 1e-9, torch.pi + 1e-9], dtype=torch.float64)
    zero = torch.zeros(1, 2, dtype=torch.float64)
    jumps = []
    for moving in ("relative", "angle"):

        def values(at: Tensor, moving: str = moving) -> Tensor:
            inputs = {"relative": torch.zeros_like(at), "angle": torch.zeros_like(at), moving: at}
            return layer.network(offset=zero.expand(len(at), 2), **inputs)

        first, last, before, after = values(seam)
        jump = torch.maximum((first - last).abs().max(), (before - after).abs().max())
        jumps.append(float(jump / values(angle).std(0).mean()))
    return max(jumps)


# E4


@torch.no_grad()
def _subgroups(seed: int) -> list[Row]:
    """What shifts and quarter turns change of a lift that is relaxed in one subgroup (omega' = 1)."""
    x = _images(seed, LAYER_SIDE)
    rows = []
    for name, frequency in (("rotation", "omega_angle"), ("translation", "omega_position")):
        layer = _layer(seed, ContinuousLifting, 4, **{frequency: 1.0})
        rows.append(Row(f"{name}_shift_error", "", shift_error(layer, x)))
        upright, turned = layer(x)[0], layer(x.rot90(1, (-2, -1)))[0]
        expected = upright.roll(-1, 2).rot90(1, (-2, -1))
        rows.append(Row(f"{name}_turn_error", "", _relative(turned, expected)))
    return rows


# E5


@torch.no_grad()
def _neighbors(seed: int) -> list[Row]:
    """Correlation of the kernels of two pixels side by side, by omega', on a row of `PIXELS`."""
    rows, grid = [], FixedAngles(1)()
    for omega in CORRELATED:
        layer = _layer(seed, ContinuousLifting, omega_position=float(omega))
        kernels = layer.kernel(grid, grid, (1, PIXELS)).flatten(1)
        kernels = kernels - kernels.mean(1, keepdim=True)
        kernels = kernels / torch.linalg.vector_norm(kernels, dim=1, keepdim=True)
        rows.append(Row("neighbor_correlation", omega, float((kernels[1:] * kernels[:-1]).sum(1).mean())))
    return rows


# the claim of ours


def _kept(settings: Settings, seed: int) -> list[Row]:
    """What quarter turns change of networks with n angles and frozen whole frequencies m."""
    x, rows = _images(seed, SIDE), []
    for angles, omega in product(ANGLES, FREQUENCIES):
        changes = {"model": "soft", "soft_in": "rotation", "angles": angles, "omega_rotation": float(omega)}
        network = _network(settings, seed, **changes, rot_freq="integer", relative_follows=False)
        found = _turned(network, x, seed)
        rows += [Row(f"kept_{angles}_{omega}", degrees, change) for degrees, change in found.items()]
    return rows

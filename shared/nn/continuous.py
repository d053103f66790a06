"""Convolutions on the plane and on SE(2) whose kernels are functions of continuous coordinates.

Features on SE(2) are (batch, channels, angles, height, width), with a grid of angles beside them
(`shared.nn.angles`). Each layer samples its kernel network at the angles and taps that it needs and applies
one dense convolution; sums are plain, without normalization (Romero and Lohit, release 1.0.0; van der
Ouderaa, Romero, van der Wilk 2022, Eq. 1 and 2). Rows run down: a positive angle turns clockwise. For
``x' = rot90(x, k)`` and n angles, ``out'[j] = rot90(out[(j + k n / 4) mod n], k)``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.nn.angles import AngleGrid, FixedAngles
from shared.nn.correlation import Way, choose, gathered, padded, pixels_first, pixels_last
from shared.nn.derived import DerivedBuffers
from shared.nn.half_turn import half_turn
from shared.nn.kernel_networks import KernelNetwork, KernelSettings
from shared.nn.positionwise import positionwise, tap_rows
from shared.nn.spectral import spectral

Taps = Literal["disk", "all", "center"]
#: Bound of the integer weights of the relative angle in pointwise layers, and in the others.
POINTWISE_HARMONICS, HARMONICS = 3, 1


#: By way; the other one is torch's convolution.
CORRELATIONS = {"gathered": gathered, "spectral": spectral, "half_turn": half_turn}


def kept_rotations(count: int, frequency: int = 0) -> int:
    """Order of the rotations that an SE(2) layer keeps exactly, apart from the pixel grid: gcd(m, n).

    Args:
        count: n, angles on the full circle.
        frequency: m, the integer omega' of the absolute angle with frozen integer weights; 0: strict.
    """
    return math.gcd(count, frequency)


def check_rotations(order: int, count: int, frequency: int = 0) -> None:
    """Check that n angles and frequency m leave a layer equivariant to turns by 2 pi / order.

    Raises:
        ValueError: if they do not, or if such turns are no symmetry of the pixel grid (1, 2 and 4 are).
    """
    if order not in (1, 2, 4):
        raise ValueError(
            f"turns by 360 / {order} degrees do not map the pixels onto themselves: ask for 1, 2 or 4"
        )
    kept = kept_rotations(count, frequency)
    if kept % order:
        raise ValueError(
            f"{count} angles with frequency {frequency} keep C{kept} only, not C{order}: choose a number of "
            f"angles (and a frequency) that {order} divides"
        )


def tap_offsets(kernel_size: int, taps: Taps = "disk") -> Tensor:
    """Taps of a square kernel as (row, column) from its center, int64, row by row.

    The disk has radius (kernel_size - 1) / 2, its border included: 29 of 49 taps. It is found on integers,
    not on rotated or scaled coordinates.

    Shape:
        -> (T, 2)

    Raises:
        ValueError: if the size is not a positive odd number, or the choice is unknown.
    """
    if (
        isinstance(kernel_size, bool)
        or not isinstance(kernel_size, int)
        or kernel_size < 1
        or kernel_size % 2 == 0
    ):
        raise ValueError(f"kernel_size must be a positive odd number, not {kernel_size!r}")
    if taps not in ("disk", "all", "center"):
        raise ValueError(f"taps must be disk, all or center, not {taps!r}")
    radius = kernel_size // 2
    side = torch.arange(-radius, radius + 1)
    grid = torch.cartesian_prod(side, side)
    most = {"disk": radius**2, "all": 2 * radius**2, "center": 0}[taps]
    return grid[grid.square().sum(1) <= most]


def pixel_positions(height: int, width: int) -> Tensor:
    """(row, column) of each pixel of a map, both from -1 to 1 (a single row or column: -1), row by row.

    Shape:
        -> (height width, 2), float64
    """
    axes = [torch.linspace(-1, 1, size, dtype=torch.float64) for size in (height, width)]
    return torch.cartesian_prod(*axes)


class _ContinuousConv(DerivedBuffers):
    """What lifting and group convolution share: taps, border, and how kernels become convolutions."""

    _offsets: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        angles: nn.Module | None,
        settings: KernelSettings,
        taps: Taps,
        padding: Literal["same", "valid"],
        border: Literal["zeros", "replicate"],
        relative: bool,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels) < 1:
            raise ValueError(f"channels must be 1 or more, not {in_channels} and {out_channels}")
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be same or valid, not {padding!r}")
        if border not in ("zeros", "replicate"):
            raise ValueError(f"border must be zeros or replicate, not {border!r}")
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel_size
        self.padding, self.border, self.taps = padding, border, taps
        self.radius = kernel_size // 2
        self.derive("_offsets", lambda: tap_offsets(kernel_size, taps))
        self.angles = angles
        self.network = KernelNetwork(
            in_channels * out_channels, settings, relative=relative, largest=HARMONICS
        )
        #: Way to correlate (`shared.nn.correlation`); None for the cheapest.
        self.way: Way | None = None
        #: Set to True to find the norm of each kernel in `kernel_norm` after the forward pass.
        self.keep_norm = False
        self.kernel_norm: Tensor | None = None

    def penalty(self) -> Tensor:
        """Sum of the squares of this layer's omega' (of each independent one once); a scalar."""
        return self.network.penalty()

    def _features(self, given: AngleGrid, made: AngleGrid, size: tuple[int, int]) -> Tensor:
        """Last activations of the kernel network, ([positions,] n_out, n_in, T, hidden).

        There is an axis of positions only where the kernel depends on them. ``size`` is of the output map.
        """
        network, device = self.network, self._offsets.device
        theta_in, theta_out = given.angles.to(device), made.angles.to(device)
        of_input = network.settings.domain == "input"
        taps = self._offsets.double() / max(self.radius, 1)
        cosine, sine = torch.cos(theta_out)[:, None], torch.sin(theta_out)[:, None]
        rows = cosine * taps[:, 0] - sine * taps[:, 1]
        columns = sine * taps[:, 0] + cosine * taps[:, 1]
        inputs = {"offset": torch.stack([rows, columns], -1)[:, None]}  # turned back by the output's angle
        if "relative" in network.columns:
            inputs["relative"] = (theta_in[None] - theta_out[:, None])[:, :, None]
            inputs["angle"] = theta_in[None, :, None] if of_input else theta_out[:, None, None]
        else:
            inputs["angle"] = theta_out[:, None, None]
        if "position" in network.extra:
            inputs["position"] = self._positions(size, of_input)[:, None, None]
        return network.features(**inputs)

    def _positions(self, size: tuple[int, int], of_input: bool) -> Tensor:
        """Domain positions for each output pixel (and tap), (positions, 1 or T, 2)."""
        if not of_input:
            return pixel_positions(*size).to(self._offsets.device)[:, None]
        grow = 0 if self.padding == "same" else 2 * self.radius
        device = self._offsets.device
        steps = torch.tensor(
            [2 / max(side + grow - 1, 1) for side in size], dtype=torch.float64, device=device
        )
        axes = [torch.arange(side, device=device) for side in size]
        first = torch.cartesian_prod(*axes) + (self.radius if grow else 0)
        return (first[:, None] + self._offsets) * steps - 1

    def kernel(self, given: AngleGrid, made: AngleGrid, size: tuple[int, int] = (1, 1)) -> Tensor:
        """Kernel values at the taps.

        Args:
            given: angles of the input (for a lifting layer any grid of one angle).
            made: angles of the output.
            size: height and width of the output map; it matters for domain positions only.

        Shape:
            -> ([height width,] n_out, C_out, C_in, n_in, T)
        """
        a = self._features(given, made, size)
        values = a @ self.network.last_weight.T + self.network.last_bias
        values = values.unflatten(-1, (self.out_channels, self.in_channels))
        return values.movedim((-2, -1), (-4, -3))

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the output map.

        Raises:
            ValueError: if the kernel does not fit into the map.
        """
        if self.padding == "same":
            return height, width
        if min(height, width) < self.kernel_size:
            raise ValueError(
                f"a map of {height} x {width} pixels is smaller than the kernel of {self.kernel_size}: "
                "use a larger map, or padding='same'"
            )
        return height - 2 * self.radius, width - 2 * self.radius

    def _convolve(self, x: Tensor, given: AngleGrid, made: AngleGrid) -> Tensor:
        """Features of (batch, C_in, n_in, height, width) to (batch, C_out, n_out, height', width')."""
        size = self.output_size(*x.shape[-2:])
        a = self._features(given, made, size)
        if a.dim() == 5:
            return self._position_by_position(x, a, size)
        if self.taps == "center":  # a kernel of one pixel
            if self.padding == "valid":
                x = x[..., self.radius : self.radius + size[0], self.radius : self.radius + size[1]]
            return self._stationary(x, a, given, made, 0)
        return self._stationary(x, a, given, made, self.radius)

    def keeps_half_turns(self, given: AngleGrid, made: AngleGrid) -> bool:
        """Whether the kernel commutes with half turns for all weights: on full grids, if no angle counts.

        Frozen integers of even frequency do not count, as half a turn leaves their phase.
        """
        network = self.network
        settings, omega = network.settings, network.omega_angle
        free = settings.rotation != "integer" or settings.learned
        if "relative" not in network.columns or "position" in network.extra:
            return False
        if omega is not None and (free or float(omega) % 2):
            return False
        return given.full and made.full and len(given) == len(made) and len(given) % 2 == 0

    def _stationary(self, x: Tensor, a: Tensor, given: AngleGrid, made: AngleGrid, radius: int) -> Tensor:
        """One kernel for all positions, in the cheapest way."""
        way = self.way
        if way is None:
            n_out, n_in, taps, _ = a.shape
            channels = (n_in * self.in_channels, n_out * self.out_channels)
            size = (x.shape[3], x.shape[4])
            symmetric = radius > 0 and self.keeps_half_turns(given, made)
            way = choose(len(x), *channels, size, radius, taps, self.padding, self.border, symmetric)
            if x.device.type != "cpu" or torch.is_autocast_enabled(x.device.type):
                way = "direct"
        if way == "direct":
            return self._dense(x, a, radius)
        kernel = self._tap_major(a)
        self._measure(kernel)
        kernel = kernel.flatten(3).flatten(1, 2)
        y = CORRELATIONS[way](pixels_first(x), kernel, self._offsets, radius, self.padding, self.border)
        return pixels_last(y, a.shape[0])

    def _tap_major(self, a: Tensor) -> Tensor:
        """Kernel values of last activations, ([positions,] T, n_in, C_in, n_out, C_out)."""
        last, bias = self.network.last_weight, self.network.last_bias
        last = last.view(self.out_channels, self.in_channels, -1).transpose(0, 1).flatten(0, 1)
        bias = bias.view(self.out_channels, self.in_channels).T.flatten()
        a = a.transpose(-2, -4)  # T, n_in, n_out
        values = torch.addmm(bias, a.reshape(-1, a.shape[-1]), last.T)
        values = values.view(*a.shape[:-1], self.in_channels, self.out_channels)
        return values.transpose(-2, -3)

    def _dense(self, x: Tensor, a: Tensor, radius: int) -> Tensor:
        """One convolution with the kernel written into a square."""
        side = 2 * radius + 1
        n_out, n_in, _, hidden = a.shape
        # last activations and a 1 for the bias, 0 outside the taps: so the product is 0 there
        a = torch.cat([a, torch.ones_like(a[..., :1])], -1)
        places = (self._offsets[:, 0] + radius) * side + self._offsets[:, 1] + radius
        a = a.new_zeros(n_out, n_in, side * side, hidden + 1).index_copy(2, places, a)
        last = torch.cat([self.network.last_weight, self.network.last_bias[:, None]], 1)
        values = (last @ a.flatten(0, 2).T).view(self.out_channels, self.in_channels, n_out, n_in, side, side)
        self._measure(values)
        weight = values.transpose(1, 2).reshape(
            self.out_channels * n_out, self.in_channels * n_in, side, side
        )
        x = x.flatten(1, 2)
        if self.padding == "same" and self.border == "replicate" and radius:
            x = F.pad(x, (radius,) * 4, mode="replicate")
        pad = radius if self.padding == "same" and self.border == "zeros" else 0
        return F.conv2d(x, weight, padding=pad).unflatten(1, (self.out_channels, n_out))

    def _position_by_position(self, x: Tensor, a: Tensor, size: tuple[int, int]) -> Tensor:
        """A kernel for each output pixel."""
        x = pixels_first(x)
        if self.padding == "same":
            x = padded(x, self.radius, self.border)
        rows = tap_rows(self._offsets + self.radius)
        parts = a.split([last - first for _, first, last in rows], 3)
        kernels = [self._tap_major(part) for part in parts]
        if self.keep_norm:
            norms = torch.stack([torch.linalg.vector_norm(kernel) for kernel in kernels])
            self.kernel_norm = torch.linalg.vector_norm(norms) / math.sqrt(size[0] * size[1])
        kernels = [kernel.flatten(4).flatten(1, 3) for kernel in kernels]
        return pixels_last(positionwise(x, kernels, rows, size), a.shape[1])

    def _measure(self, values: Tensor) -> None:
        if self.keep_norm:
            self.kernel_norm = torch.linalg.vector_norm(values)

    def _check(self, x: Tensor, angles: int) -> None:
        if x.dim() != 5 or x.shape[1:3] != (self.in_channels, angles):
            raise ValueError(
                f"{type(self).__name__} expects (batch, {self.in_channels}, {angles}, height, width), "
                f"not {tuple(x.shape)}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, taps={self.taps}, "
            f"padding={self.padding}, border={self.border}"
        )


class ContinuousLifting(_ContinuousConv):
    """Correlation of an image with one kernel, sampled at rotated taps, for each angle.

    ``out[b, o, j, x] = sum_i sum_r K[o, i](R(-theta_j) r) in[b, i, x + r]``

    Equivariant to translations (up to the border) and to turns by 2 pi / n; on the pixel grid exactly to
    those that are quarter turns, so C_gcd(n, 4), for grids that divide the whole circle. With ``omega_angle``
    (soft in SO(2)) only if omega' = 0; with frozen integers exactly to turns by 2 pi / gcd(m, n), m = omega'
    (`kept_rotations`). With ``omega_position`` (soft in T(2)) only if omega' = 0, and rotations go with the
    translations. Taps ``center`` see no neighborhood: a 1 x 1 layer, equal in all angles.

    Args:
        in_channels: channels of the image.
        out_channels: fields out.
        angles: module that gives the grid of angles, such as `FixedAngles` or `RandomAngles`.
        settings: of the kernel network, see `KernelSettings`.
        kernel_size: taps per side, odd.
        taps: ``disk`` (29 of 7 x 7), ``all`` or ``center`` (the slip of the authors' strict networks).
        padding: ``same`` or ``valid``.
        border: what stands around a ``same`` map: ``zeros`` or ``replicate``.

    Shape:
        in (batch, in_channels, height, width)
        out (batch, out_channels, n, height', width'), and the grid of n angles

    Raises:
        ValueError: for sizes that are even or not positive, unknown names, a wrong shape, or (``valid``) a
            map smaller than the kernel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        angles: nn.Module,
        settings: KernelSettings = KernelSettings(),  # noqa: B008
        *,
        kernel_size: int = 7,
        taps: Taps = "disk",
        padding: Literal["same", "valid"] = "same",
        border: Literal["zeros", "replicate"] = "zeros",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, angles, settings, taps, padding, border, False
        )
        self._plane = FixedAngles(1)

    def forward(self, x: Tensor) -> tuple[Tensor, AngleGrid]:
        if x.dim() != 4:
            raise ValueError(
                f"ContinuousLifting expects (batch, {self.in_channels}, height, width), not {tuple(x.shape)}"
            )
        x = x.unsqueeze(2)
        self._check(x, 1)
        made = self.angles()
        return self._convolve(x, self._plane(), made), made


class ContinuousGroupConv(_ContinuousConv):
    """Correlation on SE(2) (in discretized form) with one kernel of offset and relative angle.

    ``out[b, o, j, x] = sum_i sum_k sum_r K[o, i](R(-theta_j) r, theta_k - theta_j) in[b, i, k, x + r]``

    Symmetry, arguments and errors as in `ContinuousLifting`; the grids of the input and of the output may
    differ by an offset, and both have to divide the whole circle. With `PartialAngles` it is equivariant to
    rotations only while p = 1. n = 1 makes a layer of the plane, strict in T(2).

    Args:
        in_channels: fields in.
        out_channels: fields out.
        angles: module that gives the grid of the output; None: that of the input.
        settings: of the kernel network, see `KernelSettings`.
        kernel_size: taps per side, odd.
        taps: ``disk``, ``all`` or ``center``.
        padding: ``same`` or ``valid``.
        border: ``zeros`` (as released) or ``replicate`` (authors' branch).

    Shape:
        in (batch, in_channels, n_in, height, width), and the grid of n_in angles
        out (batch, out_channels, n_out, height', width'), and the grid of n_out angles
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        angles: nn.Module | None = None,
        settings: KernelSettings = KernelSettings(),  # noqa: B008
        *,
        kernel_size: int = 7,
        taps: Taps = "disk",
        padding: Literal["same", "valid"] = "same",
        border: Literal["zeros", "replicate"] = "replicate",
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, angles, settings, taps, padding, border, True
        )

    def forward(self, x: Tensor, given: AngleGrid) -> tuple[Tensor, AngleGrid]:
        self._check(x, len(given))
        made = given if self.angles is None else self.angles()
        return self._convolve(x, given, made), made


class ContinuousPointwise(nn.Module):
    """The shortcut of a block: a group convolution over angles only, 1 x 1 in the plane.

    ``out[b, o, j, x] = sum_i sum_k K[o, i](theta_k - theta_j) in[b, i, k, x]``

    Equivariant to translations and to turns by 2 pi / n, for grids that divide the whole circle; it has no
    domain coordinates. With ``relative_follows`` the frequency stays that of a strict layer.

    Args:
        in_channels: fields in.
        out_channels: fields out.
        settings: of the kernel network; its domain frequencies are not used.
        hidden: width of the kernel network, half of the others' if None.

    Shape:
        in (batch, in_channels, n_in, height, width), the grids of the input and of the output
        out (batch, out_channels, n_out, height, width)

    Raises:
        ValueError: if the input has another shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        settings: KernelSettings = KernelSettings(),  # noqa: B008
        *,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels) < 1:
            raise ValueError(f"channels must be 1 or more, not {in_channels} and {out_channels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        settings = replace(settings, hidden=hidden if hidden is not None else max(settings.hidden // 2, 1))
        self.network = KernelNetwork(
            in_channels * out_channels, settings, offset=False, domain=False, largest=POINTWISE_HARMONICS
        )
        self.keep_norm = False
        self.kernel_norm: Tensor | None = None

    def kernel(self, given: AngleGrid, made: AngleGrid) -> Tensor:
        """Kernel values, (n_out, C_out, C_in, n_in)."""
        device = self.network.last_weight.device
        relative = given.angles.to(device)[None] - made.angles.to(device)[:, None]
        values = self.network(relative=relative)
        return values.unflatten(-1, (self.out_channels, self.in_channels)).movedim(1, 3)

    def forward(self, x: Tensor, given: AngleGrid, made: AngleGrid) -> Tensor:
        if x.dim() != 5 or x.shape[1:3] != (self.in_channels, len(given)):
            raise ValueError(
                f"ContinuousPointwise expects (batch, {self.in_channels}, {len(given)}, height, width), "
                f"not {tuple(x.shape)}"
            )
        values = self.kernel(given, made)
        if self.keep_norm:
            self.kernel_norm = torch.linalg.vector_norm(values)
        weight = values.permute(3, 2, 0, 1).flatten(2).flatten(0, 1)  # n_in C_in, n_out C_out
        return pixels_last(pixels_first(x) @ weight, len(made))

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}"

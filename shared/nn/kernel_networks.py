"""Small networks that give the values of a continuous kernel at coordinates of SE(2).

A kernel value is a function of stationary coordinates (the offset between output and input pixel, the angle
between them) and, where equivariance is relaxed, of coordinates of the domain as well (the angle and the
pixel themselves), each with a frequency of its own. Domain frequencies ``omega'`` of 0 leave a kernel that
is the same everywhere, so a strictly equivariant layer (van der Ouderaa, Romero, van der Wilk 2022, Eq. 2, 7
and 8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from shared.nn.angles import TURN

Form = Literal["authors", "released", "rff"]
Rotation = Literal["authors", "integer", "free"]
FORMS, ROTATIONS, DOMAINS, FAN_INS = (
    ("authors", "released", "rff"),
    ("authors", "integer", "free"),
    ("output", "input"),
    ("stationary", "all"),
)
#: Gain of the released sine network, and its frequency for all stationary coordinates.
W0 = 10.0
#: Frequency of random Fourier features for which their phases spread as those of a sine network at W0.
RFF_OMEGA = W0 / 3 / math.sqrt(3) / TURN


@dataclass(frozen=True)
class KernelSettings:
    """What the kernel networks of a network have in common.

    Attributes:
        form: ``authors``: ``sin(W omega c + b)``, ``sin(W a + b)``, ``W a + b``, with small hidden and last
            weights (the authors' branch); ``released``: the gain 10 in both sines and bigger weights (the
            released partial G-CNN); ``rff``: random Fourier features with frozen, normal W for stationary and
            domain coordinates apart, then a sine layer and an affine one (Eq. 7 and 8 as written).
        hidden: width of the kernel networks.
        omega: frequency of stationary coordinates; None for 10, for ``rff`` 0.31 (the same phases).
        omega_relative: frequency of the relative angle in convolutions; None: as of other stationary ones.
        omega_angle: omega' of the absolute angle; None for a layer that has no such input.
        omega_position: omega' of the absolute position, rows and columns; None for no such input.
        learned: whether omega' is a parameter, one scalar each for angle and position (two for position if
            not ``tied``). Then the columns it multiplies are frozen: they could undo a penalty on it.
        tied: one learned omega' for rows and columns.
        rotation: ``integer``: weights and frequencies of angles are frozen integers, so the kernel is smooth
            on the circle; ``authors``: weights of both angles start at 1 where there is an absolute angle,
            or the relative one has a frequency of its own, and are trained; ``free``: like any weight.
            ``rff`` rounds its weights unless ``free``.
        relative_follows: whether the relative angle, too, has the frequency omega' (authors' branch).
        domain: which element is the domain coordinate, the ``output`` (authors' branch) or the ``input``
            (the paper's text). The plane has no angle, so a lifting layer always takes that of the output.
        fan_in: what bounds the first weights at the start, 1 over the number of ``stationary`` coordinates,
            so that strict and relaxed layers of one seed share them, or of ``all`` (authors' branch).
        freeze: whether the domain columns are frozen; None: if omega' is learned.

    Raises:
        ValueError: for an unknown name, a negative frequency, or integers that are none.
    """

    form: Form = "authors"
    hidden: int = 32
    omega: float | None = None
    omega_relative: float | None = None
    omega_angle: float | None = None
    omega_position: float | None = None
    learned: bool = False
    tied: bool = True
    rotation: Rotation = "authors"
    relative_follows: bool = False
    domain: Literal["output", "input"] = "output"
    fan_in: Literal["stationary", "all"] = "stationary"
    freeze: bool | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("form", FORMS),
            ("rotation", ROTATIONS),
            ("domain", DOMAINS),
            ("fan_in", FAN_INS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("omega", "omega_relative", "omega_angle", "omega_position"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a frequency of 0 or more, not {value}")
        if self.hidden < 1 or (self.form == "rff" and self.hidden % 2):
            raise ValueError(f"hidden must be positive, and even for rff, not {self.hidden}")
        integer = self.rotation == "integer" and not self.learned
        if integer and self.omega_angle is not None and self.omega_angle != round(self.omega_angle):
            raise ValueError(f"omega_angle must be an integer for rotation='integer', not {self.omega_angle}")

    @property
    def stationary_omega(self) -> float:
        """Frequency of the offsets, and of the relative angle where nothing else is said."""
        return self.omega if self.omega is not None else RFF_OMEGA if self.form == "rff" else W0


class KernelNetwork(nn.Module):
    """Kernel values from coordinates, ``(C_out C_in)`` of them at each.

    Angles enter the phases of the first layer so: the relative one as ``omega W ((d mod 2 pi) / pi - 1)``
    (the seam at the identity, as released), or as ``omega_r W d`` with integers W and omega_r = 1; the
    absolute one as ``omega' W theta``, theta in [0, 2 pi) for ``authors``, in (-pi, pi] for ``integer`` and
    over pi, in (-1, 1], for ``free``. Random Fourier features take angles in turns unless ``free``.

    Parameters are drawn from torch's global generator: the stationary columns, then the other layers, then
    the seed of a generator for the domain columns. So nothing but these depends on what is relaxed.

    Args:
        out: number of values, C_out C_in.
        settings: see `KernelSettings`.
        offset: whether the planar offset is an input (2 coordinates).
        relative: whether the relative angle is one.
        domain: whether the domain coordinates of the settings are (not in pointwise layers).
        largest: bound of the integer weights of the relative angle.

    Raises:
        ValueError: if there is no coordinate at all.
    """

    def __init__(
        self,
        out: int,
        settings: KernelSettings,
        *,
        offset: bool = True,
        relative: bool = True,
        domain: bool = True,
        largest: int = 1,
    ) -> None:
        super().__init__()
        if not offset and not relative:
            raise ValueError("a kernel network needs the offset or the relative angle as input")
        self.settings, self.out, self.largest = settings, out, largest
        self.omega_relative = settings.omega_relative if domain else None
        self.omega_angle = self._frequency(settings.omega_angle if domain else None, 1)
        axes = 1 if settings.tied or not settings.learned else 2
        self.omega_position = self._frequency(settings.omega_position if domain else None, axes)
        extra = {"angle": self.omega_angle, "position": self.omega_position}
        self.columns = {"offset": 2 * offset, "relative": int(relative)}
        self.columns = {key: count for key, count in self.columns.items() if count}
        self.extra = {key: 1 + (key == "position") for key, omega in extra.items() if omega is not None}
        rff = settings.form == "rff"
        width = settings.hidden // 2 if rff else settings.hidden
        for key, count in {**self.columns, **self.extra}.items():
            self.register_parameter(f"first_{key}", nn.Parameter(torch.empty(width, count)))
        self.first_bias = None if rff else nn.Parameter(torch.empty(width))
        self.hidden_weight = nn.Parameter(torch.empty(settings.hidden, 2 * width if rff else width))
        self.hidden_extra = (
            nn.Parameter(torch.empty(settings.hidden, 2 * width)) if rff and self.extra else None
        )
        self.hidden_bias = nn.Parameter(torch.empty(settings.hidden))
        self.last_weight = nn.Parameter(torch.empty(out, settings.hidden))
        self.last_bias = nn.Parameter(torch.empty(out))
        self.reset_parameters()
        self._freeze()

    def _frequency(self, value: float | None, axes: int) -> Tensor | None:
        if value is None:
            return None
        frequency = torch.full((axes,), float(value)) if axes > 1 else torch.tensor(float(value))
        return nn.Parameter(frequency) if self.settings.learned else nn.Buffer(frequency)

    def _freeze(self) -> None:
        """Columns that count as parameters, but are not trained."""
        settings = self.settings
        rff, learned = settings.form == "rff", settings.learned
        frozen = set(self.extra) if (learned if settings.freeze is None else settings.freeze) else set()
        frozen |= {"relative", "angle"} if settings.rotation == "integer" else set()
        for key in {**self.columns, **self.extra}:
            getattr(self, f"first_{key}").requires_grad_(not rff and key not in frozen)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """First weights uniform in 1 over the number of coordinates, biases 0; see `KernelSettings`."""
        if self.last_bias.is_meta:
            return  # nothing to draw
        settings, h = self.settings, self.settings.hidden
        everything = {**self.columns, **(self.extra if settings.fan_in == "all" else {})}
        bound = 1 / sum(everything.values())
        for key in self.columns:
            self._draw_column(key, bound, None)
        hidden = self.hidden_weight.shape[1]
        scale = {"authors": 0.01, "released": 1 / W0, "rff": 1 / W0}[settings.form]
        # the features of `rff` have norm 1, so that these weights give phases of variance 1, as released
        inner = math.sqrt(3) if settings.form == "rff" else scale * math.sqrt(6 / hidden)
        self.hidden_weight.uniform_(-1, 1).mul_(inner)
        self.last_weight.uniform_(-1, 1).mul_(scale * math.sqrt(6 / h))
        for bias in (self.first_bias, self.hidden_bias, self.last_bias):
            if bias is not None:
                bias.zero_()
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        for key in self.extra:
            self._draw_column(key, bound, generator)
        if self.hidden_extra is not None:
            self.hidden_extra.uniform_(-1, 1, generator=generator).mul_(inner)

    def _draw_column(self, key: str, bound: float, generator: torch.Generator | None) -> None:
        settings, weight = self.settings, getattr(self, f"first_{key}")
        rotation = key in ("relative", "angle")
        if settings.form == "rff":
            weight.normal_(generator=generator)
            if rotation and settings.rotation != "free":
                weight.round_()
            return
        weight.uniform_(-1, 1, generator=generator)  # drawn in any case, so that the draws after it stay
        if rotation and settings.rotation == "integer":
            most = self.largest if key == "relative" else 1
            weight.mul_(most + 0.5).round_().clamp_(-most, most)
        elif (
            rotation
            and settings.rotation == "authors"
            and ("angle" in self.extra or self.omega_relative is not None)
        ):
            weight.fill_(1.0)
        else:
            weight.mul_(bound)

    def penalty(self) -> Tensor:
        """Sum of the squares of the omega' of this network; a scalar, 0 if it has none."""
        terms = [w.square().sum() for w in (self.omega_angle, self.omega_position) if w is not None]
        return sum(terms, torch.zeros((), dtype=self.last_bias.dtype, device=self.last_bias.device))

    def _coordinate(self, key: str, c: Tensor) -> Tensor:
        """An input in the units that its weights expect, frequency included; (..., 1 or 2)."""
        settings = self.settings
        turns = settings.form == "rff" and settings.rotation != "free"
        if key == "offset":
            return c * settings.stationary_omega
        if key == "position":
            return c * self.omega_position
        wrapped = math.pi - torch.remainder(math.pi - c, TURN)  # (-pi, pi]
        if key == "angle":
            free = settings.rotation == "free"
            authors = settings.rotation == "authors" and settings.form != "rff"
            units = wrapped / math.pi if free else wrapped / TURN if turns else c if authors else wrapped
            return (units * self.omega_angle)[..., None]
        omega: Tensor | float = settings.stationary_omega
        if settings.rotation == "integer" or turns:
            omega = 1.0
        if self.omega_relative is not None:
            omega = self.omega_relative
        if settings.relative_follows and self.extra:
            omega = self.omega_angle if self.omega_angle is not None else self.omega_position.mean()
        if settings.rotation == "integer" or turns:
            return (c / TURN if turns else c)[..., None] * omega
        return ((torch.remainder(c, TURN) / math.pi - 1) * omega)[..., None]

    def _phases(self, keys: dict[str, int], inputs: dict[str, Tensor]) -> Tensor:
        total: Tensor | None = None
        for key in keys:
            weight = getattr(self, f"first_{key}")
            part = self._coordinate(key, inputs[key]).to(weight.dtype) @ weight.T
            total = part if total is None else total + part
        return total

    def features(self, **inputs: Tensor) -> Tensor:
        """Activations before the last layer.

        Args:
            inputs: ``offset`` (..., 2) with the support's radius as unit, ``relative`` (...) and ``angle``
                (...) in radians, ``position`` (..., 2) in [-1, 1]; float64 where rounding matters; those the
                network has. Leading axes broadcast against each other.

        Shape:
            -> (..., hidden)
        """
        # phases of tens of radians do not bear bf16
        with torch.autocast(self.last_bias.device.type, enabled=False):
            return self._activations(inputs)

    def _activations(self, inputs: dict[str, Tensor]) -> Tensor:
        form = self.settings.form
        if form == "rff":
            stationary = self._fourier(self._phases(self.columns, inputs)) @ self.hidden_weight.T
            if self.extra:
                stationary = (
                    stationary + self._fourier(self._phases(self.extra, inputs)) @ self.hidden_extra.T
                )
            return torch.sin(stationary + self.hidden_bias)
        gain = W0 if form == "released" else 1.0
        phases = self._phases({**self.columns, **self.extra}, inputs)
        a = torch.sin(phases + gain * self.first_bias)
        return torch.sin(gain * (a @ self.hidden_weight.T + self.hidden_bias))

    def _fourier(self, phases: Tensor) -> Tensor:
        """Cosines and sines, of norm 1 (Eq. 7)."""
        both = torch.cat([torch.cos(TURN * phases), torch.sin(TURN * phases)], -1)
        return both / math.sqrt(phases.shape[-1])

    def forward(self, **inputs: Tensor) -> Tensor:
        """Kernel values, (..., out); see `features`."""
        return self.features(**inputs) @ self.last_weight.T + self.last_bias

    def extra_repr(self) -> str:
        inputs = ", ".join([*self.columns, *self.extra])
        return f"{inputs} -> {self.out}, hidden={self.settings.hidden}, form={self.settings.form}"

"""What is measured for each group element, and how it is summed up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class ElementErrors:
    """How far a module is from equivariant under one group element.

    Args:
        absolute_mean: mean of abs(D).
        absolute_max: largest abs(D).
        relative_mean: norm of D by norm of f(x), both Euclidean over all entries.
        relative_max: largest abs(D) by largest abs(f(x)).
        mse: mean of D^2.
        root: (1/N) sqrt(sum D^2) for each sample of N entries, averaged over samples.
        energy: sum D^2 by sum f(x)^2.

    All are infinite if f(g x) and g f(x) differ in shape.
    """

    absolute_mean: float
    absolute_max: float
    relative_mean: float
    relative_max: float
    mse: float
    root: float
    energy: float


def _average(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected) if collected else 0.0


def _largest(values: Iterable[float]) -> float:
    """Maximum that a NaN does not slip through."""
    return float(torch.tensor([0.0, *values], dtype=torch.float64).max())


def _rank(value: float) -> float:
    """Order in which NaN is worst."""
    return math.inf if math.isnan(value) else value


@dataclass(frozen=True)
class Errors:
    """Errors of a module under the non-trivial elements of a group.

    ``absolute_mean``, ``relative_mean``, ``mse_eq14``, ``root_eq14`` and ``energy`` average over the
    elements, the maxima run over them, and ``summed_l1_eq14`` sums.

    Args:
        elements: for each element's name its errors.
    """

    elements: Mapping[str, ElementErrors] = field(default_factory=dict)

    def _over(self, name: str) -> list[float]:
        return [getattr(e, name) for e in self.elements.values()]

    @property
    def absolute_mean(self) -> float:
        """Mean of abs(D)."""
        return _average(self._over("absolute_mean"))

    @property
    def absolute_max(self) -> float:
        """Largest abs(D)."""
        return _largest(self._over("absolute_max"))

    @property
    def relative_mean(self) -> float:
        """norm(D) / norm(f(x)), averaged over the elements."""
        return _average(self._over("relative_mean"))

    @property
    def relative_max(self) -> float:
        """Largest abs(D) by largest abs(f(x)), worst element."""
        return _largest(self._over("relative_max"))

    @property
    def mse_eq14(self) -> float:
        """Reading A of Eq. 14, as its text says: mean squared error."""
        return _average(self._over("mse"))

    @property
    def root_eq14(self) -> float:
        """Reading B of Eq. 14, as its formula says: (1/N) sqrt(sum D^2) = sqrt(mse / N), N entries."""
        return _average(self._over("root"))

    @property
    def summed_l1_eq14(self) -> float:
        """Reading C of Eq. 14, as the released code does: mean abs(D), summed over the elements."""
        return math.fsum(self._over("absolute_mean"))

    @property
    def energy(self) -> float:
        """E_rel = sum D^2 / sum f(x)^2: does not change when activations merely grow."""
        return _average(self._over("energy"))

    @property
    def worst(self) -> str:
        """Name of the element with the largest ``relative_max``, or with NaN; empty if there are none."""
        if not self.elements:
            return ""
        return max(self.elements, key=lambda name: _rank(self.elements[name].relative_max))

    def table(self) -> str:
        """One line for each element, for messages."""
        rows = [f"{'element':>10} {'relative':>10} {'rel. max':>10} {'absolute':>10} {'abs. max':>10}"]
        for name, e in self.elements.items():
            numbers = (e.relative_mean, e.relative_max, e.absolute_mean, e.absolute_max)
            rows.append(f"{name:>10} " + " ".join(f"{n:>10.2e}" for n in numbers))
        return "\n".join(rows)


def compare(after: Tensor, before: Tensor) -> ElementErrors:
    """Errors of ``after = f(g x)`` against ``before = g f(x)``; the first axis is the batch.

    Float64 is used throughout, whatever the tensors' type; complex numbers count by their absolute values.
    """
    sums = Sums()
    sums.add(after, before)
    return sums.errors()


class Sums:
    """What `ElementErrors` is made of, added up batch by batch, so that not all outputs are kept at once."""

    def __init__(self) -> None:
        self.fits = True  # no outputs that differ in shape
        self.samples = self.size = 0
        self.absolute = self.squares = self.roots = self.scale = 0.0
        self.largest = self.largest_scale = 0.0

    def add(self, after: Tensor, before: Tensor) -> None:
        """Add a batch of outputs ``f(g x)`` and ``g f(x)``, of one size per sample in all batches."""
        if after.shape != before.shape:
            self.fits = False
            return
        place = after.device if after.device.type == "cuda" else torch.device("cpu")
        kind = torch.complex128 if after.is_complex() or before.is_complex() else torch.float64
        after, before = (t.detach().to(place, kind).reshape(len(t), -1) for t in (after, before))
        difference = after - before
        self.samples, self.size = self.samples + len(difference), max(1, difference.shape[1])
        distance = difference.abs() if difference.is_complex() else difference.abs_()
        squares = distance.square().sum(1)
        self.absolute += distance.sum().item()
        self.squares += squares.sum().item()
        self.roots += squares.sqrt().sum().item()
        self.scale += (before.abs() if before.is_complex() else before).square().sum().item()
        self.largest = _largest([self.largest, distance.max().item()])
        self.largest_scale = _largest([self.largest_scale, before.abs().max().item()])

    def errors(self) -> ElementErrors:
        """The errors of all batches together; all infinite if outputs differed in shape."""
        if not self.fits:
            return ElementErrors(*[math.inf] * 7)
        entries = self.samples * self.size
        energy = _ratio(self.squares, self.scale)
        return ElementErrors(
            absolute_mean=self.absolute / entries,
            absolute_max=self.largest,
            relative_mean=math.sqrt(energy),
            relative_max=_ratio(self.largest, self.largest_scale),
            mse=self.squares / entries,
            root=self.roots / entries,
            energy=energy,
        )


def _ratio(error: float, scale: float) -> float:
    """error / scale, where no error is no error even if the output is zero."""
    if error == 0 or scale == 0:
        return 0.0 if error == 0 else math.inf if error > 0 else math.nan
    return error / scale

"""DDMNIST: pairs of digits side by side, each moved by its own group element (fact sheet, section 3.1).

Pairs are drawn and kept as small images; what a step trains on is moved, blurred and put side by side on the
device, all of a batch at once, with one random generator. A group of pairs (g, h) acts: g on the left digit,
h on the right one.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from shared.algebra.groups import Group, cyclic, dihedral, direct_product
from shared.base.errors import UserError
from shared.nn import latent

#: Group of one digit by its name in the settings; D1 is the mirror image, left to right.
DIGIT_GROUPS = {"C4": cyclic(4), "D1": dihedral(1), "D4": dihedral(4)}
#: Side of a digit, and of the canvas with two of them side by side in the middle.
DIGIT, CANVAS = 28, 56
#: Half of MNIST's mean, since half of the canvas is empty, and the root of its standard deviation (sic).
MEAN, STD = 0.1307 / 2, math.sqrt(0.3081)


def draw(images: Tensor, labels: Tensor, per_class: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pairs of digits with replacement, as many of each of the classes 00 to 99.

    Args:
        images: (count, 1, 28, 28) uint8 of digits, and their labels (count,).
        per_class: pairs of each class.
        generator: on the CPU.

    Shape:
        uint8 (100 per_class, 2, 28, 28), left and right digit, and int64 (100 per_class,)

    Raises:
        UserError: if a digit does not occur, or images have another size.
    """
    if tuple(images.shape[1:]) != (1, DIGIT, DIGIT):
        raise UserError(f"DDMNIST is made of 28x28 gray images, not {tuple(images.shape[1:])}; use mnist")
    order = labels.argsort(stable=True)
    counts = torch.bincount(labels, minlength=10)
    if len(counts) > 10 or not counts.all():
        raise UserError("DDMNIST needs images of the ten digits, at least one of each; use mnist or digits")
    classes = torch.arange(100).repeat_interleave(per_class)
    digits = torch.stack([classes // 10, classes % 10], 1)
    # a double, so that each image is as likely as the next; it is below 1
    chance = torch.rand(digits.shape, generator=generator, dtype=torch.float64)
    place = (chance * counts[digits]).long()
    first = counts.cumsum(0) - counts
    return images[order[first[digits] + place], 0], classes


def compose(digits: Tensor) -> Tensor:
    """The network's input: left and right digit in the middle of an empty canvas, standardized.

    Shape:
        (batch, 2, 28, 28) floats in [0, 1] -> (batch, 1, 56, 56)
    """
    canvas = digits.new_full((len(digits), 1, CANVAS, CANVAS), -MEAN / STD)
    edge = (CANVAS - DIGIT) // 2
    middle = canvas[:, 0, edge : edge + DIGIT].unflatten(2, (2, DIGIT))  # (batch, 28, 2, 28)
    middle.copy_(((digits - MEAN) / STD).transpose(1, 2))
    return canvas


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image counter-clockwise about its center by its own angle, bilinearly, zeros from outside.

    `shared.data.prepare.rotate` has a grid in Python's own cosine, the same on every machine, for data that
    are made once; this one is made anew in each step, and on the device.

    Shape:
        images (count, side, side) floats, degrees (count,) on their device
    """
    side = images.shape[-1]
    line = torch.arange(1 - side, side, 2, dtype=images.dtype, device=images.device) / side
    angle = degrees * (math.pi / 180)
    turn = torch.complex(angle.cos(), angle.sin())[:, None]
    # where pixel (x, y) comes from, (x cos - y sin, x sin + y cos), is one product of complex numbers, and a
    # sum of a term for its column and one for its row: five times as fast as torch's affine grid
    grid = torch.view_as_real((turn * line)[:, None, :] + (1j * turn * line)[:, :, None])
    return F.grid_sample(images[:, None], grid, "bilinear", "zeros", align_corners=False)[:, 0]


class PairAction:
    """How pairs of group elements move pairs of digits.

    Args:
        name: "C4", "D1" or "D4", the group of each digit.
        undone: the random rotation that blurs the digits of C4 and D4 is turned back, as the paper says; the
            released code leaves it, so that digits have any angle.

    Attributes:
        group: the group of pairs, (g, h) at ``g |G| + h``.
    """

    def __init__(self, name: str, undone: bool = True) -> None:
        self.of_digit: Group = DIGIT_GROUPS[name]
        self.group = direct_product(self.of_digit, self.of_digit)
        self.grid = latent.grid(self.of_digit, DIGIT)
        self.blurred = name != "D1"
        self.undone = undone

    def elements(self, count: int, generator: Generator) -> Tensor:
        """Independent uniform elements of the group of pairs, (count,), on the generator's device."""
        return torch.randint(self.group.order, (count,), generator=generator, device=generator.device)

    def exact(self, digits: Tensor, g: Tensor) -> Tensor:
        """Move the digits of each pair by its element, exactly, pixel to pixel.

        Shape:
            digits and result (batch, 2, 28, 28), g (batch,)
        """
        each = torch.stack([g // self.of_digit.order, g % self.of_digit.order], 1).flatten()
        return self.grid(digits.flatten(0, 1), each).reshape(digits.shape)

    def blur(self, digits: Tensor, generator: Generator, common: bool = False) -> Tensor:
        """Turn each digit by a random angle, and back: exact in the net angle, smoothed, with cut corners.

        Args:
            digits: (batch, 2, 28, 28).
            generator: on their device.
            common: both digits of a pair by the same angle.
        """
        count, each = len(digits), 1 if common else 2
        chance = torch.rand((count, each), generator=generator, device=digits.device, dtype=digits.dtype)
        degrees = (360 * chance - 180).expand(-1, 2).flatten()
        turned = rotate(digits.flatten(0, 1), degrees)
        return (rotate(turned, -degrees) if self.undone else turned).reshape(digits.shape)

    def augment(self, digits: Tensor, g: Tensor, generator: Generator) -> Tensor:
        """Move as in training: exactly, then blurred. (A blur commutes with quarter turns, to rounding.)"""
        moved = self.exact(digits, g)
        return self.blur(moved, generator) if self.blurred else moved

    def clean(self, digits: Tensor, generator: Generator) -> Tensor:
        """The clean test images: as they are; of D4 blurred, by one angle for both digits of a pair."""
        return self.blur(digits, generator, common=True) if self.of_digit.name == "D4" else digits


def pixels(stored: Tensor) -> Tensor:
    """Stored digits in [0, 1], float32."""
    return stored.float() / 255

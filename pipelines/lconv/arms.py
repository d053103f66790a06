"""Names of networks, data and arms as tables, figures and claims use them."""

from __future__ import annotations

import re

DATASETS = {
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
}
#: Data sets for which no results could be recorded.
NOT_AT_HAND = ("cifar100",)
VARIANTS = {"default": "Default", "rotated": "Rotated", "scrambled": "Rotated and scrambled"}
MODELS = {
    "lconv": "L-conv",
    "cnn": "CNN",
    "random": "Random L",
    "fc": "FC (~L-conv)",
    "cnn_pool": "CNN + max pool",
    "fc_shallow": "FC (shallow)",
}
#: Networks of Figures 2 and 4, and of Figure 3, in the order of their bars.
FIGURE4 = ("lconv", "cnn", "random", "fc")
FIGURE3 = ("lconv", "cnn", "cnn_pool", "fc", "fc_shallow")
FIGURE3_EXPERIMENTS = {"figure3": "cifar100", "figure3b": "cifar10"}
#: L-conv shapes of Figure 5: filters m1, K terms (with the identity), rank k of the generators.
SHAPES = (
    *("m16_K6_r6", "m16_K6_r8", "m16_K8_r6", "m16_K9_r16", "m24_K6_r6", "m32_K6_r6"),
    *("m32_K9_r4", "m32_K9_r6", "m32_K9_r8", "m32_K9_r16"),
)
CNN_SHAPES = ("m16_3x3", "m24_2x2", "m32_2x2", "m32_2x3", "m32_3x3", "m32_4x4", "m32_5x5", "m64_3x3")
FC_SHAPES = ("m16_K6_r6", "m16_K6_r8", "m32_K9_r6", "m32_K9_r8")
FIGURE5 = {"lconv": SHAPES, "cnn": CNN_SHAPES, "fc": FC_SHAPES}
#: Networks of nearly equal size: 175,090 to 235,498 parameters on MNIST (claim L11, the right of Figure 5).
MATCHED = {
    "lconv": ("m16_K6_r6", "m16_K6_r8", "m16_K8_r6", "m24_K6_r6"),
    "cnn": ("m24_2x2", "m32_2x2", "m32_2x3", "m32_3x3", "m32_4x4", "m32_5x5"),
}
#: Networks of which the authors' notebooks print an accuracy: of Figure 5, and of Figure 3 (one layer).
LOGGED = {
    "lconv": ("m16_K6_r8", "m16_K8_r6"),
    "cnn": ("m24_2x2", "m32_2x3", "m32_3x3", "m32_4x4", "m32_5x5"),
}
LOGGED3 = (("fc_shallow", "default"), ("cnn_pool", "scrambled"))
#: CNN kernels with 32 filters, by growing area (claim L12).
KERNELS = ("2x2", "2x3", "3x3", "4x4", "5x5")


def figure4(dataset: str) -> str:
    """Experiment behind the bars of one data set in Figures 2 and 4."""
    return f"figure4_{dataset}"


def arm4(model: str, variant: str) -> str:
    """Arm of Figures 2 and 4."""
    return f"{model}_{variant}"


def arm3(model: str, layers: int, variant: str) -> str:
    """Arm of Figure 3."""
    return f"{model}_{layers}_{variant}"


def short_label(shape: str) -> str:
    """In a figure: ``32, rank 6, K 9`` for "m32_K9_r6", ``32, 3x3`` for "m32_3x3"."""
    match = re.fullmatch(r"m(\d+)_K(\d+)_r(\d+)", shape)
    if match:
        return f"{match[1]}, rank {match[3]}, K {match[2]}"
    width, _, kernel = shape[1:].partition("_")
    return f"{width}, {kernel}"


def long_label(shape: str) -> str:
    """For tables: ``32 filters, K = 9, rank 6``, ``32 filters, 3x3``."""
    match = re.fullmatch(r"m(\d+)_K(\d+)_r(\d+)", shape)
    if match:
        return f"{match[1]} filters, K = {match[2]}, rank {match[3]}"
    width, _, kernel = shape[1:].partition("_")
    return f"{width} filters, {kernel}"

"""What the generators of a trained L-conv network are: closed, orthogonal, near to known ones?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pipelines.lconv.data import Images
from pipelines.lconv.models import LConvNetwork
from shared.algebra import lie
from shared.nn import penalties, symmetries
from shared.runs.api import Row

KNOWN = ("rotation", "translation_x", "translation_y")
#: Random sets of generators with which a similarity is compared.
CONTROLS = 10
#: Images from which the second moments of the pixels are estimated.
MOMENT_IMAGES = 4000
#: Generators that are pictured, and the times of their exponentials.
PICTURED, TIMES = 2, (0.5, 1.0)


def known_generators(images: Images) -> Tensor:
    """Generators of `KNOWN` on the images of a run, their pixels moved as those are; (3, pixels, pixels)."""
    side = images.pool.shape[-1]
    moved = [lie.conjugate(lie.generator(name, side), images.permutation) for name in KNOWN]
    return torch.stack(moved)


def moments(images: Images) -> Tensor:
    """E[x x^T] of the images that are trained on, channels taken alike; (pixels, pixels) float64."""
    x = images.pool[: min(images.train, MOMENT_IMAGES)].flatten(2).flatten(0, 1).double().cpu()
    return x.T @ x / len(x)


def symmetry_rows(network: LConvNetwork, images: Images, step: int) -> list[Row]:
    """Rows about the first layer.

    ``closure``: share of the commutators outside the span of the generators; ``killing``: root mean square
    of the normalized Killing form between two of them; ``captured_<name>``: share of a known generator
    within the span, as it acts on images like these (inner product tr(A M B^T) with their second moments M).
    """
    layer = network.layers[0]
    found = symmetries.similarity(layer, known_generators(images), moments=moments(images))
    rows = [
        Row("closure", step, penalties.closure(layer)),
        Row("killing", step, math.sqrt(penalties.killing_penalty(layer).item())),
    ]
    return rows + [Row(f"captured_{name}", step, float(v)) for name, v in zip(KNOWN, found.captured)]


def covariance_row(network: LConvNetwork, images: Images, step: int) -> Row:
    """Row ``covariance``: how far the first layer's generators are from symmetries of linear regression.

    By Corollary 1 those obey ``L H + H L^T = 0`` with H the second moments. The value is ``|L H + H L^T| / (2
    |L H|)``, mean over generators: 0 for them, 1 for symmetric ``L H``, and 0.71 for random L.
    """
    moved = symmetries.matrices(network.layers[0]).double().cpu() @ moments(images)
    broken = (moved + moved.transpose(1, 2)).flatten(1).norm(dim=1)
    return Row("covariance", step, float((broken / (2 * moved.flatten(1).norm(dim=1))).mean()))


def control_row(network: LConvNetwork, images: Images, seed: int) -> Row:
    """Row ``control_rotation``: what as many random generators of that rank capture, mean over draws."""
    layer, known = network.layers[0], known_generators(images)[:1]
    options = {"draws": CONTROLS, "seed": seed, "moments": moments(images)}
    found = symmetries.control(known, layer.count, layer.rank, **options)
    return Row("control_rotation", "", float(found.captured.mean()))


@torch.no_grad()
def picture_rows(network: LConvNetwork, images: Images) -> list[Row]:
    """Pictures for Figure 1, of one image h with its pixels in their own places.

    Rows with the flat pixel as step: ``input``; for i = 1, 2 ``generator_<i>`` (what the center pixel of L_i
    h reads of h), ``moved_<i>`` (L_i h), ``flow_<i>_<j>`` (exp(t_j L_i) h); ``output_<i>``, two of the
    features. And the eigenvalues of all L_i, ``eigenvalue_real`` and ``eigenvalue_imaginary`` by number.
    """
    layer, back = network.layers[0], torch.argsort(images.permutation)
    image = images.pool[images.train]  # the first held-out one
    side = image.shape[-1]
    center = int(back[side * (side // 2) + side // 2])
    panels = {"input": image[0].flatten()}
    fields = symmetries.pictures(layer, [center]).flatten(2)[:, 0]
    moved = symmetries.matrices(layer) @ image[0].flatten().double().cpu()
    flows = symmetries.action(layer, image[0].double().cpu(), list(TIMES), normalized=True).flatten(2)
    features = layer(image.flatten(1).T[None])[0].T
    for i in range(PICTURED):
        panels |= {
            f"generator_{i + 1}": fields[i],
            f"moved_{i + 1}": moved[i],
            f"output_{i + 1}": features[i],
        }
        panels |= {f"flow_{i + 1}_{j + 1}": flows[i, j] for j in range(len(TIMES))}
    rows = [
        Row(name, pixel, float(f"{value:.4g}"))
        for name, panel in panels.items()
        for pixel, value in enumerate(torch.as_tensor(panel).cpu()[back].tolist())
    ]
    values = torch.as_tensor(symmetries.eigenvalues(layer)).flatten()
    for name, part in (("real", values.real), ("imaginary", values.imag)):
        rows += [Row(f"eigenvalue_{name}", i, float(f"{v:.4g}")) for i, v in enumerate(part.tolist())]
    return rows

"""What the paper states and prints beside the corrected formulas of `propositions` and `regression`.

`propositions` shows that the propositions hold once slips are corrected. Here is what the text says word for
word: Proposition 1 with the activations it names, Proposition 2 for a whole group and one network, the
commuting shifts of Proposition 4, the formulas as printed, and the group of Corollary 1. Some of it is false,
and then the error says how far. All in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from pipelines.lconv import regression
from pipelines.lconv.propositions import Numbers, _draw, _layer, _relative, _repeat
from shared.algebra import lie

#: Half widths of the kernel of Proposition 1, and layers of the networks of Proposition 2.
ETAS = (0.2, 0.1, 0.05, 0.025)
LAYERS = (16, 64, 256, 1024)
#: Points of the integral over the kernel, and vectors it is compared on (a ReLU has kinks).
POINTS, VECTORS = 2000, 200
#: Side of the images whose rotation is looked at, rank of the paper's generators, waves that are shifted.
SIDE, RANK = 28, 16
WAVES = (1, 4, 16)


def run(seed: int = 0) -> Numbers:
    """Compute everything about the propositions.

    Returns:
        (metric, step, value), where the step is a size or "".
    """
    rows: Numbers = []
    for name, values in activations(ETAS, seed).items():
        rows += [(f"p1_{name}", eta, value) for eta, value in zip(ETAS, values)]
    rows += [("p2_haar_error", n, error) for n, error in haar(LAYERS, seed).items()]
    rows += [("p2_product_error", n, error) for n, error in product(LAYERS, seed).items()]
    rows += [("p4_fractional_error", wave, error) for wave, error in fractional(WAVES).items()]
    single = {f"p4_{name}": value for name, value in shifts(seed).items()}
    single["p5_printed_error"] = flow(seed)
    single |= {f"rotation_{name}": value for name, value in rotation().items()}
    return rows + [(name, "", value) for name, value in single.items()]


def activations(etas: Sequence[float], seed: int = 0) -> dict[str, list[float]]:
    """Proposition 1 with a nonlinear f: the convolution ``integral g(e) f(exp(-e L) h) de`` for SO(5).

    The kernel is that of `propositions.linearization`, whose integral W^0 is 1.

    Returns:
        Relative error by eta of Equation 4 as printed, ``(W^0 - W^1 L) (h f'(h))``, with ReLU and tanh
        (``relu_printed``, ``tanh_printed``); of its first term alone (``relu_dropped``); and of the layer as
        Equation 6 defines it, ``f(W^0 h - W^1 L h)`` (``relu_layer``, ``tanh_layer``).
    """
    generator = torch.einsum("i,iab->ab", _draw(seed, 10), lie.so(5)) / math.sqrt(10)
    h = _draw(seed + 1, VECTORS, 5)
    nodes = (torch.arange(POINTS).double() + 0.5) / POINTS * 2 - 1
    kernel = (1 + nodes / 2) / POINTS
    kinds: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
        "relu": (torch.relu, torch.relu),
        "tanh": (torch.tanh, lambda x: x / torch.cosh(x) ** 2),
    }
    errors: dict[str, list[float]] = {}
    for eta in etas:
        moved = torch.linalg.matrix_exp(-eta * nodes[:, None, None] * generator) @ h.T
        moment = float((kernel * nodes).sum()) * eta
        linear = h - moment * h @ generator.T
        for name, (f, scaled) in kinds.items():
            truth = torch.einsum("k,kav->va", kernel, f(moved))
            inner = scaled(h)
            found = {"printed": inner - moment * inner @ generator.T, "dropped": inner, "layer": f(linear)}
            for form, value in found.items():
                errors.setdefault(f"{name}_{form}", []).append(_relative(value, truth))
    del errors["tanh_dropped"]
    return errors


def haar(ns: Sequence[int], seed: int = 0, channels: tuple[int, int] = (2, 3)) -> dict[int, float]:
    """Proposition 2 in full: a convolution over all of SO(3) as one network of L-conv layers.

    The kernel ``g(u) = sum_ab u_ab G_ab`` has matrices G_ab from channels to channels, so that the integral
    over the Haar measure is known: row m of ``integral u^-1 h g(u)`` is ``sum_a h_a G_am / 3``. The network
    has a channel for each of 27 group elements (an exact rule for such kernels) and input channel: a layer
    that copies, n layers with W^0 = 1 and diagonal W^i, and a last one that mixes.

    Returns:
        Relative error by n.
    """
    inputs, outputs = channels
    h, matrices = _draw(seed, 1, 3, inputs), _draw(seed + 1, 3, 3, inputs, outputs)
    truth = torch.einsum("bac,amco->bmo", h, matrices) / 3
    turn = np.arange(3) * 2 * math.pi / 3
    heights, weights = np.polynomial.legendre.leggauss(3)
    angles = [(a, math.acos(z), b) for a in turn for z in heights for b in turn]
    elements = Rotation.from_euler("zyz", angles)
    rule = torch.from_numpy(np.tile(np.repeat(weights, 3), 3) / 18)
    basis = lie.so(3)
    # the coordinates of the logarithm of u^-1 in this basis
    logs = torch.from_numpy(np.stack([_cross(-vector) for vector in elements.as_rotvec()]))
    times = logs.flatten(1) @ torch.linalg.pinv(basis.flatten(1))
    kernels = torch.einsum("k,kam,amco->kco", rule, torch.from_numpy(elements.as_matrix()), matrices)
    zero = torch.zeros(3, inputs, 27 * inputs).double()
    copy = torch.eye(inputs).double().repeat(1, 27)
    spread = _layer(basis, torch.cat([zero, copy[None]]), True)
    mix = _layer(
        basis, torch.cat([torch.zeros(3, 27 * inputs, outputs).double(), kernels.flatten(0, 1)[None]]), True
    )
    one = torch.eye(27 * inputs).double()
    errors = {}
    for n in ns:
        diagonal = [torch.diag(times[:, i].repeat_interleave(inputs)) / n for i in range(3)]
        flow_layer = _layer(basis, torch.stack([*diagonal, one]), True)
        errors[n] = _relative(mix(_repeat(flow_layer, spread(h), n)), truth)
    return errors


def _cross(v: np.ndarray) -> np.ndarray:
    """The matrix of the cross product with v."""
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def product(ns: Sequence[int], seed: int = 0) -> dict[int, float]:
    """Proposition 2 where the exponential is not onto: ``-diag(2, 1/2)`` of SL(2, R), n layers in two halves.

    It has no real logarithm, but is ``exp(pi J) exp(log 2 diag(1, -1))``.

    Returns:
        Relative error by n.
    """
    basis = torch.tensor([[[0.0, -1], [1, 0]], [[1, 0], [0, -1]]]).double()
    h = _draw(seed, 1, 2, 4)
    truth, one = -torch.tensor([[2.0, 0], [0, 0.5]]).double() @ h, torch.eye(4).double()
    errors = {}
    for n in ns:
        found = h
        for number, time in ((1, math.log(2)), (0, math.pi)):
            terms = [torch.zeros(4, 4).double(), torch.zeros(4, 4).double(), one]
            terms[number] = one * time / (n // 2)
            found = _repeat(_layer(basis, torch.stack(terms), True), found, n // 2)
        errors[n] = _relative(found, truth)
    return errors


def shifts(seed: int = 0, shape: tuple[int, int] = (6, 7)) -> dict[str, float]:
    """Proposition 4: whether shifts commute, and the formula of its proof.

    Returns:
        Largest entry of a commutator: of circular shifts (``commute_circular``), of the flattened ones that
        the paper names, 0, 1, q and q + 1 (``commute_printed``), and of those of a centered 3 x 3 kernel with
        zeros around (``commute_centered``). ``printed_error``: of Equation 12, ``h_(m - i)``, beside the
        layer with the generators printed before it, which give ``h_(m + i)``.
    """
    kernel = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    corner = [(0, 0), (0, 1), (1, 0), (1, 1)]
    groups = {
        "circular": lie.shifts(shape, kernel, "circular"),
        "printed": lie.shifts(shape, corner, "flat"),
        "centered": lie.shifts(shape, kernel, "zero"),
    }
    found = {}
    for name, basis in groups.items():
        brackets = torch.einsum("iab,jbc->ijac", basis, basis)
        found[f"commute_{name}"] = float((brackets - brackets.transpose(0, 1)).abs().max())
    h, weight = _draw(seed, 2, 12, 2), _draw(seed + 1, 3, 2, 3)
    layer = _layer(lie.shifts((1, 12), [(0, i) for i in range(3)], "flat"), weight, False)
    padded = torch.cat([torch.zeros(2, 2, 2).double(), h], 1)
    truth = sum(padded[:, 2 - i : 14 - i] @ weight[i] for i in range(3))
    return found | {"printed_error": _relative(layer(h), truth)}


def fractional(waves: Sequence[int], pixels: int = 64) -> dict[int, float]:
    """The text's fractional shift ``(1 + a L) / (1 + a)`` at a = 1, on waves: linear interpolation.

    Returns:
        Relative error of a shift by half a pixel, by periods of the wave in the image.
    """
    step = lie.shifts((1, pixels), [(0, 1)], "circular")[0]
    x, errors = torch.arange(pixels).double(), {}
    for wave in waves:
        phase = 2 * math.pi * wave / pixels
        h = torch.sin(phase * x)
        errors[wave] = _relative((h + step @ h) / 2, torch.sin(phase * (x + 0.5)))
    return errors


def flow(seed: int = 0, nodes: int = 6, rate: float = 0.3) -> float:
    """Proposition 5 as its proof has it: ``L_1 = lambda (A - I)`` "with the same weights" as the identity.

    Returns:
        Relative error beside the graph convolution ``A h W``; it is zero for ``lambda`` 1 only.
    """
    a = _draw(seed, nodes, nodes).abs()
    h, w = _draw(seed + 1, 2, nodes, 3), _draw(seed + 2, 3, 4)
    layer = _layer(rate * (a - torch.eye(nodes).double())[None], torch.stack([w, w]), True)
    return _relative(layer(h), a @ h @ w)


def rotation(side: int = SIDE, rank: int = RANK) -> dict[str, float]:
    """The generator of rotation on square images, by differences of neighbors: sparse, but of what rank?

    Returns:
        ``entries``: most nonzero entries of a row; ``rank``; ``low_rank``: its cosine with the nearest matrix
        of the rank of the paper's generators.
    """
    found = lie.generator("rotation", side, interpolation="central")
    values = torch.linalg.svdvals(found)
    return {
        "entries": float((found != 0).sum(1).max()),
        "rank": float((values > 1e-9 * values[0]).sum()),
        "low_rank": float(values[:rank].norm() / values.norm()),
    }


def corollary(seed: int = 0, samples: int = 5000, d: int = 7, c: int = 3) -> dict[str, float]:
    """Corollary 1 and the remark on biases: how many symmetries there are, and which.

    Returns:
        ``c1_nullity``: independent L with ``L H + H L^T = 0``, all of them and not only those of the basis
        (17). ``c1_reflection``: error of ``u H u^T = H`` for ``H^(1/2) diag(-1, 1, ...) H^(-1/2)``, whose
        determinant is ``c1_determinant``. With a row of ones among the inputs, in place of a bias:
        ``bias_row``, how far a symmetry of the theorem moves that row, relative; ``bias_dimension`` of the
        symmetries, and ``bias_kept`` of those that keep it.
    """
    x, y = regression.problem(d, c, samples, seed=seed)
    h = regression.moments(x, y)[0]
    root, inverse = regression.roots(h)
    mirror = np.eye(d)
    mirror[0, 0] = -1
    u = root @ mirror @ inverse
    with_ones = np.vstack([x, np.ones(samples)])
    moved = regression.symmetry(with_ones, y, seed)[0] @ with_ones
    return {
        "c1_nullity": float(regression.covariance_nullity(h)),
        "c1_reflection": float(np.linalg.norm(u @ h @ u.T - h) / np.linalg.norm(h)),
        "c1_determinant": float(np.linalg.det(u)),
        "bias_row": float(np.sqrt(np.mean((moved[-1] - 1) ** 2))),
        "bias_dimension": float(regression.nullity(with_ones, y)),
        "bias_kept": float(regression.nullity(with_ones, y, kept=1)),
    }

"""Theorem 1 and Corollary 1: when ``u_c A = A u`` is a symmetry of linear regression ``y = A x``.

With samples X (d x n) and Y (c x n), ``H = X X^T / n``, ``C = Y X^T / n`` and ``A = C H^-1``, it suffices
that (i) ``u H u^T = H`` and (ii) ``u_c C u^T = C``. Whitened, ``u' = H^(-1/2) u H^(1/2)`` and
``A' = A H^(1/2)``, (i) says that u' is orthogonal and (ii) that it maps the row space of A' to itself. So the
symmetries are O(c) x O(d - c), which is how `symmetry` makes them. (Where the paper writes ``X^T X`` of full
rank it means ``X X^T``, and where it says SO(d), the condition gives O(d).)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray

NOISE = 0.3


def problem(
    d: int = 7, c: int = 3, n: int = 5000, noise: float = NOISE, seed: int = 0, part: int = 0
) -> tuple[Array, Array]:
    """Draw a regression problem with correlated inputs.

    Args:
        d: inputs.
        c: outputs.
        n: samples.
        noise: standard deviation added to the outputs.
        seed: of the inputs' correlations and the true map.
        part: another number draws other samples of the same distribution.

    Returns:
        X (d, n) and Y (c, n).

    Raises:
        ValueError: if there are more outputs than inputs, or too few samples.
    """
    if not 1 <= c < d:
        raise ValueError(f"there must be fewer outputs than inputs, and at least 1, not {c} and {d}")
    if n < d:
        raise ValueError(f"{n} samples do not determine the map of {d} inputs; take at least {d}")
    random = np.random.RandomState(seed)
    spread, truth = random.standard_normal((d, d)), random.standard_normal((c, d))
    samples = np.random.RandomState([seed, part + 1])
    x = spread @ samples.standard_normal((d, n))
    return x, truth @ x + noise * samples.standard_normal((c, n))


def moments(x: Array, y: Array) -> tuple[Array, Array]:
    """Return ``H = X X^T / n`` (d, d) and ``C = Y X^T / n`` (c, d)."""
    return x @ x.T / x.shape[1], y @ x.T / x.shape[1]


def solve(x: Array, y: Array) -> Array:
    """Return the map A (c, d) of least squares."""
    h, cross = moments(x, y)
    return np.linalg.solve(h, cross.T).T


def roots(h: Array) -> tuple[Array, Array]:
    """Return ``H^(1/2)`` and ``H^(-1/2)``, symmetric."""
    values, vectors = np.linalg.eigh(h)
    return (vectors * np.sqrt(values)) @ vectors.T, (vectors / np.sqrt(values)) @ vectors.T


def orthogonal(n: int, random: np.random.RandomState, special: bool = False) -> Array:
    """Draw a uniform element of O(n), or of SO(n)."""
    q, r = np.linalg.qr(random.standard_normal((n, n)))
    q = q * np.sign(np.diag(r))
    if special and np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


def symmetry(x: Array, y: Array, seed: int = 0) -> tuple[Array, Array]:
    """Draw a symmetry of the regression of y on x, of O(c) x O(d - c).

    Returns:
        u (d, d) and u_c (c, c), which fulfill both conditions and ``u_c A = A u``.
    """
    random = np.random.RandomState(seed)
    root, inverse = roots(moments(x, y)[0])
    white = solve(x, y) @ root
    (c, d), rows = white.shape, np.linalg.svd(white)[2].T
    blocks = np.zeros((d, d))
    blocks[:c, :c], blocks[c:, c:] = orthogonal(c, random), orthogonal(d - c, random)
    turned = rows @ blocks @ rows.T
    return root @ turned @ inverse, white @ turned @ np.linalg.pinv(white)


def random_pair(x: Array, y: Array, seed: int = 0) -> tuple[Array, Array]:
    """Draw u with condition (i) only, ``H^(1/2) SO(d) H^(-1/2)``, and the u_c that fits it best."""
    root, inverse = roots(moments(x, y)[0])
    u = root @ orthogonal(len(root), np.random.RandomState(seed), special=True) @ inverse
    a = solve(x, y)
    return u, a @ u @ np.linalg.pinv(a)


def conditions(x: Array, y: Array, u: Array, u_c: Array) -> dict[str, float]:
    """Measure a candidate, as relative Frobenius errors.

    Returns:
        second_moment: of (i); cross: of (ii); intertwining: of ``u_c A = A u``; refit: how far the map fitted
        to (u X, u_c Y) is from A.
    """
    (h, cross), a = moments(x, y), solve(x, y)
    return {
        "second_moment": _relative(u @ h @ u.T, h),
        "cross": _relative(u_c @ cross @ u.T, cross),
        "intertwining": _relative(u_c @ a, a @ u),
        "refit": _relative(solve(u @ x, u_c @ y), a),
    }


def _relative(found: Array, truth: Array) -> float:
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))


def unnecessary(x: Array, y: Array, seed: int = 0) -> tuple[Array, Array]:
    """Draw a pair that intertwines without fulfilling (i): ``u = 1 + N`` with ``A N = 0``, ``u_c = 1``."""
    a, d = solve(x, y), len(x)
    null = np.linalg.svd(a)[2][len(y) :].T
    drawn = np.random.RandomState(seed).standard_normal((null.shape[1], d))
    return np.eye(d) + null @ drawn, np.eye(len(y))


def generators(x: Array) -> Array:
    """Return a basis of the Lie algebra of condition (i), ``H^(1/2) (E_ij - E_ji) H^(-1/2)`` (Corollary 1).

    Shape:
        (d (d - 1) / 2, d, d)
    """
    root, inverse = roots(x @ x.T / x.shape[1])
    d = len(root)
    first, second = np.triu_indices(d, 1)
    basis = np.zeros((len(first), d, d))
    basis[np.arange(len(first)), first, second] = 1
    return root @ (basis - basis.transpose(0, 2, 1)) @ inverse


def closure(basis: Array) -> float:
    """Measure how far commutators leave the span: relative root of sum of squares."""
    brackets = np.einsum("iab,jbc->ijac", basis, basis)
    flat, target = (
        basis.reshape(len(basis), -1),
        (brackets - brackets.swapaxes(0, 1)).reshape(-1, basis[0].size),
    )
    return _relative(target @ np.linalg.pinv(flat) @ flat, target)


def nullity(x: Array, y: Array, kept: int = 0) -> int:
    """Count the independent (L, M) of ``L H + H L^T = 0``, ``M C + C L^T = 0``: (i) and (ii), linearized.

    Expected: ``c (c - 1) / 2 + (d - c) (d - c - 1) / 2``, the dimension of O(c) x O(d - c). With ``kept``
    only those are counted that leave as many last rows of X alone (a row of ones, in place of a bias).
    """
    h, cross = moments(x, y)
    (c, d), columns = cross.shape, []
    for index in range(d * d + c * c):
        one = np.zeros(d * d + c * c)
        one[index] = 1
        left, right = one[: d * d].reshape(d, d), one[d * d :].reshape(c, c)
        conditions = [left @ h + h @ left.T, right @ cross + cross @ left.T, left[d - kept :]]
        columns.append(np.concatenate([part.ravel() for part in conditions]))
    return _kernel(np.array(columns))


def covariance_nullity(h: Array) -> int:
    """Count the independent L of ``L H + H L^T = 0``: (i) alone, linearized; ``d (d - 1) / 2`` of them."""
    d = len(h)
    lefts = np.eye(d * d).reshape(-1, d, d)
    return _kernel((lefts @ h + h @ lefts.swapaxes(1, 2)).reshape(d * d, -1))


def _kernel(rows: Array) -> int:
    """Dimension of the combinations of rows that vanish."""
    values = np.linalg.svd(rows.T, compute_uv=False)
    return len(rows) - int((values > 1e-9 * values[0]).sum())


def transfer(ns: Sequence[int], draws: int, seed: int = 0, d: int = 7, c: int = 3) -> Array:
    """Try a symmetry computed from n samples on n others: the relative error of (i), about ``sqrt(d / n)``.

    Shape:
        (len(ns), draws)
    """
    errors = np.empty((len(ns), draws))
    for draw in range(draws):
        for row, n in enumerate(ns):
            u, _ = symmetry(*problem(d, c, n, seed=seed + draw), seed=seed + draw)
            h, _ = moments(*problem(d, c, n, seed=seed + draw, part=1))
            errors[row, draw] = _relative(u @ h @ u.T, h)
    return errors


def run_tests(seed: int = 0, samples: int = 5000, d: int = 7, c: int = 3) -> dict[str, float]:
    """Compute tests T1 to T8 of the theorem on one problem; `transfer` is T9.

    Returns:
        t1 to t3: errors of a symmetry, zero. t4: of u that fulfills (i) only, not zero. t5: of a pair that
        intertwines although (i) fails. t6, t7: of the generators, and their number. t8: the nullity.
    """
    x, y = problem(d, c, samples, seed=seed)
    found, other = conditions(x, y, *symmetry(x, y, seed)), conditions(x, y, *random_pair(x, y, seed))
    third, basis, h = conditions(x, y, *unnecessary(x, y, seed)), generators(x), moments(x, y)[0]
    change = basis @ h
    return {
        "t1_second_moment": found["second_moment"],
        "t1_cross": found["cross"],
        "t2_intertwining": found["intertwining"],
        "t3_refit": found["refit"],
        "t4_second_moment": other["second_moment"],
        "t4_intertwining": other["intertwining"],
        "t4_refit": other["refit"],
        "t5_intertwining": third["intertwining"],
        "t5_second_moment": third["second_moment"],
        "t6_generators": float(np.linalg.norm(change + change.swapaxes(1, 2)) / np.linalg.norm(change)),
        "t7_dimension": float(np.linalg.matrix_rank(basis.reshape(len(basis), -1))),
        "t7_closure": closure(basis),
        "t8_nullity": float(nullity(x, y)),
    }

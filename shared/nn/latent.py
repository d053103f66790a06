"""The latent loss: ask of any network that its features move as a known representation when its inputs do.

For a finite group G, an encoder E and a representation W on its features, the loss is the mean of
``(W(g) E(x) - E(g x))^2``; W is m copies of the regular representation of G and trivial padding (Ali, Liò and
Vicary, "Parameter-free approximate equivariance for tasks with finite group symmetry", 2025, equations 3 and
5). The network gets no parameter for it, and is not changed.

    method = latent.LatentLoss(network, "encoder", groups.cyclic(4))  # "encoder": any submodule
    logits, moved_logits, penalty = method(x, moved_x, g)
    loss = cross_entropy(logits, y) + cross_entropy(moved_logits, y) + 2 * penalty

Everything here permutes features, so that an action is a table of indices, and is applied to a batch, with an
element for each sample, by one gather.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from shared.algebra.actions import act_volume, exact_on_grid, grid_permutation
from shared.algebra.groups import Group, cyclic

#: How features move: (features (B, ...), elements (B,)) to features of the same shape.
Move = Callable[[Tensor, Tensor], Tensor]
#: Subgroups that `cosets` draws.
_TRIES = 200


class PermutationAction:
    """A group, or any list of permutations, acting on the last axes of a batch.

    Each sample has its own element: ``action(z, g)[b, ..., i] = z[b, ..., table[g[b], i]]``, with the last
    ``axes`` axes of z as one.

    Args:
        table: (elements, d) integers, a permutation of ``range(d)`` in each row.
        axes: how many of the last axes move together: 1 for latent vectors, 2 for images, 3 for volumes.

    Raises:
        ValueError: if a row is no permutation, or ``axes`` is less than 1.
    """

    def __init__(self, table: Tensor | np.ndarray, axes: int = 1) -> None:
        self.table = torch.as_tensor(np.array(table), dtype=torch.int64)
        self.axes = axes
        if axes < 1:
            raise ValueError(f"an action moves 1 axis or more, not {axes}")
        if self.table.ndim != 2 or not (self.table.sort(1).values == torch.arange(self.size)).all():
            raise ValueError(
                f"each of the rows of {tuple(self.table.shape)} must be a permutation of the features"
            )

    @property
    def size(self) -> int:
        """Number of features that are permuted."""
        return self.table.shape[-1]

    def __call__(self, z: Tensor, g: Tensor) -> Tensor:
        """Move each sample by its element; exact, and differentiable in ``z``.

        Shape:
            z and result (B, ..., *features); g (B,) int64 on the device of z

        Raises:
            ValueError: if the last axes of z do not have the action's size, or there is not one element of
                the table for each sample.
        """
        moved = z.shape[-self.axes :]
        if z.ndim <= self.axes or moved.numel() != self.size:
            raise ValueError(
                f"features of shape {tuple(z.shape)} end with {moved.numel()} entries in {self.axes} "
                f"axes, and the action moves {self.size}; tap another layer, or name the right axes"
            )
        if g.shape != z.shape[:1] or g.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"elements of shape {tuple(g.shape)} and type {g.dtype} do not fit {len(z)} samples; give an "
                "integer for each"
            )
        if g.device.type == "cpu" and len(g) and not 0 <= int(g.min()) <= int(g.max()) < len(self.table):
            raise ValueError(f"elements are 0 to {len(self.table) - 1}, not {int(g.min())} to {int(g.max())}")
        if self.table.device != z.device:
            self.table = self.table.to(z.device)
        flat = z.reshape(len(z), -1, self.size)
        index = self.table[g][:, None].expand_as(flat)
        return flat.gather(2, index).reshape(z.shape)

    def matrices(self) -> np.ndarray:
        """The dense matrices W(g), which act on column vectors.

        Shape:
            (elements, d, d)
        """
        return np.eye(self.size)[self.table.cpu().numpy()]


def regular(group: Group, size: int) -> PermutationAction:
    """The paper's action on latent vectors: copies of the regular representation, then trivial padding.

    ``W(g) e_h = e_(g h)`` in each of the ``size // |G|`` blocks of entries; what is left at the end stays.

    Raises:
        ValueError: if the latent vector is smaller than the group.
    """
    if size < group.order:
        raise ValueError(
            f"a latent vector of {size} entries does not hold the regular representation of {group.name}, "
            f"which needs {group.order}; tap a layer with more"
        )
    return PermutationAction(_in_blocks(group.table[group.inverse], size))


def _in_blocks(block: np.ndarray, size: int) -> np.ndarray:
    """The same table for each full block of entries, and the identity for the rest."""
    elements, order = block.shape
    table = np.tile(np.arange(size), (elements, 1))
    copies = size // order
    shifts = np.repeat(order * np.arange(copies), order)
    table[:, : copies * order] = np.tile(block, (1, copies)) + shifts
    return table


def grid(group: Group, size: int) -> PermutationAction:
    """The action on feature maps by turning and mirroring each map: `shared.algebra.actions.act_image`.

    On a grid of even size this is again a multiple of the regular representation of the rotations.

    Raises:
        ValueError: if an element does not permute the pixels.
    """
    return PermutationAction(grid_permutation(group, size), axes=2)


def volume(group: Group, size: int) -> PermutationAction:
    """The action on cubes of ``size`` voxels a side: `shared.algebra.actions.act_volume`.

    Raises:
        ValueError: if the group acts neither on space nor, by permutations of its points, on the plane.
    """
    if (group.family or ("",))[0] != "octahedral" and not exact_on_grid(group):
        raise ValueError(
            f"{group.name} does not map voxels to voxels; use the rotations of the cube, C1, C2, C4, D1, D2 "
            "or D4."
        )
    voxels = torch.arange(size**3).reshape(size, size, size)
    return PermutationAction(
        torch.stack([act_volume(group, g, voxels).flatten() for g in range(group.order)]), axes=3
    )


def trivial(group: Group, size: int) -> PermutationAction:
    """Control: nothing moves, so that the loss asks for invariant features."""
    return PermutationAction(np.tile(np.arange(size), (group.order, 1)))


def wrong_group(group: Group, size: int) -> PermutationAction:
    """Control: the regular representation of the cyclic group of equal order, element i for element i.

    Raises:
        ValueError: if the latent vector is smaller than the group, or the group is that cyclic one.
    """
    other = cyclic(group.order)
    if (other.table == group.table).all():
        raise ValueError(f"{group.name} is the cyclic group of its order itself; there is no wrong one here")
    return regular(other, size)


def shuffled(group: Group, size: int, seed: int = 0) -> PermutationAction:
    """Control: a random permutation for each element but the identity; not a representation."""
    random = np.random.RandomState(seed)
    rows = [np.arange(size), *(random.permutation(size) for _ in range(group.order - 1))]
    return PermutationAction(np.array(rows))


def cosets(group: Group, size: int, seed: int = 0) -> PermutationAction:
    """Control: a random permutation representation, on the cosets ``h H`` of random subgroups, then padding.

    Subgroups are those that one or two random elements generate, and not trivial: the regular representation
    is not among them. Orbits are added as long as they fit.

    Raises:
        ValueError: if the group has only one element.
    """
    if group.order < 2:
        raise ValueError("a group of one element has no other representation; take a larger one")
    random = np.random.RandomState(seed)
    table = np.tile(np.arange(size), (group.order, 1))
    start = 0
    for _ in range(_TRIES):
        subgroup = group.generate(random.randint(group.order, size=random.randint(1, 3)).tolist())
        index = group.order // len(subgroup)
        if len(subgroup) == 1 or index == 1 or start + index > size:
            continue
        smallest = group.table[:, list(subgroup)].min(axis=1)
        names = np.unique(smallest)
        # g moves coset c to g c, so that entry c of the result is entry g^-1 c of the vector
        sources = np.searchsorted(names, smallest[group.table[group.inverse][:, names]])
        table[:, start : start + index] = start + sources
        start += index
    return PermutationAction(table)


def latent_loss(move: Move, z: Tensor, moved_z: Tensor, g: Tensor) -> Tensor:
    """Mean over batch and entries of ``(W(g) E(x) - E(g x))^2``; the gradient flows through both.

    Raises:
        ValueError: if the two differ in shape, which would broadcast; and as the action.
    """
    if z.shape != moved_z.shape:
        raise ValueError(f"features of shapes {tuple(z.shape)} and {tuple(moved_z.shape)} cannot be compared")
    return (move(z, g) - moved_z).square().mean()


def tapped(network: nn.Module, layer: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output of a network and of one of its layers.

    Args:
        network: any module.
        layer: name of a submodule, as in ``network.get_submodule``.
        x: a batch of inputs.

    Raises:
        ValueError: if there is no such layer, it did not run exactly once, or its output is not one tensor.
    """
    known = dict(network.named_modules())
    if layer not in known:
        raise ValueError(f"the network has no layer {layer!r}; it has {', '.join(n for n in known if n)}")
    seen: list[Tensor] = []
    hook = known[layer].register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        output = network(x)
    finally:
        hook.remove()
    if len(seen) != 1 or not isinstance(seen[0], Tensor):
        raise ValueError(f"layer {layer!r} ran {len(seen)} times; it must give one tensor, once")
    return output, seen[0]


class LatentLoss:
    """Runs a network on inputs and moved inputs, and gives what the latent loss says of its features.

    Not a module: the network keeps its parameters, its ``state_dict`` and its ``forward``.

    Args:
        network: any module.
        layer: name of the submodule whose output is the latent vector, as in ``network.get_submodule``.
        group: the group; elements are numbered as in it.
        move: the action on the features; `regular`, of the size of the last axis, if left out.
    """

    def __init__(self, network: nn.Module, layer: str, group: Group, move: Move | None = None) -> None:
        self.network, self.layer, self.group, self.move = network, layer, group, move

    def __call__(self, x: Tensor, moved_x: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs for ``x`` and for ``moved_x``, and the latent loss, to be weighted.

        Args:
            x: a batch of inputs.
            moved_x: sample by sample ``g x``.
            g: (B,) int64, the elements.

        Raises:
            ValueError: if features are no vectors and no action was given; and as `tapped`, `regular` and
                `latent_loss`.
        """
        output, z = tapped(self.network, self.layer, x)
        moved_output, moved_z = tapped(self.network, self.layer, moved_x)
        if self.move is None:
            if z.ndim != 2:
                raise ValueError(
                    f"layer {self.layer!r} gives features of shape {tuple(z.shape)}, not vectors; tap a "
                    "flattened layer, or say how they move, for feature maps by latent.grid"
                )
            self.move = regular(self.group, z.shape[-1])
        return output, moved_output, latent_loss(self.move, z, moved_z, g)

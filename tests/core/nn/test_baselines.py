"""escnn and e2cnn: the same groups and representations, and layers equal weight for weight."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.algebra.actions import act_features, act_image
from shared.algebra.groups import Group, cyclic, dihedral, direct_product, octahedral
from shared.algebra.irreps import irreps
from shared.algebra.representations import Representation, defining, regular
from shared.base.errors import UserError
from shared.nn import (
    GlobalAvgPool,
    GroupBatchNorm,
    GroupConv,
    GroupPool,
    LiftingConv,
    SpatialMaxPool,
    baselines,
)

ROOT = Path(__file__).resolve().parents[3]
C4, D4 = cyclic(4), dihedral(4)
TOLERANCE = 1e-5


def usable(name: str) -> str:
    """Skip the test where a library is missing, or numpy is too new for it; any other trouble fails it."""
    if int(np.__version__.split(".")[0]) >= 2:
        pytest.skip(f"{name} needs numpy below 2")
    pytest.importorskip(name)
    return name


@pytest.fixture(params=["escnn", "e2cnn"])
def backend(request: pytest.FixtureRequest) -> str:
    return usable(request.param)


@pytest.fixture
def only_escnn() -> str:
    return usable("escnn")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative(error: Tensor, to: Tensor) -> float:
    return float(error.detach().abs().max() / to.detach().abs().max())


def compare_group(backend: str, group: Group) -> None:
    """The library's table, regular representation and irreps are ours, the irreps up to change of basis."""
    reference = baselines.group_representations(backend, group)
    assert np.array_equal(reference.table, group.table)
    assert np.allclose(reference.regular, regular(group).matrices, atol=1e-9)
    theirs = [Representation(group, matrices) for matrices in reference.irreps]
    matches = [part.multiplicities(irreps(group)) for part in theirs]
    assert sorted(matches, reverse=True) == [
        tuple(row) for row in np.eye(len(irreps(group)), dtype=int).tolist()
    ]
    for part, counts in zip(theirs, matches):
        ours = irreps(group)[counts.index(1)]
        assert part.character == pytest.approx(ours.character, abs=1e-9)
        assert part.schur_norm == pytest.approx(ours.schur_norm)


@pytest.mark.parametrize("group", [*map(cyclic, range(1, 9)), *map(dihedral, range(2, 7))], ids=repr)
def test_planar_groups_agree(backend: str, group: Group) -> None:
    compare_group(backend, group)


@pytest.mark.parametrize(
    "group",
    [octahedral(), direct_product(cyclic(3), dihedral(3)), direct_product(cyclic(3), cyclic(4))],
    ids=repr,
)
def test_octahedral_group_and_products_agree_with_escnn(only_escnn: str, group: Group) -> None:
    compare_group(only_escnn, group)


@pytest.mark.parametrize("group", [cyclic(4), cyclic(8), dihedral(4), dihedral(3)], ids=repr)
def test_elements_move_the_plane_as_in_escnn(only_escnn: str, group: Group) -> None:
    space = baselines.plane(only_escnn, group)
    n = group.family[1][0]
    for g in range(group.order):
        value = g if group.family[0] == "cyclic" else divmod(g, n)
        theirs = space.basespace_action(space.fibergroup.element(value))
        assert np.allclose(theirs, defining(group)(g), atol=1e-12)


def test_e2cnn_has_no_octahedral_group() -> None:
    usable("e2cnn")
    with pytest.raises(ValueError, match="cyclic and dihedral"):
        baselines.group_representations("e2cnn", octahedral())


def conv_pair(
    backend: str, group: Group, first: bool, kernel: int, stride: int, padding: int, bias: bool = True
) -> tuple[baselines.SteerableConv, LiftingConv | GroupConv]:
    torch.manual_seed(kernel + 10 * stride)
    basis = {"rings": [0.5**0.5], "frequencies_cutoff": 2.0} if kernel == 2 else {}  # empty by default
    theirs = baselines.regular_conv(
        backend, group, 2, 3, kernel, stride=stride, padding=padding, first=first, bias=bias, **basis
    )
    if bias:
        nn.init.normal_(theirs.layer.bias)
    return theirs, baselines.to_ours(theirs)


def compare_conv(backend: str, group: Group, first: bool, kernel: int, stride: int, padding: int) -> None:
    theirs, ours = conv_pair(backend, group, first, kernel, stride, padding)
    assert isinstance(ours, LiftingConv if first else GroupConv)
    dense = baselines.expand_filter(theirs)
    assert relative(dense - ours.filter_bank(), dense) < TOLERANCE
    x = numbers(2, 2, 9, 9) if first else numbers(2, 2, group.order, 9, 9)
    for mode in (True, False):
        theirs.train(mode)
        y = theirs(x)
        assert y.shape[1:3] == (3, group.order)
        assert relative(y - ours(x), y) < TOLERANCE


@pytest.mark.parametrize("group", [C4, D4], ids=repr)
@pytest.mark.parametrize("first", [True, False], ids=["lifting", "group"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (4, 1, 0), (5, 2, 2)])
def test_convolutions_are_equal_weight_for_weight(
    backend: str, group: Group, first: bool, kernel: int, stride: int, padding: int
) -> None:
    compare_conv(backend, group, first, kernel, stride, padding)


@pytest.mark.slow
@pytest.mark.parametrize("group", [C4, D4, cyclic(2), dihedral(2)], ids=repr)
@pytest.mark.parametrize("first", [True, False], ids=["lifting", "group"])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 7])
def test_convolutions_are_equal_for_every_stride_and_padding(
    backend: str, group: Group, first: bool, kernel: int
) -> None:
    for stride, padding in itertools.product((1, 2, 3), (0, 1, 3)):
        compare_conv(backend, group, first, kernel, stride, padding)


def test_gradients_agree_on_the_input(backend: str) -> None:
    theirs, ours = conv_pair(backend, D4, False, 3, 2, 1)
    x = numbers(2, 2, 8, 7, 7)
    gradients = [
        torch.autograd.grad(layer(copied).square().sum(), copied)[0]
        for layer in (theirs, ours)
        for copied in [x.clone().requires_grad_()]
    ]
    assert relative(gradients[0] - gradients[1], gradients[0]) < TOLERANCE


@pytest.mark.parametrize("group", [C4, D4], ids=repr)
def test_wrapped_layers_are_equivariant_in_our_element_order(backend: str, group: Group) -> None:
    lifting = baselines.regular_conv(backend, group, 2, 3, 5, stride=2, padding=2, first=True).eval()
    inner = baselines.regular_conv(backend, group, 3, 2, 3, padding=1).eval()
    pool = baselines.group_pool(backend, group, 2)
    x = numbers(2, 2, 9, 9)
    lifted = lifting(x)
    out = inner(lifted)
    for g in range(group.order):
        moved = lifting(act_image(group, g, x))
        assert relative(moved - act_features(group, g, lifted), lifted) < TOLERANCE
        assert relative(inner(moved) - act_features(group, g, out), out) < TOLERANCE
        pooled = pool(inner(moved))
        assert relative(pooled - act_image(group, g, pool(out)), out) < TOLERANCE


def test_wrong_conversions_are_noticed(backend: str) -> None:
    """The comparison has teeth: another element order, direction of rotation or mirror axis fails it."""
    theirs, ours = conv_pair(backend, D4, False, 3, 1, 1)
    dense = baselines.expand_filter(theirs)
    broken = [
        ours.weight.roll(1, 2),
        ours.weight[:, :, D4.inverse.tolist()],
        ours.weight.rot90(1, (-2, -1)),
        ours.weight.flip(-2),
    ]
    for weight in broken:
        wrong = copy.deepcopy(ours)
        wrong.weight.data.copy_(weight)
        assert relative(dense - wrong.filter_bank(), dense) > 0.1


def baseline(backend: str, group: Group) -> nn.Sequential:
    """A small network of the kind that P4CNN is."""
    return nn.Sequential(
        baselines.regular_conv(backend, group, 1, 4, 3, first=True),
        baselines.regular_batchnorm(backend, group, 4),
        nn.ReLU(),
        SpatialMaxPool(2),
        nn.Sequential(baselines.regular_conv(backend, group, 4, 6, 3, padding=1, bias=False), nn.ReLU()),
        baselines.group_pool(backend, group, 6),
        GlobalAvgPool(),
        nn.Linear(6, 10),
    )


@pytest.mark.parametrize("group", [C4, D4], ids=repr)
def test_whole_networks_are_converted(backend: str, group: Group) -> None:
    torch.manual_seed(0)
    theirs = baseline(backend, group)
    x = numbers(4, 1, 12, 12)
    for seed in range(3):  # running statistics away from their start
        theirs(numbers(8, 1, 12, 12, seed=seed) * 2 + 1)
    nn.init.normal_(theirs[1].layer.get_parameter(f"batch_norm_[{group.order}].weight"))
    ours = baselines.to_ours(theirs)
    kinds = [
        LiftingConv,
        GroupBatchNorm,
        nn.ReLU,
        SpatialMaxPool,
        nn.Sequential,
        GroupPool,
        GlobalAvgPool,
        nn.Linear,
    ]
    assert [type(layer) for layer in ours] == kinds
    assert isinstance(theirs[0], baselines.SteerableConv)
    for mode in (True, False):
        y = theirs.train(mode)(x)
        assert relative(y - ours.train(mode)(x), y) < TOLERANCE
    norm = next(m for m in theirs[1].modules() if isinstance(m, nn.BatchNorm3d))
    for name in ("running_mean", "running_var"):  # the forward pass in training mode moved both alike
        assert torch.allclose(getattr(norm, name), getattr(ours[1], name), atol=1e-4)
    before = ours(x)
    with torch.no_grad():
        theirs[-1].weight.zero_()
    assert torch.equal(ours(x), before)  # the copy has weights of its own


def test_converted_layers_keep_their_settings(backend: str) -> None:
    theirs, ours = conv_pair(backend, C4, True, 3, 2, 1, bias=False)
    for name in ("kernel_size", "stride", "padding", "dilation", "in_channels", "out_channels", "group"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.bias is None
    dilated = baselines.regular_conv(backend, C4, 1, 1, 3, first=True, dilation=2)
    x = numbers(1, 1, 8, 8)
    assert relative(dilated(x) - baselines.to_ours(dilated)(x), dilated(x)) < TOLERANCE


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
def test_padding_modes_and_groups_are_converted(backend: str, mode: str) -> None:
    for first, groups in itertools.product((True, False), (1, 2)):
        theirs = baselines.regular_conv(
            backend, C4, 2, 4, 3, padding=1, first=first, padding_mode=mode, groups=groups
        )
        x = numbers(2, 2, 9, 9) if first else numbers(2, 2, 4, 9, 9)
        y = theirs(x)
        assert relative(y - baselines.to_ours(theirs)(x), y) < TOLERANCE


def test_ties_are_converted(backend: str) -> None:
    conv, line = baselines.regular_conv(backend, C4, 2, 2, 3, padding=1), nn.Linear(2, 2)
    net = nn.Sequential(conv, nn.ReLU(), conv, GlobalAvgPool(), GroupPool(), line, line)
    ours = baselines.to_ours(net)
    assert ours[0] is ours[2]
    assert ours[5] is ours[6]
    assert ours[5] is not line


def test_what_has_no_twin_is_not_converted(backend: str) -> None:
    library = baselines.load(backend)

    def field(count: int) -> object:
        return baselines.field_type(backend, C4, count, True)

    def wrapped(layer: nn.Module, kind: type = baselines.SteerableConv, *first: bool) -> nn.Module:
        return kind(layer, library.nn.GeometricTensor, C4, *first)

    class Own(baselines.SteerableConv):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).roll(1, -1)

    plain = library.nn.R2Conv(field(1), field(2), 3)
    irreps = library.nn.FieldType(baselines.plane(backend, C4), 4 * [baselines.plane(backend, C4).irrep(0)])
    hooked, replaced = (baselines.regular_conv(backend, C4, 1, 1, 3) for _ in range(2))
    hooked.layer.register_forward_hook(lambda *_: None)
    replaced.forward = lambda x: x
    norm = library.nn.InnerBatchNorm(field(2), affine=False)
    for module, message in (
        (nn.Sequential(nn.ReLU(), plain), rf"^1 is a R2Conv of {backend} itself"),
        (wrapped(library.nn.R2Conv(irreps, field(1), 3), baselines.SteerableConv, False), "other fields"),
        (wrapped(library.nn.R2Conv(field(1), irreps, 3), baselines.SteerableConv, False), "other fields"),
        (nn.Sequential(wrapped(plain, Own, False)), "0 changes what Own does"),
        (replaced, "changes what SteerableConv does"),
        (hooked, "has hooks"),
        (wrapped(norm, baselines.SteerableBatchNorm), "no weights"),
    ):
        with pytest.raises(ValueError, match=message):
            baselines.to_ours(module)


def test_misuse_is_refused(backend: str) -> None:
    with pytest.raises(ValueError, match="no baseline"):
        baselines.regular_conv(backend, octahedral(), 1, 1, 3)
    layer = baselines.regular_conv(backend, C4, 2, 3, 3)
    with pytest.raises(ValueError, match=r"expected \(batch, 2, 4, height, width\)"):
        layer(numbers(1, 8, 5, 5))
    eight = baselines.regular_conv(backend, cyclic(8), 1, 1, 3, first=True)
    assert eight(numbers(1, 1, 5, 5)).shape == (1, 1, 8, 3, 3)
    with pytest.raises(ValueError, match="C8"):
        baselines.to_ours(eight)


@pytest.mark.parametrize("name", ["escnn", "e2cnn"])
def test_a_missing_library_ends_in_one_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(module: str, *_: object) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}")

    monkeypatch.setattr(baselines.np, "__version__", "1.26.4")
    monkeypatch.setattr(baselines.importlib, "import_module", refuse)
    baselines.load.cache_clear()
    baselines.plane.cache_clear()
    try:
        assert baselines.available(name) is False
        with pytest.raises(UserError, match=f"{name} cannot be imported.*pip install"):
            baselines.regular_conv(name, C4, 1, 1, 3)
    finally:
        baselines.load.cache_clear()


@pytest.mark.parametrize("name", ["escnn", "e2cnn"])
def test_a_numpy_too_new_for_the_libraries_ends_in_one_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines.np, "__version__", "2.1.0")
    baselines.load.cache_clear()
    try:
        assert baselines.available(name) is False
        with pytest.raises(UserError, match=r"numpy below 2, but 2\.1\.0"):
            baselines.group_representations(name, C4)
    finally:
        baselines.load.cache_clear()


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(UserError, match="did you mean 'escnn'"):
        baselines.available("esccn")


def test_importing_the_module_imports_neither_library() -> None:
    check = "import sys, shared.nn.baselines; sys.exit(bool({'escnn', 'e2cnn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0

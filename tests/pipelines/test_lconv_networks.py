"""The networks of the L-conv pipeline against the fact sheet: counts, layers that count, penalties."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pipelines.lconv import counts, models
from pipelines.lconv.settings import Settings
from shared.base.errors import UserError
from shared.nn.penalties import closure_penalty

#: Pixels, channels and classes.
SHAPES = {"mnist": (784, 1, 10), "cifar10": (1024, 3, 10), "cifar100": (1024, 3, 100)}
#: Fact sheet 2.1: data, layers, rank -> all parameters of L-conv, and those trained with random generators.
LCONV = {
    ("mnist", 1, 6): (326_730, 251_466),
    ("mnist", 1, 8): (351_818, 251_466),
    ("mnist", 1, 16): (452_170, 251_466),
    ("mnist", 2, 16): (662_378, 260_970),
    ("cifar10", 1, 6): (427_146, 328_842),
    ("cifar10", 1, 8): (459_914, 328_842),
    ("cifar10", 1, 16): (590_986, 328_842),
    ("cifar10", 2, 16): (862_634, 338_346),
    ("cifar100", 1, 6): (3_376_356, 3_278_052),
    ("cifar100", 1, 8): (3_409_124, 3_278_052),
    ("cifar100", 1, 16): (3_540_196, 3_278_052),
    ("cifar100", 2, 8): (3_549_700, 3_287_556),
    ("cifar100", 2, 16): (3_811_844, 3_287_556),
}
#: Data, rank -> FC with the structure of L-conv, with one and with two layers.
FC = {
    ("mnist", 6): (1_673_120, 4_407_766),
    ("mnist", 8): (2_138_834, 5_776_666),
    ("mnist", 16): (4_001_690, 11_252_266),
    ("cifar10", 6): (2_295_872, 5_867_638),
    ("cifar10", 8): (2_941_010, 7_692_442),
    ("cifar10", 16): (5_521_562, 14_991_658),
    ("cifar100", 6): (5_245_082, 8_816_848),
    ("cifar100", 8): (5_890_220, 10_641_652),
    ("cifar100", 16): (8_470_772, 17_940_868),
}
#: Data -> CNN and CNN with pools, with one and with two layers.
CNN = {
    "mnist": ((216_650, 193_898), (200_330, 164_458)),
    "cifar10": ((288_906, 261_034), (270_026, 226_474)),
    "cifar100": ((2_880_996, 2_519_044), (2_692_196, 2_173_444)),
}
#: Data, rank -> hidden units and parameters of the shallow FC.
SHALLOW = {
    ("mnist", 6): (411, 326_755),
    ("mnist", 8): (443, 352_195),
    ("mnist", 16): (569, 452_365),
    ("cifar10", 6): (139, 428_547),
    ("cifar10", 8): (149, 459_377),
    ("cifar10", 16): (192, 591_946),
    ("cifar100", 6): (1064, 3_376_172),
    ("cifar100", 8): (1075, 3_411_075),
    ("cifar100", 16): (1116, 3_541_168),
}
TINY = Settings(width=4, generators=2, rank=2)


def built(settings: Settings, side: int = 8, channels: int = 2, classes: int = 3, seed: int = 0):
    return models.build(settings, seed, channels, side, classes)


def flat(network) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize(("data", "layers", "rank"), LCONV)
def test_counts_of_lconv_are_those_of_the_fact_sheet(data, layers, rank):
    settings = Settings(layers=layers, rank=rank)
    both = [counts.trainable(replace(settings, model=m), *SHAPES[data]) for m in ("lconv", "random")]
    assert tuple(both) == LCONV[data, layers, rank]


@pytest.mark.parametrize(("data", "rank"), FC)
def test_counts_of_fc_are_those_of_the_fact_sheet(data, rank):
    for layers, count in zip((1, 2), FC[data, rank]):
        assert counts.trainable(Settings(model="fc", layers=layers, rank=rank), *SHAPES[data]) == count
    units, count = SHALLOW[data, rank]
    settings = Settings(model="fc_shallow", rank=rank)
    assert counts.shallow_width(settings, *SHAPES[data]) == units
    assert counts.trainable(settings, *SHAPES[data]) == count


@pytest.mark.parametrize("data", CNN)
def test_counts_of_cnns_are_those_of_the_fact_sheet(data):
    for model, both in zip(("cnn", "cnn_pool"), CNN[data]):
        for layers, count in zip((1, 2), both):
            assert counts.trainable(Settings(model=model, layers=layers), *SHAPES[data]) == count


@pytest.mark.parametrize(
    ("extra", "count"),
    [
        ({"generators": 5, "rank": 8, "width": 16}, 188_362),
        ({"generators": 7, "rank": 6, "width": 16}, 191_562),
        ({"generators": 5, "rank": 6, "width": 24}, 235_498),
        ({"model": "cnn", "kernel": (2, 3)}, 224_874),
        ({"model": "cnn", "kernel": (4, 4)}, 200_554),
        ({"model": "cnn", "kernel": (5, 5)}, 185_162),
        ({"model": "cnn", "kernel": (2, 2), "width": 24}, 175_090),
        ({"generators": 9, "bias": "one"}, 477_034),  # the text read literally
    ],
)
def test_counts_printed_in_the_notebooks(extra, count):
    assert counts.trainable(Settings(**extra), *SHAPES["mnist"]) == count


@pytest.mark.parametrize("model", ["lconv", "random", "cnn", "cnn_pool", "fc", "fc_shallow"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", ["each", "one"])
def test_networks_have_as_many_parameters_as_counted(model, layers, bias):
    settings = replace(TINY, model=model, layers=layers, bias=bias)
    network = built(settings)
    assert models.count_parameters(network) == counts.trainable(settings, 64, 2, 3)
    assert network(torch.randn(5, 2, 8, 8)).shape == (5, 3)


def test_the_real_networks_have_them_too():
    for model, count in (("lconv", 452_170), ("random", 251_466), ("cnn", 216_650), ("fc_shallow", 452_365)):
        assert models.count_parameters(built(Settings(model=model), 28, 1, 10)) == count


def test_the_script_forgets_the_frozen_part_of_the_first_layer():
    """D6: with two layers of random generators it takes off those of the last one only."""
    settings = Settings(model="random", layers=2)
    trained = counts.trainable(settings, *SHAPES["mnist"])
    assert counts.as_released(settings, *SHAPES["mnist"]) == trained + 200_704
    for same in (replace(settings, layers=1), replace(settings, model="lconv")):
        assert counts.as_released(same, *SHAPES["mnist"]) == counts.trainable(same, *SHAPES["mnist"])


@pytest.mark.parametrize("model", ["cnn", "cnn_pool", "fc"])
def test_two_layers_as_released_are_one(model):
    """D3: each layer of a baseline starts from the input again."""
    one = replace(TINY, model=model)
    released, proper = replace(one, layers=2, two_layers="released"), replace(one, layers=2)
    assert torch.equal(flat(built(one)), flat(built(released)))
    assert flat(built(proper)).shape != flat(built(one)).shape


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    one, two, other = (built(TINY, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(flat(one), flat(two))
    assert not torch.equal(flat(one), flat(other))


def test_dense_layers_start_as_in_keras():
    """Glorot uniform, within sqrt(6 / (fan in + fan out)), and zero biases."""
    network = built(Settings(model="cnn"), 28, 1, 10)
    convolution, classifier = network[0], network[-1]
    for layer, fans in ((convolution, 9 * 33), (classifier, 26 * 26 * 32 + 10)):
        limit = (6 / fans) ** 0.5
        assert layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.1)
        assert not layer.bias.any()


def test_the_penalty_reaches_the_generators_and_not_the_outputs():
    settings = replace(TINY, generators=3, closure=0.7, killing=0.0)
    plain, penalized = built(replace(settings, closure=0.0)), built(settings)
    x, labels = torch.randn(6, 2, 8, 8), torch.randint(3, (6,))
    for network in (plain, penalized):
        F.cross_entropy(network(x), labels).backward()
    assert torch.equal(plain(x), penalized(x))
    layer = penalized.layers[0]
    alone = torch.autograd.grad(0.7 * closure_penalty(layer), layer.decoder)[0]
    found = layer.decoder.grad - plain.layers[0].decoder.grad
    torch.testing.assert_close(found, alone, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(penalized.classifier.weight.grad, plain.classifier.weight.grad)
    penalized.zero_grad()
    F.cross_entropy(penalized.eval()(x), labels).backward()
    plain.zero_grad()
    F.cross_entropy(plain(x), labels).backward()
    assert torch.equal(penalized.layers[0].decoder.grad, plain.layers[0].decoder.grad), "no penalty in tests"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "lconf"}, "lconv"),
        ({"variant": "rotate"}, "rotated"),
        ({"layers": 3}, "1 or 2 hidden layers"),
        ({"rank": -1}, "rank is -1"),
        ({"width": 0}, "width is 0"),
        ({"angle": 270.0}, "0 to 180"),
        ({"kernel": (0, 3)}, "0x3"),
        ({"model": "cnn", "closure": 0.1}, "no generators that learn"),
        ({"model": "fc", "rank": 0}, "rank of 1 or more"),
        ({"model": "fc_shallow", "layers": 2, "two_layers": "released"}, "two_layers: proper"),
    ],
)
def test_wrong_settings_are_explained(wrong, message):
    with pytest.raises(UserError, match=message):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(rank=65), "rank must be from 1 to 64"),
        (Settings(model="cnn", kernel=(9, 9)), "leave nothing of 8 pixels"),
        (Settings(model="cnn_pool", kernel=(4, 4), layers=2), "use a smaller kernel"),
    ],
)
def test_settings_that_do_not_fit_the_images_are_explained(settings, message):
    with pytest.raises(UserError, match=message):
        built(settings)

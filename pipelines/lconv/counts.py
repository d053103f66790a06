"""Parameter counts of the networks from their shapes (fact sheet 2.1); without torch."""

from __future__ import annotations

from pipelines.lconv.settings import Settings
from shared.base.errors import UserError


def layer(settings: Settings, pixels: int, channels: int) -> dict[str, int]:
    """Entries of one L-conv layer: ``generators`` (U and V, or full L), ``weights`` W and ``biases``."""
    full = pixels * pixels
    one = 2 * settings.rank * pixels if settings.rank else full
    biases = settings.terms if settings.bias == "each" else 1
    return {
        "generators": settings.generators * one,
        "weights": settings.terms * channels * settings.width,
        "biases": biases * settings.width,
    }


def lconv(settings: Settings, pixels: int, channels: int, classes: int) -> dict[str, int]:
    """Entries of the whole L-conv network, by kind, with those of frozen generators too."""
    parts = [layer(settings, pixels, channels if n == 0 else settings.width) for n in range(settings.layers)]
    total = {key: sum(part[key] for part in parts) for key in parts[0]}
    return total | {"classifier": dense(pixels * settings.width, classes)}


def dense(inputs: int, outputs: int) -> int:
    """Weights and biases of a fully connected layer."""
    return (inputs + 1) * outputs


def fc(settings: Settings, pixels: int, channels: int, classes: int) -> int:
    """FC with the structure of L-conv: for each layer a dense one to K k values and one to all features."""
    features, inner = pixels * settings.width, settings.terms * settings.rank
    first = dense(pixels * channels, inner) + dense(inner, features)
    second = dense(features, inner) + dense(inner, features)
    repeated = settings.layers == 2 and settings.two_layers == "proper"
    return first + repeated * second + dense(features, classes)


def shallow_width(settings: Settings, pixels: int, channels: int, classes: int) -> int:
    """Hidden units with which one hidden layer has as many parameters as L-conv: P / (c + d m0), rounded."""
    wanted = sum(lconv(settings, pixels, channels, classes).values())
    return round(wanted / (classes + pixels * channels))


def fc_shallow(settings: Settings, pixels: int, channels: int, classes: int) -> int:
    """FC with one hidden layer of `shallow_width` units."""
    units = shallow_width(settings, pixels, channels, classes)
    return dense(pixels * channels, units) + dense(units, classes)


def cnn_sides(settings: Settings, side: int) -> tuple[int, int]:
    """Height and width of the feature map behind the last convolution (and pool).

    Raises:
        UserError: if nothing is left of the image.
    """
    count = settings.layers if settings.two_layers == "proper" else 1
    lost = [count * (k - 1 + (settings.model == "cnn_pool")) for k in settings.kernel]
    sides = (side - lost[0], side - lost[1])
    if min(sides) < 1:
        kernel = "x".join(map(str, settings.kernel))
        raise UserError(
            f"{count} convolutions of {kernel} leave nothing of {side} pixels; use a smaller kernel"
        )
    return sides


def cnn(settings: Settings, pixels: int, channels: int, classes: int) -> int:
    """CNN without padding, with or without the pools."""
    height, width = cnn_sides(settings, round(pixels**0.5))
    area = settings.kernel[0] * settings.kernel[1]
    count = settings.layers if settings.two_layers == "proper" else 1
    inputs = [channels if n == 0 else settings.width for n in range(count)]
    convolutions = sum((area * m + 1) * settings.width for m in inputs)
    return convolutions + dense(height * width * settings.width, classes)


def trainable(settings: Settings, pixels: int, channels: int, classes: int) -> int:
    """Trainable parameters of the network of ``settings``."""
    shape = (pixels, channels, classes)
    if settings.model in ("lconv", "random"):
        parts = lconv(settings, *shape)
        return sum(parts.values()) - (parts["generators"] if settings.model == "random" else 0)
    return {"cnn": cnn, "cnn_pool": cnn, "fc": fc, "fc_shallow": fc_shallow}[settings.model](settings, *shape)


def as_released(settings: Settings, pixels: int, channels: int, classes: int) -> int:
    """What the released script reports (D6): of random generators it takes off the last layer's only."""
    count = trainable(settings, pixels, channels, classes)
    if settings.model != "random" or settings.layers == 1:
        return count
    return count + (settings.layers - 1) * layer(settings, pixels, settings.width)["generators"]

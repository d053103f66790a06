"""What matters of an activation: whether it keeps zeros, order and sign.

A function that never decreases commutes with maxima, so a maximum of maxima can hide a remainder behind it;
one that keeps zero cannot tell padding from a zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Curve:
    """Properties of a function of one number.

    Args:
        keeps_zero: f(0) = 0.
        rising: never decreases.
        rising_from_zero: never decreases on numbers that are not negative, and maps them to such.
        nonnegative: its values are never negative.
        identity_from_zero: leaves numbers that are not negative as they are.
    """

    keeps_zero: bool = False
    rising: bool = False
    rising_from_zero: bool = False
    nonnegative: bool = False
    identity_from_zero: bool = False


_RELU = Curve(True, True, True, True, identity_from_zero=True)
_LEAKY = Curve(True, True, True, identity_from_zero=True)
_ODD = Curve(True, True, True)
_POSITIVE = Curve(False, True, True, True)
_DIPPED = Curve(True, False, True)

#: By the name of the function, and in lower case of the module.
CURVES: dict[str, Curve] = {
    **dict.fromkeys(("relu", "relu_"), _RELU),
    **dict.fromkeys(("leakyrelu", "leaky_relu", "elu", "celu"), _LEAKY),
    **dict.fromkeys(("selu", "tanh", "hardtanh", "softsign", "tanhshrink", "softshrink", "hardshrink"), _ODD),
    **dict.fromkeys(("sigmoid", "sigmoid_", "softplus", "hardsigmoid", "exp", "sqrt"), _POSITIVE),
    **dict.fromkeys(("logsigmoid", "log", "clamp"), Curve(False, True)),
    **dict.fromkeys(("gelu", "silu", "mish", "hardswish"), _DIPPED),
    "prelu": Curve(True, False, True, identity_from_zero=True),
    "relu6": Curve(True, True, True, True),
    "abs": Curve(True, False, True, True, identity_from_zero=True),
    "square": Curve(True, False, True, True),
    **dict.fromkeys(("sin", "neg"), Curve(True)),
    **dict.fromkeys(("pow", "softmax", "log_softmax", "reciprocal"), Curve()),
}

_KINDS = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU),
    *(nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus),
    *(nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink),
)
#: Modules that are activations, with the name of their curve.
MODULES: dict[type[nn.Module], str] = {kind: kind.__name__.lower() for kind in _KINDS}

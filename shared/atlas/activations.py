"""What matters of an activation: whether it keeps zeros, order and sign.

A function that never decreases commutes with maxima, so a maximum of maxima can hide a remainder behind it;
one that keeps zero cannot tell padding from a zero.
"""

from __future__ import annotations

from dataclasses import dataclass


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
_BENT = Curve(True, False, True, identity_from_zero=True)
_ODD = Curve(True, True, True)
_POSITIVE = Curve(False, True, True, True)
_DIPPED = Curve(True, False, True)

#: By the name of torch's function, with its default arguments.
CURVES: dict[str, Curve] = {
    "relu": _RELU,
    **dict.fromkeys(("leaky_relu", "elu", "celu"), _LEAKY),
    **dict.fromkeys(("selu", "tanh", "softsign", "tanhshrink", "softshrink", "hardshrink", "erf"), _ODD),
    **dict.fromkeys(("hardtanh", "asinh", "atan"), _ODD),
    **dict.fromkeys(("sigmoid", "softplus", "hardsigmoid", "exp", "sqrt"), _POSITIVE),
    **dict.fromkeys(("logsigmoid", "log", "clamp"), Curve(False, True)),
    **dict.fromkeys(("gelu", "silu", "mish", "hardswish"), _DIPPED),
    "prelu": _BENT,
    "relu6": Curve(True, True, True, True),
    "threshold": Curve(False, False),
    "channel_max": _ODD,
    "abs": Curve(True, False, True, True, identity_from_zero=True),
    "square": Curve(True, False, True, True),
    **dict.fromkeys(("sin", "neg"), Curve(True)),
    **dict.fromkeys(("cos", "rsqrt", "pow", "softmax", "log_softmax", "reciprocal"), Curve()),
}
#: The softplus of torch jumps down where it goes over into a line, by 2e-9 at the default threshold.
_LINE_FROM = 20.0


def curve_of(name: str, arguments: tuple[float, ...] = ()) -> Curve:
    """Properties of an activation with these arguments, in the order of torch's function.

    Args:
        name: a key of `CURVES`.
        arguments: of the function after its input; none for the defaults.
    """
    if not arguments:
        return CURVES[name]
    first = arguments[0]
    if name in ("leaky_relu", "elu"):
        return (_LEAKY if first > 0 else _RELU) if first >= 0 else _BENT
    if name == "celu":
        return _LEAKY  # rising whatever the sign of its argument
    if name in ("clamp", "hardtanh"):
        low, high = arguments
        between = low <= 0 <= high
        return Curve(between, True, high >= 0, low >= 0, identity_from_zero=between and high == float("inf"))
    if name == "threshold":
        limit, value = arguments
        rising, below = value <= limit, limit >= 0  # whether zero is below the limit
        return Curve(not below or value == 0, rising, not below or 0 <= value <= limit, below and value >= 0)
    if name == "softplus":
        beta, line_from = arguments
        if beta > 0 and line_from >= _LINE_FROM:
            return _POSITIVE
        return Curve(False, beta < 0 and line_from >= _LINE_FROM, False, beta > 0 and line_from >= 0)
    return CURVES[name] if name in ("softshrink", "hardshrink") and first >= 0 else Curve()

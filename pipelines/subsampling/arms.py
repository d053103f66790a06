"""Names of networks and arms as tables and figures use them."""

from __future__ import annotations

NETWORKS = ("z2cnn_28", "p4cnn_27", "p4cnn_28", "p4cnn_29")
APPROXIMATE = ("p4cnn_27", "p4cnn_29")
EXACT = "p4cnn_28"
PLAIN = "z2cnn_28"
TITLES = {
    "z2cnn_28": "Z2CNN, 28 pixels",
    "p4cnn_27": "P4CNN, 27 pixels",
    "p4cnn_28": "P4CNN, 28 pixels",
    "p4cnn_29": "P4CNN, 29 pixels",
}
SHORT = {"z2cnn_28": "Z2CNN", "p4cnn_27": "P4CNN 27", "p4cnn_28": "P4CNN 28", "p4cnn_29": "P4CNN 29"}
EQUIVARIANCE = {
    "z2cnn_28": "none",
    "p4cnn_27": "approximate",
    "p4cnn_28": "exact",
    "p4cnn_29": "approximate",
}
QUARTERS = (0, 90, 180, 270)


def arm(network: str, training: str) -> str:
    """Arm of a network trained on ``upright`` or ``uniform`` (turned) digits."""
    return f"{network}_{training}"

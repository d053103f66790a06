"""Names of networks and arms as tables and figures use them, and what they are called."""

from __future__ import annotations

#: The four networks of Table 1 and Figures 5 and 6.
NETWORKS = ("z2cnn_28", "p4cnn_27", "p4cnn_28", "p4cnn_29")
APPROXIMATE = ("p4cnn_27", "p4cnn_29")
EXACT = "p4cnn_28"
PLAIN = "z2cnn_28"
QUARTERS = (0, 90, 180, 270)
#: The quarter turns that no upright-trained network has seen.
TURNED = (90, 180, 270)
ANGLES = tuple(range(0, 360, 10))

#: Figure 6: standard deviations of the training angles in degrees, and how often an angle is drawn.
BIASES = (20, 40)
BIAS_EXPERIMENTS = {"figure6": "", "figure6_images": "_image"}

#: Figure 4: an approximate and an exact network, the places of its measurements (the last in ResNet-18 only),
#: and the readings of Eq. 14.
FIGURE4 = ("p4resnet44_32", "p4resnet44_33")
#: The same on the paper's data: the panel of its Figure 4, by experiment.
FIGURE4_PANELS = {"table2_imagenet": "4a", "table2_pcam": "4b"}
STAGE_TITLES = {
    "stem": "stem",
    "stage1": "stage 1",
    "stage2": "stage 2",
    "stage3": "stage 3",
    "stage4": "stage 4",
}
READINGS = ("mse", "root", "l1", "energy")
READING_TITLES = {
    "mse": "A: mean square of D",
    "root": "B: root of the sum of squares, by the number of entries",
    "l1": "C: mean of |D|, summed over three turns",
    "energy": "E: square of D by square of f(x)",
}

#: Table 2: for each data set the approximate, the exact and the standard network.
ROLES = ("approximate", "exact", "standard")
TABLE2 = {
    "flowers102": ("p4resnet18_224", "p4resnet18_225", "resnet18_224"),
    "pcam": ("p4resnet44_96", "p4resnet44_97", "resnet44_96"),
    "cifar10": ("p4resnet44_32", "p4resnet44_33", "resnet44_32"),
    "cifar100": ("p4resnet44_32", "p4resnet44_33", "resnet44_32"),
    "imagenet": ("p4resnet18_224", "p4resnet18_225", "resnet18_224"),
}
DATASETS = {
    "flowers102": "Flowers102",
    "pcam": "PCam",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
}

#: A network with one block a stage that a CPU trains, in the order of `ROLES`; experiment ``table2_reduced``.
REDUCED = ("p4resnet8_32", "p4resnet8_33", "resnet8_32")

#: Controls of our own: other sizes of the same networks, the loader's details, mirrors, padding, repairs.
CONTROLS_REDUCED = ("p4resnet8_29", "p4resnet8_34", "p4resnet8_36")
CONTROLS_CIFAR10 = ("p4resnet44_29", "p4resnet44_34", "p4resnet44_36")
SIDES = tuple(range(24, 35))
SIZES = tuple(f"p4cnn_{side}" for side in SIDES)
CONTROL_NETWORKS = ("z2cnn_28", "p4cnn_27", "p4cnn_28")
CONTROLS = ("upright", "nocrop", "standard")  # the others are compared with the first
#: What the statistics of batch norm are estimated with.
STATISTICS = {
    "running": "running averages of training, with dropout",
    "clean": "estimated after training, without dropout",
}
MIRRORS = ("p4mcnn_27", "p4mcnn_28", "p4mcnn_29", "p4cnn_28")
PADDINGS = ("zeros", "circular", "reflect", "replicate")
#: Zeros in one part of the network only: what tables and figures call them.
PARTLY_ZEROS = {
    "zeros_before": ("zeros before the pool, replicate after it", "zeros\nbefore pool"),
    "zeros_after": ("zeros after the pool, replicate before it", "zeros\nafter pool"),
}
PADDED = {"p4cnn_27": (*PADDINGS, *PARTLY_ZEROS), "p4cnn_28": PADDINGS}
REPAIRED = ("p4cnn_27", "p4cnn_29")
REPAIRS = ("", "resize", "pool")
REPAIR_TITLES = {"": "as published", "resize": "resized to an exact size", "pool": "pool exact at every size"}

#: Arms of the experiment ``networks``: every network of the paper, built and not trained.
INVENTORY = (
    *("z2cnn", "p4cnn", "p4mcnn", "toy"),
    *("resnet44_cifar10", "p4resnet44_cifar10", "p4mresnet44_cifar10"),
    *("resnet44_cifar100", "p4resnet44_cifar100"),
    *("resnet44_pcam", "p4resnet44_pcam"),
    *("resnet18_flowers102", "p4resnet18_flowers102"),
    *("resnet18_imagenet", "p4resnet18_imagenet"),
    *("resnet18_imagenet_standard", "p4resnet18_imagenet_standard"),
)

_NAMES = {
    **DATASETS,
    "toy": "One p4 filter (Figure 3)",
    "standard": "7x7 stem",
    "z2cnn": "Z2CNN",
    "p4cnn": "P4CNN",
    "p4mcnn": "P4MCNN",
    "resnet8": "ResNet-8",
    "p4resnet8": "p4 ResNet-8",
    "resnet44": "ResNet-44",
    "p4resnet44": "p4 ResNet-44",
    "p4mresnet44": "p4m ResNet-44",
    "resnet18": "ResNet-18",
    "p4resnet18": "p4 ResNet-18",
}


def _sized() -> dict[str, tuple[str, int]]:
    """Model and side in pixels of every arm that is called ``model_side``."""
    image = [arm for arms in TABLE2.values() for arm in arms]
    names = (*NETWORKS, *SIZES, *MIRRORS, *image, *REDUCED, *CONTROLS_CIFAR10, *CONTROLS_REDUCED)
    return {name: (name.rpartition("_")[0], int(name.rpartition("_")[2])) for name in dict.fromkeys(names)}


def _word(model: str, side: int) -> str:
    """Whether a network is exact at a size: remainder 0 at each subsampling (fact sheet, section 2.7).

    Tests hold this against what the atlas says of the built networks.
    """
    if not model.startswith("p4"):
        return "none"
    if "cnn" in model:
        return "exact" if side % 2 == 0 else "approximate"
    period = 8 if model.endswith("18") else 4
    return "exact" if side % period == 1 else "approximate"


TITLES = {name: f"{_NAMES[model]}, {side} pixels" for name, (model, side) in _sized().items()}
SHORT = {
    name: _NAMES[model] if model == "z2cnn" else f"{_NAMES[model]} {side}"
    for name, (model, side) in _sized().items()
}
EQUIVARIANCE = {name: _word(model, side) for name, (model, side) in _sized().items()}
PIXELS = {name: side for name, (_, side) in _sized().items()}


def arm(network: str, training: str) -> str:
    """Arm of a network trained on ``upright`` or ``uniform`` (turned) digits, or another variant of it."""
    return f"{network}_{training}"


def biased(network: str, std: int, experiment: str = "figure6") -> str:
    """Arm of a network trained on digits turned by N(45, std^2) degrees, one angle per batch or image."""
    return f"{network}_biased{std}{BIAS_EXPERIMENTS[experiment]}"


def name_of(network: str) -> str:
    """Title of a network of `INVENTORY`: ``p4 ResNet-18, ImageNet, 7x7 stem``."""
    return ", ".join(_NAMES[part] for part in network.split("_"))


def stages(network: str) -> tuple[str, ...]:
    """Where errors of a residual network are measured, in the order of its layers."""
    return tuple(STAGE_TITLES)[: 5 if "resnet18" in network else 4]


def repaired(network: str, repair: str) -> str:
    """Arm of a network with a repair of `REPAIRS`."""
    return f"{network}_{repair}" if repair else network

"""Settings of the L-conv experiments (no torch here: listing and checking must be quick)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.base.errors import UserError, unknown
from shared.runs.api import added

#: Networks that are trained to classify images.
NETWORKS = ("lconv", "random", "cnn", "cnn_pool", "fc", "fc_shallow")
#: Experiments without a classifier.
STUDIES = ("propositions", "regression", "stated", "corollary", "planted")
CHOICES = {
    "model": (*NETWORKS, *STUDIES),
    "variant": ("default", "rotated", "scrambled", "rotated_scrambled"),
    "rotation": ("cubic", "bilinear"),
    "test": ("holdout", "official"),
    "two_layers": ("proper", "released"),
    "bias": ("each", "one"),
    "scale": ("glorot", "unit"),
    "optimizer": ("rmsprop", "adam", "sgd"),
    "hidden": ("rotation", "scrambled", "bilinear", "other", "unrelated"),
}
POSITIVE = ("width", "generators", "batch_size", "epochs", "lr", "side", "depth", "pairs", "steps", "samples")
NOT_NEGATIVE = (
    *("rank", "size", "train_images", "holdout_images", "test_images", "data_seed", "closure", "killing"),
)


@dataclass(frozen=True)
class Settings:
    """One run. Defaults are the protocol of the authors' code (fact sheet, sections 2, 5 and 6).

    Attributes:
        model: "lconv"; "random" (the same with generators frozen as they were drawn); "cnn"; "cnn_pool" (a
            2x2 maximum with stride 1 after each convolution); "fc" (the structure of L-conv without its
            sharing); "fc_shallow" (one hidden layer, as many parameters as L-conv); or a study:
            "propositions", "regression", "planted"; "stated" and "corollary": what the paper states and
            prints beside the corrected formulas of the first two (`pipelines.lconv.stated`).
        dataset: name in datasets.yaml; its first four fifths are trained on, the rest is the paper's test
            set.
        variant: "default"; "rotated": each image turned once; "scrambled": all pixels moved by one
            permutation (D21, not in the paper); "rotated_scrambled": both.
        angle: images are turned by U(-angle, angle) degrees (D12: 180 for the whole circle).
        rotation: D11, "cubic" (spline, edge pixels repeated outside) or "bilinear" (zeros outside).
        clip: D13, cut what the spline overshoots.
        data_seed: of angles and permutation; one for all seeds, so that it is one data set.
        size: side to which images are resized first; 0 for their own.
        train_images, holdout_images, test_images: how many, from the front of each part; 0 for all.
        test: D4, "holdout": the last fifth only, as in the paper; "official": also the official test images,
            by the network of the epoch that was best on the last fifth.
        layers: 1 or 2 hidden layers.
        two_layers: D3, "proper", or "released": each layer of a baseline starts from the input again, so that
            only the last one counts.
        width: filters m1. generators: learned L_i, without the identity (D1: 8 in the code, 9 in the text).
        rank: of each L_i (D2); 0 for full matrices. kernel: of the CNN.
        bias: D10, "each" of the K terms has its own, or "one" for all.
        scale: D9, of random generators: "glorot" as drawn, "unit": rescaled so that ``|L_i x|`` is about
            ``|x|``.
        closure, killing: weights of the penalties on commutators outside the span of the generators, and on
            generators that are not orthogonal under the Killing form (future work in the paper).
        optimizer, lr, batch_size, epochs: constant rate; RMSprop as in Keras.
        pictures: record pictures for a figure (seed 0 only).
        covariance: D16, record how far the generators are from those that Theorem 1 expects.
        hidden: of "planted", what relates the two images of a pair: a "rotation" (exponential of its
            generator); that "scrambled" by a permutation of the pixels; a "bilinear" rotation; "other":
            another generator with the same eigenvalues; "unrelated": nothing.
        side, depth, turn, pairs, steps: of "planted": side of its images, times that one layer is applied,
            angle in degrees, image pairs, optimizer steps.
        samples: of "regression" and "corollary", data points behind each solution.
    """

    model: str = "lconv"
    dataset: str = "mnist"
    variant: str = "default"
    angle: float = 90.0
    rotation: str = "cubic"
    clip: bool = False
    data_seed: int = 0
    size: int = 0
    train_images: int = 0
    holdout_images: int = 0
    test_images: int = 0
    test: str = "holdout"
    layers: int = 1
    two_layers: str = "proper"
    width: int = 32
    generators: int = 8
    rank: int = 16
    kernel: tuple[int, int] = (3, 3)
    bias: str = "each"
    scale: str = "glorot"
    closure: float = 0.0
    killing: float = 0.0
    optimizer: str = "rmsprop"
    lr: float = 0.001
    batch_size: int = 32
    epochs: int = 30
    pictures: bool = False
    hidden: str = "rotation"
    side: int = 7
    depth: int = 8
    turn: float = 9.0
    pairs: int = 2000
    steps: int = 600
    samples: int = 5000
    covariance: bool = added(False)

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(unknown(name, getattr(self, name), known))
        for name in POSITIVE:
            if getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be positive")
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be 0 or more")
        if self.layers not in (1, 2):
            raise UserError(f"layers is {self.layers}; the paper's networks have 1 or 2 hidden layers")
        if self.model == "fc_shallow" and self.two_layers == "released" and self.layers == 2:
            raise UserError("fc_shallow has one hidden layer always; set two_layers: proper")
        if self.model == "fc" and not self.rank:
            raise UserError("rank is 0, but fc has a layer of K times rank units; give a rank of 1 or more")
        if not 0 < self.angle <= 180:
            raise UserError(f"angle is {self.angle:g}; images are turned by 0 to 180 degrees either way")
        if min(self.kernel) < 1:
            raise UserError(f"kernel is {self.kernel[0]}x{self.kernel[1]}; both sides must be 1 or more")
        if (self.closure or self.killing) and self.model != "lconv":
            raise UserError(f"{self.model} has no generators that learn; set closure and killing to 0")

        if self.covariance and self.model not in ("lconv", "random"):
            raise UserError(f"{self.model} has no generators; set covariance: false")

    @property
    def terms(self) -> int:
        """K, the terms of an L-conv layer: its generators and the identity ("n_L" in the paper's figures)."""
        return self.generators + 1

    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that this run reads."""
        return (self.dataset,) if self.model in NETWORKS else ()

    def takes_precision(self) -> bool:
        """Whether the option ``--precision`` has an effect: the studies compute in types of their own."""
        return self.model in NETWORKS

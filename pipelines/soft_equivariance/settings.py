"""Settings of the experiments on relaxed equivariance (no torch here: listing and checking must be quick)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shared.base.errors import UserError, unknown

MODELS = ("strict", "partial", "soft")
#: Experiments that train nothing.
STUDIES = ("", "count", "exact", "pictures", "timing")
CHOICES = {
    "study": STUDIES,
    "model": MODELS,
    "problem": ("classes", "half_turns"),
    "soft_in": ("rotation", "translation", "both"),
    "grid": ("fixed", "shared", "per_layer"),
    "shortcut": ("identity", "learned"),
    "lift_taps": ("support", "center"),
    "support": ("disk", "square"),
    "border": ("replicate", "zeros"),
    "kernel_net": ("authors", "released", "rff"),
    "rot_freq": ("authors", "integer", "free"),
    "domain": ("output", "input"),
    "fan_in": ("stationary", "all"),
    "absolute_weights": ("trained", "frozen"),
    "interval_gradient": ("released", "full"),
    "schedule": ("cosine", "constant"),
}
POSITIVE = (
    *("angles", "kernel", "hidden", "shortcut_hidden", "epochs", "batch_size", "lr", "validate_every"),
    *("draws", "repeats", "symmetry", "interval_rate"),
)
NOT_NEGATIVE = (
    *("omega", "omega_relative", "omega_rotation", "omega_translation", "penalty", "kernel_norm"),
    *("weight_decay", "size", "train_images", "validation_images", "score_images", "test_images", "warmup"),
)


@dataclass(frozen=True)
class Settings:
    """One run. Defaults are the paper's protocol on CIFAR, where it is silent the authors' branch's.

    Numbers in brackets are those of the list of discrepancies (fact sheet, section 7).

    Attributes:
        study: "" trains and tests a network; "count", "timing", "exact" and "pictures" train nothing.
        model: "strict" (T(2) or SE(2), by ``angles``), "partial" (learned intervals of angles), or "soft".
        dataset: name in datasets.yaml.
        problem: "classes", or "half_turns" (MNIST6-180: sixes, and the same turned by 180 degrees).
        size: side to which images are resized first; 0 for their own.
        angles: n, sampled angles; 1 makes a network of T(2).
        soft_in: the group in which a soft network is relaxed: absolute angles, positions or both are
            further inputs of its kernels.
        omega: frequency of the relative positions, of the relative angle in the shortcuts, and unless
            ``omega_relative`` is given of every relative angle.
        omega_relative: of a strict or partial network, frequency of the relative angle in the group
            convolutions (1d); 0 for ``omega``.
        relative_follows: in a soft network, the relative angle's frequency is that of the absolute one,
            omega' (1d, authors' branch).
        omega_rotation, omega_translation: omega', frequencies of absolute angles and positions.
        candidates: cross-validation: omega' is each of these in turn, and the best on the validation images
            is tested.
        learn_omega: omega' is a parameter of each layer and begins at the values above.
        tied: where it is learned, rows and columns share it (14).
        penalty: lambda; lambda times the sum of omega' squared is added to the loss.
        absolute_weights: first-layer weights of absolute coordinates: "trained" or "frozen" (4).
        grid: angles are "fixed" at multiples of 2 pi / n; moved by one random offset in each forward pass,
            "shared" by all layers; or by a new one in each layer, "per_layer" (1b, 13).
        shortcut: of block 1 (1c); the second block's is learned where its channels change.
        lift_taps: of the lifting layer: all of its "support", or the "center" tap alone (1a).
        support: taps of a kernel: a "disk" or the whole "square" (15c).
        border: what stands outside the maps of group convolutions (15b).
        kernel_net: sine network of the "authors" branch or as "released" before, or "rff": random
            Fourier features (2).
        rot_freq: rotation columns of a soft network's first layer: "authors" (1 at the start, trained),
            "integer" (drawn whole numbers, frozen) or "free" (3).
        domain: absolute coordinates of the "output" or "input" element (6).
        fan_in: coordinates that bound the first weights at the start, "stationary" ones, so that networks of
            one seed share them, or "all" (authors' branch).
        bias: of convolutions (10).
        channels: of lift and block 1, and of block 2 and the rest.
        kernel: taps per side. hidden, shortcut_hidden: width of the kernel networks.
        pools: a 2x2 pool after lift (0), block 1 (1), block 2 (2) (8).
        interval_rate: learning rate of intervals relative to ``lr``.
        interval_gradient: of a partial layer's angles: through part of them, as "released", or "full" (22).
        augment: mirror images and crop them after padding with 4 zeros.
        split_seed: of the permutation that parts training and validation images; one for all seeds (17).
        train_images, validation_images, test_images: how many; 0 for all (none to validate on).
        score_images: validation images scored during training; 0 for all.
        epochs, batch_size, lr, schedule, weight_decay: Adam; L2 in its gradient (11).
        warmup: share of the training in which the learning rate rises linearly.
        kernel_norm: weight of the norms of all generated kernels in the loss (11).
        validate_every: epochs between validations; the network of the best one is tested.
        draws: of random angles, with each of which a network is tested.
        repeats: timed steps of "timing".
        symmetry: order of the rotations (1, 2 or 4: those that keep the pixels) to which a network has to be
            exactly invariant; others are refused.
    """

    study: str = ""
    model: str = "strict"
    dataset: str = "cifar10"
    problem: str = "classes"
    size: int = 0
    angles: int = 1
    soft_in: str = "rotation"
    omega: float = 10.0
    omega_relative: float = 0.0
    relative_follows: bool = True
    omega_rotation: float = 0.0
    omega_translation: float = 0.0
    candidates: tuple[float, ...] = ()
    learn_omega: bool = False
    tied: bool = True
    penalty: float = 0.0
    absolute_weights: str = "trained"
    grid: str = "fixed"
    shortcut: str = "identity"
    lift_taps: str = "support"
    support: str = "disk"
    border: str = "replicate"
    kernel_net: str = "authors"
    rot_freq: str = "free"
    domain: str = "output"
    fan_in: str = "stationary"
    bias: bool = False
    channels: tuple[int, int] = (32, 64)
    kernel: int = 7
    hidden: int = 32
    shortcut_hidden: int = 16
    pools: tuple[int, ...] = (1, 2)
    interval_rate: float = 0.1
    interval_gradient: str = "released"
    augment: bool = False
    split_seed: int = 42
    train_images: int = 0
    validation_images: int = 5000
    score_images: int = 0
    test_images: int = 0
    epochs: int = 300
    batch_size: int = 64
    lr: float = 0.001
    schedule: str = "cosine"
    warmup: float = 1 / 60
    weight_decay: float = 0.0
    kernel_norm: float = 0.0
    validate_every: int = 1
    draws: int = 10
    repeats: int = 10
    symmetry: int = 1

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(unknown(name, getattr(self, name), known))
        for name in POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be positive")
        for name in NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"{name} is {getattr(self, name):g}, but it must be 0 or more, and finite")
        self._check_network()
        self._check_omega()
        if self.problem == "half_turns":
            for name in ("train_images", "validation_images", "test_images"):
                if getattr(self, name) % 2:
                    raise UserError(
                        f"{name} is {getattr(self, name)}; half turns come in pairs: make it even"
                    )
        if self.symmetry not in (1, 2, 4):
            raise UserError(f"symmetry: {self.symmetry} is none of a square image; ask for 1, 2 or 4")
        if self.order % self.symmetry:
            raise UserError(
                f"symmetry: {self.symmetry} does not fit: this network is exactly invariant to turns by "
                f"2 pi / {self.order} only; choose angles and frequencies whose order {self.symmetry} divides"
            )

    def _check_network(self) -> None:
        if self.kernel % 2 == 0:
            raise UserError(f"kernel is {self.kernel}, but it needs a center tap; make it odd")
        if min(self.channels) < 1:
            raise UserError(f"channels are {self.channels}; both must be 1 or more")
        if len(set(self.pools)) < len(self.pools) or not set(self.pools) <= {0, 1, 2}:
            raise UserError(f"pools are {list(self.pools)}; name layers 0, 1 and 2, each once at most")
        if self.model == "partial" and (self.grid != "per_layer" or self.shortcut != "learned"):
            raise UserError(
                "a partial network has other angles in each layer; set grid: per_layer and shortcut: learned"
            )
        if self.warmup >= 1:
            raise UserError(f"warmup is {self.warmup:g}, but it is a share of the training; give less than 1")

    def _check_omega(self) -> None:
        rotation, translation = self.soft_rotation, self.soft_translation
        for name, has in (("omega_rotation", rotation), ("omega_translation", translation)):
            if getattr(self, name) and not has:
                raise UserError(
                    f"{name} is {getattr(self, name):g}, but no kernel of this network has that input; set "
                    "model: soft and soft_in"
                )
        if not all(0 <= value < math.inf for value in self.candidates):
            raise UserError("candidates must be 0 or more, and finite: they are frequencies")
        if self.candidates and not self.validation_images:
            raise UserError(
                "candidates are chosen on validation images, and there are none; set "
                "validation_images, or one omega' in place of candidates"
            )
        if (self.candidates or self.learn_omega) and self.model != "soft":
            raise UserError(f"a {self.model} network has no omega' to choose or learn; set model: soft")
        if self.candidates and self.learn_omega:
            raise UserError("omega' is learned or chosen among candidates, not both; take one out")
        if self.omega_relative and self.model == "soft":
            raise UserError(
                "omega_relative is for strict and partial networks; a soft one has relative_follows"
            )
        if self.penalty and not self.learn_omega:
            raise UserError("penalty acts on a learned omega' only; set learn_omega: true")
        values = [*self.candidates, self.omega_rotation] if rotation else []
        if self.rot_freq == "integer" and rotation and not self.learn_omega:
            for value in values:
                if value != round(value):
                    raise UserError(
                        f"omega' of rotations is {value:g}, but rot_freq: integer needs whole numbers"
                    )

    @property
    def soft_rotation(self) -> bool:
        """Whether kernels see the absolute angle."""
        return self.model == "soft" and self.soft_in in ("rotation", "both")

    @property
    def soft_translation(self) -> bool:
        """Whether kernels see the absolute position."""
        return self.model == "soft" and self.soft_in in ("translation", "both")

    @property
    def order(self) -> int:
        """The network is exactly equivariant to turns by 2 pi / order (fact sheet, section 2.3); n if strict.

        Of turns that keep the pixels, that is: those by quarters.
        """
        if self.model == "partial" or (self.soft_translation and self._relaxed("omega_translation")):
            return 1
        if not (self.soft_rotation and self._relaxed("omega_rotation")):
            return self.angles
        if self.rot_freq != "integer" or self.learn_omega or self.candidates:
            return 1
        return math.gcd(self.angles, round(self.omega_rotation))

    def _relaxed(self, name: str) -> bool:
        return self.learn_omega or any(self.candidates) or getattr(self, name) > 0

    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets that this run reads."""
        return () if self.study else (self.dataset,)

    def takes_precision(self) -> bool:
        """Whether the option ``--precision`` has an effect: the studies compute in types of their own."""
        return not self.study

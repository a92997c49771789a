"""Settings of trainings: of the supernet, of the results, and of plain dense networks."""

from dataclasses import dataclass
from typing import Literal

from edanas.core.settings.values import setting

ALTERNATING = "alternating-flip"
"""Name of the augmentation that mirrors each image in every second epoch."""

FLIPS = ("flip", ALTERNATING)
"""Names of the augmentations that mirror images, or reverse series."""

LARGEST_EVERY = 4
"""Number of steps of which one trains the largest backbone, if each step trains a single backbone."""


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training: of the supernet, of a candidate in `finetune` mode, or of a result.

    Example:
        >>> TrainingSettings(epochs=2).optimizer
        'adamw'
    """

    epochs: int = setting("Passes over the train part; 0 = none.", 10, minimum=0)
    steps: int = setting(
        "Number of steps, in place of `epochs`; 0 = as many as the epochs have.", 0, minimum=0
    )
    batch_size: int = setting(
        "Number of samples in a training step, over all processes; BatchNorm needs at least two.",
        64,
        minimum=2,
    )
    micro_batch_size: int = setting(
        "Largest number of samples that a process runs at once in a supernet's training, to save memory; it "
        "adds up the gradients of several parts of its batch. BatchNorm uses each part's own statistics. 0 = "
        "no limit.",
        0,
        minimum=0,
    )
    sync_batch_norm: bool | Literal["auto"] = setting(
        "BatchNorm in a supernet's training by several processes: true = statistics of the whole batch, as "
        "in one process; false = of each process's part, without the exchange; `auto` = true on GPUs, and "
        "where a part has fewer than 16 samples.",
        default="auto",
    )
    optimizer: str = setting("Optimizer: `adamw` or `sgd` (momentum 0.9).", "adamw", choices=("adamw", "sgd"))
    learning_rate: float = setting("Peak learning rate.", 0.003, above=0)
    schedule: str = setting(
        "Learning rate over time: `cosine` (after a linear warm-up in a tenth of the steps) or `constant`.",
        "cosine",
        choices=("cosine", "constant"),
    )
    weight_decay: float = setting(
        "Weight decay; biases and parameters of normalisation layers do not decay.", 0.02, minimum=0
    )
    label_smoothing: float = setting(
        "Share of the target probability that is spread over all classes.", 0.0, minimum=0, below=1
    )
    class_weights: str = setting(
        "Weights of the classes in the loss: `none`; or `balanced`, in inverse proportion to the number of a "
        "class's training samples.",
        "none",
        choices=("none", "balanced"),
    )
    gradient_clip: float = setting("Largest norm of the gradient; 0 = no clipping.", 5.0, minimum=0)
    skip_nonfinite: int = setting(
        "Number of steps of a training that are skipped if their loss or gradient is not finite; the next "
        "such step ends the training.",
        0,
        minimum=0,
    )
    ema: float = setting(
        "Decay of the exponential moving average of the weights in a step; the trained network has the "
        "average. 0 = no average.",
        0.0,
        minimum=0,
        below=1,
    )
    distillation: float = setting(
        "Share of a teacher's probabilities in the targets; 0 = none. The teacher is that of the setting "
        "`teacher`; without one, results learn from the supernet's largest backbone.",
        0.0,
        minimum=0,
        maximum=1,
    )
    shrinking: bool = setting(
        "Train a supernet by progressive shrinking: the full network first, which then teaches smaller ones, "
        "while kernels, depths, expansions and widths open in turn and channels are sorted.",
        default=False,
    )
    initial_side: float = setting(
        "Side of the images at the start of a supernet's training, as a share of the full side, to which it "
        "grows until the middle of the training (progressive resizing). 1 = the full side throughout.",
        1.0,
        above=0,
        maximum=1,
    )
    backbones: str = setting(
        "Backbones of a step of a supernet's training. `sandwich`: the largest, which teaches the smallest "
        "and random ones. `single`: one, random or the largest, which learns from the labels; more steps fit "
        "in the same time.",
        "sandwich",
        choices=("sandwich", "single"),
    )
    random_backbones: int = setting(
        "Random backbones in a step of a supernet's training, besides the largest and the smallest backbone.",
        1,
        minimum=1,
    )
    precision: str = setting(
        "Number format: `fp32`; `bf16` for matrix products and convolutions, on CPUs with support for it; or "
        "`auto`, the faster of both as measured when the training starts. With `auto`, weights "
        "may differ from run to run.",
        "fp32",
        choices=("auto", "fp32", "bf16"),
    )
    augment: tuple[str, ...] = setting(
        "Augmentations of training samples: for images any of `shift`, `flip` or `alternating-flip`, "
        "`rotate`, `erase`, `mixup`, and for spectrograms `spectrum`, which blanks bands. `flip` mirrors at "
        "random, `alternating-flip` in every second epoch, half of the images in the first. Series have "
        "`shift`, `flip` and `alternating-flip` (time reversed), `rotate` (of three axes), `erase`, `mixup`, "
        "`jitter` (noise), `scale` and `warp` (of time).",
        ("shift",),
        choices=("shift", *FLIPS, "rotate", "erase", "mixup", "jitter", "scale", "warp", "spectrum"),
        distinct=True,
        apart=FLIPS,
    )

    @property
    def trains(self) -> bool:
        """True if there is at least one step."""
        return bool(self.epochs or self.steps)

    @property
    def mirrors(self) -> bool:
        """True if samples are mirrored, at random or in every second epoch."""
        return not set(FLIPS).isdisjoint(self.augment)

    @property
    def passes(self) -> tuple[float, float, float]:
        """Average numbers of smallest, random and largest backbones in a step of a supernet's training."""
        if self.backbones == "single":
            return 0.0, 1 - 1 / LARGEST_EVERY, 1 / LARGEST_EVERY
        return 1.0, float(self.random_backbones), 1.0

    def images(self, train: int) -> int:
        """Return the number of images in all steps, for `train` images in the train part."""
        return self.steps * self.batch_size if self.steps else self.epochs * train


@dataclass(frozen=True)
class FinetuneSettings(TrainingSettings):
    """Settings of the training of the results.

    Example:
        >>> FinetuneSettings().backbones
        False
    """

    # A result has one backbone, so the setting of a supernet's training has no meaning here.
    backbones: bool = setting(  # type: ignore[assignment]
        "Finish the own backbone of each early-exit network, too: trained alone in the same way, as the "
        "networks NAS_n beside EDANAS_n in Table I of the paper.",
        default=False,
    )


@dataclass(frozen=True)
class BaselineSettings:
    """Settings of the plain dense networks that a run trains for comparison.

    Example:
        >>> BaselineSettings().share
        0.1
    """

    epochs: int = setting(
        "Largest number of passes over the samples, for each plain network; 0 = no plain networks. 60 passes "
        "suffice on the digits.",
        60,
        minimum=0,
    )
    share: float = setting(
        "Largest share of the run's time that the training of all plain networks takes. The numbers of "
        "networks and of epochs follow from the measured time of an epoch.",
        0.1,
        above=0,
        maximum=1,
    )

"""The settings of a run: names, types, defaults and descriptions. `edanas.core.config` reads them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from edanas.core.amounts import SCALES
from edanas.core.convert import Limits, Place, Written, as_toml
from edanas.core.durations import LONGEST
from edanas.core.types import Thresholds


def setting(doc: str, default: Any, **limits: Any) -> Any:
    """Return the dataclass field of one setting.

    Args:
        doc: Description of the setting in the settings reference.
        default: Default value.
        limits: Arguments of `Limits`, which restrict the allowed values.
    """
    metadata = {"doc": doc, "limits": Limits(**limits)}
    if isinstance(default, (dict, list)) or hasattr(default, "__dataclass_fields__"):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Component(Written):
    """A named implementation with its options: `"name"`, or a table `{name = "...", option = value}`.

    Example:
        >>> Component.read({"name": "mlp", "hidden": 64}, Place("classifier")).options
        {'hidden': 64}
    """

    words: ClassVar[str] = "a name, or a table with `name` and options"

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        if isinstance(value, cls):
            return value
        table = value if isinstance(value, Mapping) else {"name": value}
        name = table.get("name")
        if not isinstance(name, str) or not name:
            raise place.error(value, cls.words)
        return cls(name, {str(k): as_toml(v, place.option(k)) for k, v in table.items() if k != "name"})

    def written(self) -> str | dict[str, Any]:
        """See `Written.written`."""
        return {"name": self.name, **self.options} if self.options else self.name


_BOUND = re.compile(r"(?P<of>[^<>=\s]+)\s*(?P<sign><=|>=)\s*(?P<limit>[^<>=]+)")
_CHOICES = re.compile(r"(?P<of>\S+)\s+in\s+(?P<allowed>.+)")
_UNITS = {**SCALES, "%": 0.01}


@dataclass(frozen=True)
class Condition(Component):
    """A constraint: a component, or a text such as `params <= 1M` or `kernel in 3, 5`.

    The first text is a bound on an objective, the second text lists the allowed choices of a variable.

    Example:
        >>> Condition.read("params <= 1M", Place("constraints")).options
        {'of': 'params', 'at_most': 1000000.0}
    """

    words: ClassVar[str] = (
        'a bound like "params <= 1M" or "accuracy >= 90%", choices like "kernel in 3, 5", a name, or a table '
        "with `name` and options"
    )

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        written = value.written() if isinstance(value, Component) else value
        component = super().read(written, place)
        bound, choices = _BOUND.fullmatch(component.name), _CHOICES.fullmatch(component.name)
        if bound:
            options = component.options
            of = {"name": bound["of"], **options} if options else bound["of"]
            side = "at_most" if bound["sign"] == "<=" else "at_least"
            return cls("bound", {"of": of, side: _amount(bound["limit"], written, place)})
        if choices and not component.options:
            allowed = [_amount(each, written, place) for each in choices["allowed"].split(",")]
            return cls("choices", {"of": choices["of"], "allowed": allowed})
        if re.search(r"[<>=\s]", component.name):
            raise place.error(written, cls.words)
        return component


def _amount(text: str, written: Any, place: Place) -> float:
    """Parse a number that k, M, G or % may follow.

    Args:
        text: The number.
        written: The whole value of the setting, for the message.
        place: The setting, for the message.

    Raises:
        ConfigError: `text` is not a number.
    """
    match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*([kKMG%]?)\s*", text)
    try:
        return float(match[1]) * _UNITS[match[2]] if match else float("")
    except ValueError:
        raise place.error(written, f"{Condition.words}; {text.strip()!r} is not a number") from None


class ByteLimit(float, Written):
    """A largest number of bytes: a number, or a text such as `64k`; 0 = no limit.

    Example:
        >>> ByteLimit.read("64k", Place("max_ram")).written()
        64000.0
    """

    words: ClassVar[str] = "a number of bytes like 65536, 64k or 1M (k = 1,000), above 0; or 0 for no limit"

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        text = str(float(value)) if isinstance(value, float) else str(value)
        match = re.fullmatch(r"\s*([0-9][0-9,_]*(?:\.[0-9]+)?(?:[eE][+]?[0-9]+)?)\s*([kKMG]?)\s*", text)
        if match is None or isinstance(value, bool):
            raise place.error(value, cls.words)
        return cls(float(re.sub("[,_]", "", match[1])) * SCALES[match[2]])

    def written(self) -> float:
        """See `Written.written`."""
        return float(self)


Components = tuple[Component, ...]
"""Several components of one kind, in order."""


def components(*names: str) -> Components:
    """Return a component with default options for each name."""
    return tuple(Component(name) for name in names)


def labels(chosen: Sequence[Any]) -> list[str]:
    """Return a distinct name for each of several components; a repeated name gets a number.

    Args:
        chosen: Components, or names and tables as in settings.

    Raises:
        ConfigError: An item of `chosen` is not a component, name or table.

    Example:
        >>> labels(["rbf", "gp", "rbf"])
        ['rbf', 'gp', 'rbf 2']
    """
    names = [Component.read(each, Place("label")).name for each in chosen]
    occurrences = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if n == 1 else f"{name} {n}" for name, n in zip(names, occurrences, strict=True)]


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the four parts of the data; they sum to 1.

    Only samples that the data source assigns to no part are split by these shares.

    Example:
        >>> SplitSettings().train
        0.55
    """

    train: float = setting("Share of samples for training.", 0.55, above=0, below=1)
    calibration: float = setting("Share of samples to set thresholds on.", 0.10, above=0, below=1)
    validation: float = setting("Share of samples to evaluate candidates on.", 0.15, above=0, below=1)
    test: float = setting(
        "Share of samples to test the results on, once, at the end.", 0.20, above=0, below=1
    )


@dataclass(frozen=True)
class SearchSettings:
    """Length of the search, and number of results.

    Example:
        >>> SearchSettings(iterations=2).initial
        16
    """

    initial: int = setting("Candidates in the initial archive.", 16, minimum=2)
    iterations: int = setting("Iterations after the initial archive.", 14, minimum=0)
    per_iteration: int = setting("Candidates evaluated in each iteration.", 8, minimum=1)
    max_evals: int = setting("Stop after this total number of candidates; 0 = no limit.", 0, minimum=0)
    max_epochs: float = setting(
        "Stop when the trainings of all candidates have taken this number of epochs, in the evaluation "
        "`finetune`; 0 = no limit.",
        0.0,
        minimum=0,
    )
    time_limit: float = setting(
        "Stop the search after this number of seconds; 0 = no limit.", 0.0, minimum=0, maximum=LONGEST
    )
    patience: int = setting(
        "Stop when the hypervolume has not grown for this number of iterations; 0 = never.", 0, minimum=0
    )
    min_gain: float = setting(
        "Largest growth of the hypervolume (a number in [0, 1]) that `patience` counts as no growth.",
        0.0,
        minimum=0,
        below=1,
    )
    results: int = setting(
        "Number of finished networks: first a network for each number of exits, then the best network in "
        "the first objective, then networks spread over the front by the logarithms of their costs.",
        4,
        minimum=1,
    )
    compare: bool = setting(
        "Finish single-exit networks, too, to compare the results with: at most two for each result.",
        default=True,
    )
    cut: bool = setting(
        "Search networks that end at an exit point, too: later stages are neither trained with the network, "
        "stored nor run. With continuous thresholds, the threshold 0 at an exit point covers these networks.",
        default=True,
    )


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
        "`auto`, the faster of both as measured when the supernet's training starts. With `auto`, weights "
        "may differ from run to run.",
        "fp32",
        choices=("auto", "fp32", "bf16"),
    )
    augment: tuple[str, ...] = setting(
        "Augmentations of training samples: for images any of `shift`, `flip`, `rotate`, `erase`, `mixup`, "
        "and for spectrograms `spectrum`, which blanks bands. Series have `shift`, `flip` (time reversed), "
        "`rotate` (of three axes), `erase`, `mixup`, `jitter` (noise), `scale` and `warp` (of time).",
        ("shift",),
        choices=("shift", "flip", "rotate", "erase", "mixup", "jitter", "scale", "warp", "spectrum"),
        distinct=True,
    )

    @property
    def trains(self) -> bool:
        """True if there is at least one step."""
        return bool(self.epochs or self.steps)

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


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Example:
        >>> Settings().strategy.name
        'surrogate-nsga2'
    """

    plugin: str = setting("The bundle, which changes the defaults of other settings.", "mbv3-sm", length=1)
    preset: str = setting(
        "A preset of the bundle, e.g. `quick` or `best`; empty = `auto` for a folder of images if the bundle "
        "has that preset, and otherwise the bundle's first preset.",
        "",
    )
    data: Component = setting("The data set, or the path of a folder or file.", Component("digits"))
    allow_duplicates: bool = setting(
        "Do not report samples that are, by their values, in two parts or two classes at once.", default=False
    )
    split: SplitSettings = setting("Shares of the four parts of the data.", SplitSettings())
    seed: int = setting("The seed of all random numbers.", 0, minimum=0, maximum=2**31 - 1)
    time_limit: float = setting(
        "Time of the whole run in seconds, from the reading of the data to the report; 0 = no limit. The "
        "numbers of steps then follow from the measured speed, and replace all `epochs` above 0.",
        0.0,
        minimum=0,
        maximum=LONGEST,
    )
    plan: str = setting(
        "File `plan.json` of a run with a time limit, whose numbers of steps and evaluations this run "
        "repeats on any machine; empty = none.",
        "",
    )
    device: str = setting(
        "Device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`.",
        "auto",
        form=(r"auto|cpu|cuda(:[0-9]+)?", "auto, cpu, cuda or cuda:N"),
    )
    threads: int = setting(
        "Number of threads of each computing process; 0 = one for each core.", 0, minimum=0, maximum=4096
    )
    supernet: Component = setting("Supernet provider.", Component("ofa-mbv3"))
    weights: str = setting(
        "Weights of the supernet: a file, or a name that the provider can download; empty = none.", ""
    )
    teacher: str = setting(
        "Teacher of the supernet's largest backbone and of the results, with the shares "
        "`training.distillation` and `finetune.distillation` in the targets: the file of a trained supernet "
        "or of a finished network, `timm:MODEL@FILE`, or `timm:MODEL` with the weights that timm publishes; "
        "empty = none.",
        "",
    )
    teacher_logits: str = setting(
        "Teacher's outputs in the training of the supernet: `step`, for the augmented samples of each step; "
        "`kept`, for each training sample and its mirror once, in a file beside the teacher's; or `auto`: "
        "`kept` for a teacher of `edanas train-teacher`, otherwise `step`.",
        "auto",
        choices=("auto", "kept", "step"),
    )
    classifier: Component = setting("Exit classifier.", Component("pool-linear"))
    criterion: Component = setting("Confidence criterion.", Component("score-margin"))
    inference: Component = setting(
        "Inference rule: the output where a sample exits.", Component("early-stop")
    )
    thresholds: Thresholds = setting(
        'Choices at each exit point: thresholds in [0, 1], and `"none"` for no exit; or `"continuous"`: the '
        "search chooses backbones only, and computes the best thresholds of each backbone.",
        (0.1, 0.2, None),
        minimum=0,
        maximum=1,
        length=1,
        distinct=True,
    )
    warm_start: str = setting(
        "Folder of an older run on the same search space, or a study of Optuna (`sqlite:///FILE#STUDY`). "
        "Its Pareto set is evaluated first. Empty = none.",
        "",
    )
    evaluation: Component = setting(
        "How candidates are evaluated: `shared`, with the weights of a supernet that is trained once; or "
        "`finetune`, after a few epochs of training each.",
        Component("shared"),
    )
    objectives: Components = setting(
        "Objectives, two or more.", components("accuracy", "executed-macs"), length=2, distinct=True
    )
    constraints: tuple[Condition, ...] = setting("Constraints on every result.", (), distinct=True)
    max_ram: ByteLimit = setting(
        "Largest RAM of every result on a microcontroller, in bytes: the constraint `ram <= ...`; 0 = no "
        "limit.",
        ByteLimit(0.0),
    )
    max_flash: ByteLimit = setting(
        "Largest flash of every result on a microcontroller, in bytes: the constraint `flash <= ...`; 0 = no "
        "limit.",
        ByteLimit(0.0),
    )
    device_profile: str = setting(
        "Microcontroller for which latency and energy of the results are estimated: a name, e.g. "
        "`cortex-m4-80mhz`, or a TOML file. Its RAM and flash are limits, unless `max_ram` and `max_flash` "
        "are smaller. Empty = none.",
        "",
    )
    strategy: Component = setting("Search strategy.", Component("surrogate-nsga2"))
    surrogates: Components = setting(
        "Surrogate models; if there are several, adaptive switching chooses among them.",
        components("exit-profiles", "rbf", "mlp", "cart", "gp", "xgboost"),
        length=1,
        distinct=True,
    )
    scheme: Component = setting("Training scheme.", Component("joint"))
    executor: Component = setting("Executor, which runs evaluations.", Component("serial"))
    search: SearchSettings = setting("Length of the search.", SearchSettings())
    training: TrainingSettings = setting(
        "Training of the supernet (`shared`) or of a candidate (`finetune`).", TrainingSettings()
    )
    finetune: FinetuneSettings = setting(
        "Training of the results.", FinetuneSettings(epochs=5, learning_rate=0.001)
    )
    baseline: BaselineSettings = setting(
        "Plain dense networks, trained alone, that stand beside the results.", BaselineSettings()
    )
    validation_copies: int = setting(
        "Augmented copies of each calibration and validation sample, by `training.augment`. Copies make "
        "thresholds and accuracies of few samples less coarse.",
        0,
        minimum=0,
    )
    recalibration: int = setting(
        "Number of training samples for recomputing BatchNorm statistics.", 512, minimum=2
    )
    final_thresholds: Component = setting(
        "Threshold setter of the results, on the calibration part; `grid` keeps the search's thresholds.",
        Component("static"),
    )
    min_exit_share: float = setting(
        "Smallest share of the calibration samples at an exit of a result. Exits with a smaller share are "
        "removed, the network ends where all later exits together have a smaller share, and thresholds are "
        "set anew. 0 = only exits and stages that no calibration sample uses are removed.",
        0.005,
        minimum=0,
        below=1,
    )
    exports: Components = setting(
        "Exporters applied to each result besides `safetensors`.", (), distinct=True
    )
    examples: int = setting(
        "Test samples of each kind (exited early, exited late, misclassified) in the report, for each "
        "result; 0 = none, for private samples.",
        3,
        minimum=0,
    )
    loggers: Components = setting(
        "Loggers, which report the run to other tools, e.g. `tensorboard`.", (), distinct=True
    )

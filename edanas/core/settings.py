"""The settings of a run: names, types, defaults and sentences. `edanas.core.config` reads them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from edanas.core.amounts import SCALES
from edanas.core.convert import Limits, Place, Written, as_toml
from edanas.core.types import Thresholds


def setting(doc: str, default: Any, **limits: Any) -> Any:
    """Return a dataclass field with the sentence of the settings reference, and its `Limits`."""
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
    """A constraint, also in text form: a bound on an objective, or the allowed choices.

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
    """Parse a number with k, M, G or % behind it."""
    match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*([kKMG%]?)\s*", text)
    try:
        return float(match[1]) * _UNITS[match[2]] if match else float("")
    except ValueError:
        raise place.error(written, f"{Condition.words}; {text.strip()!r} is no number") from None


Components = tuple[Component, ...]
"""Several implementations of one kind, in order."""


def components(*names: str) -> Components:
    """Return implementations with these names, with their default options."""
    return tuple(Component(name) for name in names)


def labels(chosen: Sequence[Any]) -> list[str]:
    """Return a label for each of several components: its name, with a number from its second occurrence on.

    Args:
        chosen: Components, or names and tables as in settings.

    Raises:
        ConfigError: One is neither.

    Example:
        >>> labels(["rbf", "gp", "rbf"])
        ['rbf', 'gp', 'rbf 2']
    """
    names = [Component.read(each, Place("label")).name for each in chosen]
    occurrences = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if n == 1 else f"{name} {n}" for name, n in zip(names, occurrences, strict=True)]


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the samples that the source assigns to no part; they sum to 1.

    Example:
        >>> SplitSettings().train
        0.55
    """

    train: float = setting("Share to train on.", 0.55, above=0, below=1)
    calibration: float = setting("Share to set thresholds on.", 0.10, above=0, below=1)
    validation: float = setting("Share to evaluate candidates on.", 0.15, above=0, below=1)
    test: float = setting("Share to test the results on, once, at the end.", 0.20, above=0, below=1)


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
    max_evals: int = setting("Stop after this number of candidates in all; 0 = no limit.", 0, minimum=0)
    time_limit: float = setting("Stop the search after this number of seconds; 0 = no limit.", 0.0, minimum=0)
    patience: int = setting(
        "Stop when the hypervolume has not grown for this number of iterations; 0 = never.", 0, minimum=0
    )
    min_gain: float = setting(
        "Growth of the hypervolume, a share of its box, that counts for `patience`.", 0.0, minimum=0, below=1
    )
    results: int = setting(
        "Number of finished networks: one for each number of exits, the most accurate, then along the front.",
        4,
        minimum=1,
    )


@dataclass(frozen=True)
class TrainingSettings:
    """One training: of the supernet, of a candidate in `finetune` mode, or of a result at the end.

    Example:
        >>> TrainingSettings(epochs=2).optimizer
        'adamw'
    """

    epochs: int = setting("Passes over the train part; 0 = none.", 10, minimum=0)
    batch_size: int = setting("Samples in a step; BatchNorm needs two.", 64, minimum=2)
    optimizer: str = setting("`adamw` or `sgd` (momentum 0.9).", "adamw", choices=("adamw", "sgd"))
    learning_rate: float = setting("Peak learning rate.", 0.003, above=0)
    schedule: str = setting(
        "`cosine` (with a linear warm-up over a tenth) or `constant`.",
        "cosine",
        choices=("cosine", "constant"),
    )
    weight_decay: float = setting("Decay of weights, not of biases and normalisation.", 0.02, minimum=0)
    label_smoothing: float = setting("Share of the target spread over all classes.", 0.0, minimum=0, below=1)
    gradient_clip: float = setting("Largest norm of the gradient; 0 = no clipping.", 5.0, minimum=0)
    ema: float = setting(
        "Share of the weights' moving average that stays in a step; the result has the average. "
        "0 = the last weights.",
        0.0,
        minimum=0,
        below=1,
    )
    distillation: float = setting(
        "Share of a teacher's probabilities in the targets: for results, the supernet's largest backbone "
        "teaches; for a supernet, `teacher` does. 0 = none.",
        0.0,
        minimum=0,
        maximum=1,
    )
    shrinking: bool = setting(
        "Of a supernet: begin with large backbones, then let kernels, depths, expansions and widths vary.",
        default=False,
    )
    random_backbones: int = setting(
        "Of a supernet: number of random backbones in a step, besides the largest and the smallest.",
        1,
        minimum=1,
    )
    precision: str = setting(
        "`fp32`; `bf16` (products and convolutions, on CPUs with support for it); or `auto`: the faster, "
        "measured when the supernet's training starts, so that weights may differ from start to start.",
        "fp32",
        choices=("auto", "fp32", "bf16"),
    )
    augment: tuple[str, ...] = setting(
        "Any of `shift`, `flip`, `rotate`, `erase`, `mixup`.",
        ("shift",),
        choices=("shift", "flip", "rotate", "erase", "mixup"),
        distinct=True,
    )


@dataclass(frozen=True)
class Settings:
    """All settings of a run.

    Example:
        >>> Settings().strategy.name
        'surrogate-nsga2'
    """

    plugin: str = setting("The bundle, which sets the defaults of all others.", "mbv3-sm", length=1)
    preset: str = setting(
        "A preset of the bundle, e.g. `quick`, `best`; empty = `auto` for a folder of images, if the bundle "
        "has it, or else its first.",
        "",
    )
    data: Component = setting("The data set, or the path of an image folder.", Component("digits"))
    split: SplitSettings = setting("Shares of the four parts.", SplitSettings())
    seed: int = setting("The seed of all random numbers.", 0, minimum=0, maximum=2**31 - 1)
    device: str = setting(
        "`auto`, `cpu`, `cuda` or `cuda:N`.",
        "auto",
        form=(r"auto|cpu|cuda(:[0-9]+)?", "auto, cpu, cuda or cuda:N"),
    )
    threads: int = setting("Threads of each computing process; 0 = all cores.", 0, minimum=0)
    supernet: Component = setting("Supernet provider.", Component("ofa-mbv3"))
    weights: str = setting(
        "Supernet weights: a file, or a name that the provider can download; empty = none.", ""
    )
    teacher: str = setting(
        "Teacher of the supernet's largest backbone besides the labels, by the share of "
        "`training.distillation`: the file of a trained supernet or of a finished network, "
        "`timm:MODEL@FILE`, or `timm:MODEL` with the weights that timm publishes; empty = none.",
        "",
    )
    classifier: Component = setting("Exit classifier.", Component("pool-linear"))
    criterion: Component = setting("Confidence criterion.", Component("score-margin"))
    inference: Component = setting(
        "Inference rule: the output where a sample exits.", Component("early-stop")
    )
    thresholds: Thresholds = setting(
        'Choices at each exit point: thresholds in [0, 1], and `"none"` for no exit; or `"continuous"`: the '
        "search chooses backbones, and each has all its thresholds.",
        (0.1, 0.2, None),
        minimum=0,
        maximum=1,
        length=1,
        distinct=True,
    )
    warm_start: str = setting(
        "Folder of an older run on the same space, whose Pareto set is evaluated first; empty = none.", ""
    )
    evaluation: Component = setting("Evaluation mode: `shared` or `finetune`.", Component("shared"))
    objectives: Components = setting(
        "Objectives, two or more.", components("accuracy", "ada-macs"), length=2, distinct=True
    )
    constraints: tuple[Condition, ...] = setting("Constraints on every result.", (), distinct=True)
    strategy: Component = setting("Search strategy.", Component("surrogate-nsga2"))
    surrogates: Components = setting(
        "Surrogate models; adaptive switching chooses among several.",
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
    finetune: TrainingSettings = setting(
        "Training of the results.", TrainingSettings(epochs=5, learning_rate=0.001)
    )
    recalibration: int = setting(
        "Number of train images for recomputing BatchNorm statistics.", 512, minimum=2
    )
    final_thresholds: Component = setting(
        "Threshold setter of the results, on the calibration part; `grid` keeps the search's thresholds.",
        Component("static"),
    )
    exports: Components = setting(
        "Exporters applied to each result besides `safetensors`.", (), distinct=True
    )
    examples: int = setting(
        "Test images of each kind (exited early, exited late, misclassified) in the report, for each "
        "result; 0 = none, for private images.",
        3,
        minimum=0,
    )
    loggers: Components = setting(
        "Loggers, which report the run to other tools, e.g. `tensorboard`.", (), distinct=True
    )

"""The run's settings: names, types, defaults and what each means. How they are read is in `config`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from edanas.core.amounts import SCALES
from edanas.core.convert import Limits, Place, Written, plain
from edanas.core.types import Thresholds


def setting(doc: str, default: Any, **limits: Any) -> Any:
    """A dataclass field with the sentence that the settings reference prints, and its `Limits`."""
    metadata = {"doc": doc, "limits": Limits(**limits)}
    if isinstance(default, (dict, list)) or hasattr(default, "__dataclass_fields__"):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Component(Written):
    """A named implementation with its options: `"name"`, or a table `{name = "...", option = value}`."""

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
        return cls(name, {str(k): plain(v, place.option(k)) for k, v in table.items() if k != "name"})

    def written(self) -> str | dict[str, Any]:
        """See `Written.written`."""
        return {"name": self.name, **self.options} if self.options else self.name


_BOUND = re.compile(r"(?P<of>[^<>=\s]+)\s*(?P<sign><=|>=)\s*(?P<limit>[^<>=]+)")
_CHOICES = re.compile(r"(?P<of>\S+)\s+in\s+(?P<allowed>.+)")
_UNITS = {**SCALES, "%": 0.01}


@dataclass(frozen=True)
class Condition(Component):
    """A constraint, which may be written as a text: a bound on an objective, or the choices allowed."""

    words: ClassVar[str] = (
        'a bound like "params <= 1M" or "accuracy >= 90%", choices like "kernel in 3, 5", a name, or a table '
        "with `name` and options"
    )

    @classmethod
    def read(cls, value: Any, place: Place) -> Self:
        """See `Written.read`."""
        given = value.written() if isinstance(value, Component) else value
        found = super().read(given, place)
        bound, choices = _BOUND.fullmatch(found.name), _CHOICES.fullmatch(found.name)
        if bound:
            of = {"name": bound["of"], **found.options} if found.options else bound["of"]
            side = "at_most" if bound["sign"] == "<=" else "at_least"
            return cls("bound", {"of": of, side: _amount(bound["limit"], given, place)})
        if choices and not found.options:
            allowed = [_amount(each, given, place) for each in choices["allowed"].split(",")]
            return cls("choices", {"of": choices["of"], "allowed": allowed})
        if re.search(r"[<>=\s]", found.name):
            raise place.error(given, cls.words)
        return found


def _amount(text: str, given: Any, place: Place) -> float:
    """A number with k, M, G or % behind it."""
    found = re.fullmatch(r"\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*([kKMG%]?)\s*", text)
    try:
        return float(found[1]) * _UNITS[found[2]] if found else float("")
    except ValueError:
        raise place.error(given, f"{Condition.words}; {text.strip()!r} is no number") from None


Components = tuple[Component, ...]
"""Several implementations of one kind, in order."""


def components(*names: str) -> Components:
    """Implementations of these names, all with their default options."""
    return tuple(Component(name) for name in names)


def labels(chosen: Sequence[Any]) -> list[str]:
    """What to call each of several components: its name, with a number where that was there before.

    Args:
        chosen: Components, or as settings hold them: names and tables.

    Raises:
        ConfigError: One is neither.
    """
    names = [Component.read(each, Place("label")).name for each in chosen]
    seen = [names[: i + 1].count(name) for i, name in enumerate(names)]
    return [name if times == 1 else f"{name} {times}" for name, times in zip(names, seen, strict=True)]


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the samples that the source does not set apart itself; they sum to 1."""

    train: float = setting("Share to train on.", 0.55, above=0, below=1)
    calibration: float = setting("Share to set thresholds on.", 0.10, above=0, below=1)
    validation: float = setting("Share that the search judges candidates on.", 0.15, above=0, below=1)
    test: float = setting("Share that is looked at once, at the end.", 0.20, above=0, below=1)


@dataclass(frozen=True)
class SearchSettings:
    """How long the search goes on, and what it returns."""

    initial: int = setting("Candidates in the initial archive.", 16, minimum=2)
    iterations: int = setting("Iterations after the initial archive.", 14, minimum=0)
    per_iteration: int = setting("Candidates evaluated in each iteration.", 8, minimum=1)
    max_evals: int = setting("Stop after so many candidates in all; 0 = no limit.", 0, minimum=0)
    time_limit: float = setting("Stop the search after so many seconds; 0 = no limit.", 0.0, minimum=0)
    patience: int = setting(
        "Stop when the hypervolume has not grown for so many iterations; 0 = never.", 0, minimum=0
    )
    min_gain: float = setting(
        "Growth of the hypervolume, a share of its box, that counts for `patience`.", 0.0, minimum=0, below=1
    )
    results: int = setting(
        "How many EENNs come back: one for each number of exits, the most accurate, then along the front.",
        4,
        minimum=1,
    )


@dataclass(frozen=True)
class TrainingSettings:
    """One training: of the supernet, of a candidate in `finetune` mode, or of a result at the end."""

    epochs: int = setting("Passes over the train part; 0 = none.", 10, minimum=0)
    batch_size: int = setting("Samples in a step; BatchNorm needs two.", 64, minimum=2)
    optimizer: str = setting("`adamw` or `sgd` (momentum 0.9).", "adamw", choices=("adamw", "sgd"))
    learning_rate: float = setting("Peak learning rate.", 0.003, above=0)
    schedule: str = setting(
        "`cosine` (with a linear warm-up over a tenth) or `constant`.",
        "cosine",
        choices=("cosine", "constant"),
    )
    weight_decay: float = setting("Decay of weights; biases and normalisation are spared.", 0.02, minimum=0)
    label_smoothing: float = setting("Share of the target spread over all classes.", 0.0, minimum=0, below=1)
    gradient_clip: float = setting("Largest norm of the gradient; 0 = no clipping.", 5.0, minimum=0)
    ema: float = setting(
        "Share of the weights' moving average that stays in a step; the average is what is taken at the end. "
        "0 = the last weights.",
        0.0,
        minimum=0,
        below=1,
    )
    distillation: float = setting(
        "Share of a teacher's answers in what is learned: for results, those of the supernet's largest "
        "backbone; for a supernet, those of `teacher`. 0 = none.",
        0.0,
        minimum=0,
        maximum=1,
    )
    shrinking: bool = setting(
        "Of a supernet: begin with large backbones, then let kernels, depths, expansions and widths vary.",
        default=False,
    )
    random_backbones: int = setting(
        "Of a supernet: how many random backbones a step trains beside the largest and the smallest.",
        1,
        minimum=1,
    )
    precision: str = setting(
        "`fp32`; `bf16` (products and convolutions, on CPUs where quick); or `auto`: what is measured to be "
        "faster when the supernet's training starts, so that weights may differ from start to start.",
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
    """All settings of a run."""

    plugin: str = setting("The bundle that names everything else.", "mbv3-sm", length=1)
    preset: str = setting(
        "A bundle's further layer, e.g. `quick`, `best`; empty = `auto` for a folder of images, where the "
        "bundle has it, and else its first.",
        "",
    )
    data: Component = setting("The data set, or the path of an image folder.", Component("digits"))
    split: SplitSettings = setting("How samples are divided.", SplitSettings())
    seed: int = setting("Everything random follows from it.", 0, minimum=0, maximum=2**31 - 1)
    device: str = setting(
        "`auto`, `cpu`, `cuda` or `cuda:N`.",
        "auto",
        form=(r"auto|cpu|cuda(:[0-9]+)?", "auto, cpu, cuda or cuda:N"),
    )
    threads: int = setting("Threads of each process that computes; 0 = all cores.", 0, minimum=0)
    supernet: Component = setting("Supernet provider.", Component("ofa-mbv3"))
    weights: str = setting("Supernet weights: a file, or a name the provider can download; empty = none.", "")
    teacher: str = setting(
        "Whom the supernet's largest backbone learns from besides the labels, by the share of "
        "`training.distillation`: the file of a trained supernet or of a finished network, "
        "`timm:MODEL@FILE`, or `timm:MODEL` with the weights that timm publishes; empty = nobody.",
        "",
    )
    classifier: Component = setting("Exit classifier.", Component("pool-linear"))
    criterion: Component = setting("Confidence criterion.", Component("score-margin"))
    inference: Component = setting(
        "Inference rule: what is answered where a sample leaves.", Component("early-stop")
    )
    thresholds: Thresholds = setting(
        'What an exit point may hold: thresholds in [0, 1], and `"none"` for no exit; or `"continuous"`: the '
        "search chooses backbones, and each brings all its thresholds.",
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
        "What is optimised, two or more.", components("accuracy", "ada-macs"), length=2, distinct=True
    )
    constraints: tuple[Condition, ...] = setting("What every result must keep.", (), distinct=True)
    strategy: Component = setting("Search strategy.", Component("surrogate-nsga2"))
    surrogates: Components = setting(
        "Surrogate models to switch among.",
        components("exit-profiles", "rbf", "mlp", "cart", "gp", "xgboost"),
        length=1,
        distinct=True,
    )
    scheme: Component = setting("Training scheme.", Component("joint"))
    executor: Component = setting("Where evaluations run.", Component("serial"))
    search: SearchSettings = setting("Length of the search.", SearchSettings())
    training: TrainingSettings = setting(
        "Training of the supernet (`shared`) or of a candidate (`finetune`).", TrainingSettings()
    )
    finetune: TrainingSettings = setting(
        "Training of the results.", TrainingSettings(epochs=5, learning_rate=0.001)
    )
    recalibration: int = setting("Train images that BatchNorm statistics are recomputed on.", 512, minimum=2)
    final_thresholds: Component = setting(
        "How thresholds of the results are set, on the calibration part; `grid` keeps the search's.",
        Component("static"),
    )
    exports: Components = setting(
        "Exporters applied to each result besides `safetensors`.", (), distinct=True
    )
    examples: int = setting(
        "Test images of each kind (left early, left late, judged wrong) that the report shows for each "
        "result; 0 = none, where images are private.",
        3,
        minimum=0,
    )
    loggers: Components = setting(
        "Other tools that the run is written down for as it goes, e.g. `tensorboard`.", (), distinct=True
    )

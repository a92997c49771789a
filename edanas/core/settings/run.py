"""All settings of a run, with those of its search and of the split of its data."""

from dataclasses import dataclass

from edanas.core.durations import LONGEST
from edanas.core.settings.training import BaselineSettings, FinetuneSettings, TrainingSettings
from edanas.core.settings.values import ByteLimit, Component, Components, Condition, components, setting
from edanas.core.types import Thresholds


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
        "Number of finished networks: first a network for each number of exits with useful candidates, then "
        "the best network in the first objective, then networks spread over the front by the logarithms of "
        "their costs.",
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

"""A finished network as a row of `result.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, Self

NUMBERS = (
    "exits",
    "test_accuracy",
    "validation_accuracy",
    "ada_macs",
    "executed_macs",
    "backbone_macs",
    "backbone_test_accuracy",
    "params",
)
"""Keys of numbers that every row has."""

LISTS = ("thresholds", "utilization")
"""Keys of lists of numbers that every row has."""


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A finished network: its thresholds, accuracies, costs and files.

    Accuracies are fractions. MACs are multiply-adds for one image. Values are measured on the test part
    unless their name begins with another part. A field is `None` or empty if a file of an older version
    lacks it.

    Attributes:
        id: The candidate's id.
        exits: Number of early exits.
        thresholds: Threshold at each exit point; `None` = no exit there.
        utilization: Fraction of samples that exit at each exit point and at the last exit.
        test_accuracy: Accuracy on the test part.
        test_ci: 95% confidence interval of `test_accuracy` (Wilson): lower and upper bound.
        balanced_accuracy: Mean over classes of `class_recall`.
        class_recall: Fraction of the samples of each class that are classified correctly; `None` for a class
            without samples.
        confusion: Numbers of samples by class and prediction: a list of label, prediction and number for each
            pair that occurs, ascending.
        disagreement: Disagreement of the exits, by name; `edanas.evaluation.disagreement` describes the keys.
            Empty for a network without early exits.
        failure_prediction: Figure of merit of the confidences as reasons to stop, in [0, 1]; see
            `edanas.thresholds.failure_prediction`. `None` without early exits.
        calibration_accuracy: Accuracy on the calibration part; `None` if the thresholds were not set there.
        validation_accuracy: Accuracy on the validation part.
        ada_macs: ADA_MACS.
        executed_macs: Executed MACs, on average over samples.
        calibration_executed_macs: Executed MACs on the calibration part; `None` if the thresholds were not
            set there.
        validation_executed_macs: Executed MACs on the validation part.
        backbone_macs: MACs of the network's own backbone without early exits. A cut network's backbone ends
            where the network ends.
        backbone_test_accuracy: Test accuracy of the last exit on all samples.
        rival: Id of the rival: the cheapest single-exit network of the run, cut networks included, with at
            least the same accuracy on the validation part; `None` = no network is as accurate, or the row is
            a single-exit network.
        rival_cost: Executed MACs as a fraction of those of the rival; `None` = there is no rival.
        saves_macs: False if the network executes no fewer MACs than its backbone or than its rival; `None` =
            a single-exit network.
        alone: Id of the single-exit network that is the network's own backbone, trained alone in the same
            way; `None` = it was not trained (`finetune.backbones`).
        alone_test_accuracy: Test accuracy of that network.
        params: Number of parameters, placed heads included.
        activations: Number of elements in the largest output of a layer.
        ram: Bytes of RAM on a microcontroller: the peak of int8 activations.
        flash: Bytes of the int8 network's weights, biases and scales, placed heads included.
        exit_ram: Peak up to each exit point and to the last exit, in bytes; `None` = no exit there.
        ram_layer: The operator during which `ram` bytes are in use, and its segment.
        stage_ram: Peak of each stage alone, in bytes.
        stage_flash: Bytes of each stage's weights, biases and scales.
        head_flash: Bytes of the weights of the head at each exit point; `None` = no exit there.
        last_flash: Bytes of the weights of the last exit.
        device: Estimates for the device of the setting `device_profile`, by name; empty without a device.
        exit_accuracy: Accuracy of the samples that exit at each exit; `None` for an exit without samples.
        stage_macs: MACs of each stage; 0 for a stage that does not run.
        head_macs: MACs of the head at each exit point; `None` = no exit there.
        last_macs: MACs of the last exit.
        examples: Example images; `edanas.evaluation.examples` describes the keys of each.
        backbone: The backbone's choices by name.
        model: Path of the first exported file, relative to the run folder; `None` if nothing was exported.
        files: Paths of all exported files, relative to the run folder.
        violation: Sum of the excesses over all constraints on the validation part; 0 = all are kept.
        breaches: A sentence for each broken constraint.
        keys: Keys of the JSON object that the row was read from, in order; empty = every field.
        unknown: Entries of the JSON object for which this version has no field.

    Example:
        >>> row = ResultRow(
        ...     id="a1", exits=1, thresholds=(0.9,), utilization=(0.6, 0.4), test_accuracy=0.97,
        ...     validation_accuracy=0.98, ada_macs=4e6, executed_macs=4.5e6, backbone_macs=9e6,
        ...     backbone_test_accuracy=0.975, params=1000,
        ... )
        >>> row.relative_cost
        0.5
        >>> row.to_json()["thresholds"]
        [0.9]
        >>> ResultRow.from_json(row.to_json()) == row
        True
    """

    id: str
    exits: int
    thresholds: tuple[float | None, ...]
    utilization: tuple[float, ...]
    test_accuracy: float
    test_ci: tuple[float, float] | None = None
    balanced_accuracy: float | None = None
    class_recall: tuple[float | None, ...] = ()
    confusion: tuple[Sequence[int], ...] = ()
    disagreement: Mapping[str, float | None] = field(default_factory=dict)
    failure_prediction: float | None = None
    calibration_accuracy: float | None = None
    validation_accuracy: float
    ada_macs: float
    executed_macs: float
    calibration_executed_macs: float | None = None
    validation_executed_macs: float | None = None
    backbone_macs: float
    backbone_test_accuracy: float
    rival: str | None = None
    rival_cost: float | None = None
    saves_macs: bool | None = None
    alone: str | None = None
    alone_test_accuracy: float | None = None
    params: int
    activations: int | None = None
    ram: int | None = None
    flash: int | None = None
    exit_ram: tuple[int | None, ...] = ()
    ram_layer: str | None = None
    stage_ram: tuple[int, ...] = ()
    stage_flash: tuple[int, ...] = ()
    head_flash: tuple[int | None, ...] | None = None
    last_flash: int | None = None
    device: Mapping[str, Any] = field(default_factory=dict)
    exit_accuracy: tuple[float | None, ...] = ()
    stage_macs: tuple[int, ...] = ()
    head_macs: tuple[int | None, ...] | None = None
    last_macs: int | None = None
    examples: tuple[Mapping[str, Any], ...] = ()
    backbone: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    files: tuple[str, ...] = ()
    violation: float = 0.0
    breaches: tuple[str, ...] = ()
    keys: tuple[str, ...] = field(default=(), compare=False, repr=False)
    unknown: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def relative_cost(self) -> float:
        """Executed MACs as a fraction of the backbone's MACs."""
        return self.executed_macs / self.backbone_macs

    @property
    def stages(self) -> int:
        """Number of stages of the network; fewer than exit points + 1 if the network is cut."""
        return int(self.backbone.get("stages", len(self.thresholds) + 1))

    @property
    def is_cheaper(self) -> bool:
        """True if the network executes fewer MACs than its backbone and than its rival, if there is one."""
        return self.relative_cost < 1 and (self.rival_cost is None or self.rival_cost < 1)

    @property
    def is_below_backbone(self) -> bool:
        """True without early exits, or if `macs_for_choice` is below the MACs of the backbone."""
        return not self.exits or self.macs_for_choice < self.backbone_macs

    @property
    def macs_for_choice(self) -> float:
        """Executed MACs for the choice of a network: on the validation part, or else on the test part."""
        known = self.validation_executed_macs
        return self.executed_macs if known is None else known

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Make a row from a parsed JSON object of `result.json`.

        Raises:
            ValueError: `values` is not a row; the message names the missing or wrong key.
        """
        problem = _problem(values)
        if problem:
            raise ValueError(problem)
        known = {key: _frozen(value) for key, value in values.items() if key in _FIELDS and value is not None}
        unknown = {key: value for key, value in values.items() if key not in _FIELDS}
        return cls(**known, keys=tuple(values), unknown=unknown)

    def to_json(self) -> dict[str, Any]:
        """Return the row as a JSON object, with the keys that it was read from or else with all fields."""
        keys = self.keys or (*_FIELDS, *self.unknown)
        return {key: self.unknown[key] if key in self.unknown else self._json_value(key) for key in keys}

    def _json_value(self, key: str) -> Any:
        """Return a field's value in JSON's types: tuples become lists."""
        value = getattr(self, key)
        if key == "confusion":
            return [list(each) for each in value]
        if key in ("backbone", "device", "disagreement"):
            return dict(value)
        return list(value) if isinstance(value, tuple) else value


_FIELDS = {each.name: None for each in fields(ResultRow) if each.name not in ("keys", "unknown")}


def _frozen(value: Any) -> Any:
    """Return a list as a tuple, a list of lists as a tuple of tuples, and any other value as it is."""
    if not isinstance(value, list):
        return value
    return tuple(tuple(each) if isinstance(each, list) else each for each in value)


def _problem(row: Any) -> str | None:
    """Return the first fault of a row in JSON's types; `None` if it has no fault."""
    if not isinstance(row, Mapping):
        return "is not a JSON object"
    for key in ("id", *NUMBERS, *LISTS):
        if key not in row:
            return f"'{key}' is missing"
    for key in NUMBERS:
        if not isinstance(row[key], Real):
            return f"'{key}' is not a number"
    for key in LISTS:
        if not isinstance(row[key], list) or not all(isinstance(v, Real | None) for v in row[key]):
            return f"'{key}' is not a list of numbers"
    if len(row["utilization"]) != len(row["thresholds"]) + 1:
        return f"'utilization' has {len(row['utilization'])} numbers for {len(row['thresholds'])} exit points"
    return None

"""Checks of the metrics of one candidate, for the suite of evaluation modes."""

from edanas.core.contracts import Evaluator
from edanas.core.types import Candidate, Metrics
from edanas.testing.conformance import require


def candidate_name(candidate: Candidate) -> str:
    """Return a text with the thresholds and choices of a candidate, for messages."""
    return f"thresholds {candidate.scheme.thresholds} on {dict(candidate.backbone.choices)}"


def check_metrics(evaluator: Evaluator, candidate: Candidate, metrics: Metrics) -> None:
    """Check that the metrics of a candidate agree with each other and with its selection scheme.

    Raises:
        ConformanceError: Two metrics contradict each other, or a metric contradicts the scheme.
    """
    name, scheme = candidate_name(candidate), candidate.scheme
    places = len(scheme.thresholds) + 1
    shares, accuracies = metrics.utilization, metrics.exit_accuracy
    require(
        evaluator,
        len(shares) == len(accuracies) == places and abs(sum(shares) - 1) < 1e-6 and min(shares) >= 0,
        f"{name}: utilization {shares}, exit accuracy {accuracies}; expected {places} each, "
        "and shares of utilization that sum to 1",
    )
    idle = [index for index in range(places - 1) if index not in scheme.placed and shares[index]]
    require(evaluator, not idle, f"{name}: utilization {shares}, though there is no exit at {idle}")
    unequal = [i for i in range(places) if (accuracies[i] is None) != (shares[i] == 0)]
    require(
        evaluator,
        not unequal,
        f"{name}: exit accuracy {accuracies}; expected None where no sample exits",
    )
    mean = sum(share * (accuracy or 0.0) for share, accuracy in zip(shares, accuracies, strict=True))
    require(
        evaluator,
        abs(mean - metrics.accuracy) < 1e-6,
        f"{name}: accuracy {metrics.accuracy}; exit accuracies weighted by utilization give {mean}",
    )
    require(
        evaluator,
        metrics.executed_macs >= metrics.ada_macs > 0 and min(metrics.params, metrics.activations) > 0,
        f"{name}: ADA_MACS {metrics.ada_macs}, executed {metrics.executed_macs}, {metrics.params} "
        f"parameters, {metrics.activations} activations; expected costs above 0, "
        "and executed MACs of at least ADA_MACS",
    )
    _check_exit_macs(evaluator, name, candidate, metrics)
    if not scheme.exits:
        whole = metrics.backbone_accuracy, float(metrics.backbone_macs), float(metrics.backbone_macs)
        own = metrics.accuracy, metrics.ada_macs, metrics.executed_macs
        require(
            evaluator,
            own == whole,
            f"{name}: accuracy, ADA_MACS and executed MACs without exits are {own}; expected the "
            f"backbone's {whole}",
        )


def _check_exit_macs(evaluator: Evaluator, name: str, candidate: Candidate, metrics: Metrics) -> None:
    """Check that the executed MACs are the mean of the exits' MACs, weighted by utilization."""
    exits, shares = metrics.exit_macs, metrics.utilization
    is_placed = [threshold is not None for threshold in candidate.scheme.thresholds] + [True]
    require(
        evaluator,
        [macs is not None for macs in exits] == is_placed,
        f"{name}: MACs by exit are {exits}; expected numbers at the placed exits, and None elsewhere",
    )
    mean = sum(share * (macs or 0.0) for share, macs in zip(shares, exits, strict=True))
    require(
        evaluator,
        abs(mean - metrics.executed_macs) <= 1e-6 * metrics.executed_macs,
        f"{name}: executed MACs {metrics.executed_macs}; MACs by exit weighted by utilization give {mean}",
    )

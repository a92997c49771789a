"""The part of the evaluation modes' suite on the metrics of one candidate."""

from edanas.core.contracts import Evaluator
from edanas.core.types import Candidate, Metrics
from edanas.testing.conformance import require


def candidate_name(candidate: Candidate) -> str:
    """Return the candidate's thresholds and choices, for messages."""
    return f"thresholds {candidate.scheme.thresholds} on {dict(candidate.backbone.choices)}"


def check_metrics(evaluator: Evaluator, candidate: Candidate, metrics: Metrics) -> None:
    """Check that metrics agree with each other and with the selection scheme.

    Raises:
        ConformanceError: Two of them contradict each other.
    """
    name, scheme = candidate_name(candidate), candidate.scheme
    places = len(scheme.thresholds) + 1
    shares, accuracies = metrics.utilization, metrics.exit_accuracy
    require(
        evaluator,
        len(shares) == len(accuracies) == places and abs(sum(shares) - 1) < 1e-6 and min(shares) >= 0,
        f"{name}: utilization {shares}, exit accuracy {accuracies}; expected {places} each, "
        "shares that sum to 1",
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
        f"{name}: accuracy {metrics.accuracy}; its exits' accuracies by utilization make {mean}",
    )
    require(
        evaluator,
        metrics.executed_macs >= metrics.ada_macs > 0 and min(metrics.params, metrics.activations) > 0,
        f"{name}: ADA_MACS {metrics.ada_macs}, executed {metrics.executed_macs}, {metrics.params} "
        f"parameters, {metrics.activations} activations; expected costs above 0, "
        "and executed no less than ADA_MACS",
    )
    _check_exit_macs(evaluator, name, candidate, metrics)
    if not scheme.exits:
        whole = metrics.backbone_accuracy, float(metrics.backbone_macs), float(metrics.backbone_macs)
        own = metrics.accuracy, metrics.ada_macs, metrics.executed_macs
        require(evaluator, own == whole, f"{name}: without exits {own}; expected its backbone's own {whole}")


def _check_exit_macs(evaluator: Evaluator, name: str, candidate: Candidate, metrics: Metrics) -> None:
    """The mean of the exits' MACs, weighted by utilization, is the executed MACs."""
    exits, shares = metrics.exit_macs, metrics.utilization
    is_placed = [threshold is not None for threshold in candidate.scheme.thresholds] + [True]
    require(
        evaluator,
        [macs is not None for macs in exits] == is_placed,
        f"{name}: MACs by exit {exits}; expected numbers just at the placed exits",
    )
    mean = sum(share * (macs or 0.0) for share, macs in zip(shares, exits, strict=True))
    require(
        evaluator,
        abs(mean - metrics.executed_macs) <= 1e-6 * metrics.executed_macs,
        f"{name}: executed MACs {metrics.executed_macs}; MACs by exit and utilization give {mean}",
    )

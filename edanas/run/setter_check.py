"""Checks that a threshold setter fits the other parts of a run, before any training."""

from edanas.core.contracts import ThresholdSetter
from edanas.core.errors import ConfigError
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation.final_thresholds import budget_shortfall
from edanas.evaluation.workbench import Workbench
from edanas.plugins.registry import Registry


def check_setter(registry: Registry, workbench: Workbench, setter: ThresholdSetter) -> None:
    """Check that criterion, inference rule and calibration part fit a threshold setter.

    Args:
        registry: The extensions by kind and name.
        workbench: The parts of the run.
        setter: The threshold setter of the results.

    Raises:
        ConfigError: The setter needs a criterion that assigns samples to exits, or more calibration
            samples. Or it guarantees a loss on samples to which criterion or inference rule are fitted. Or
            its budget is below the cheapest exit of the smallest network.
    """
    settings = workbench.settings
    name = settings.final_thresholds.name
    entries = registry.entries("confidence criterion")
    if setter.assigns and not workbench.criterion.assigns:
        others = [each.name for each in entries if getattr(each.factory, "assigns", False)]
        raise ConfigError(
            f"criterion: found '{settings.criterion.name}', which assigns no shares of samples to exits, as "
            f"final_thresholds '{name}' needs; allowed: {', '.join(others)}"
        )
    fitted = (
        ("criterion", settings.criterion.name, workbench.criterion.fits),
        ("inference", settings.inference.name, workbench.inference.fits),
    )
    for setting, chosen, fits in fitted:
        if setter.fixed and fits:
            raise ConfigError(
                f"{setting}: found '{chosen}', which is fitted to the calibration part; the guarantee of "
                f"final_thresholds '{name}' needs samples that nothing is fitted to"
            )
    part = workbench.parts.own_calibration if setter.fixed else workbench.parts.calibration
    if len(part) < setter.least_samples:
        raise ConfigError(
            f"final_thresholds: found {len(part):,} calibration samples; '{name}' with these options needs "
            f"{setter.least_samples:,} or more; enlarge split.calibration, or loosen the options"
        )
    if message := budget_shortfall(workbench, setter, _smallest(workbench)):
        raise ConfigError(f"{message}, in the smallest network of the search space")


def _smallest(workbench: Workbench) -> list[Candidate]:
    """Return the smallest network of the search space with one exit, for each place that the space allows."""
    space = workbench.space.whole()
    thresholds = space.variables[space.backbone_dimensions :]
    points = [
        point
        for point in range(space.exit_points)
        if not thresholds or any(choice is not None for choice in thresholds[point].choices)
    ]
    schemes = (tuple(0.5 if at == point else None for at in range(space.exit_points)) for point in points)
    return [Candidate(space.smallest(), SelectionScheme(scheme)) for scheme in schemes]

"""Check that a training scheme trains exits as the inference rule uses them."""

import torch

from edanas.core.contracts import InferenceRule, TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.settings import Settings


def check_corrections(
    settings: Settings, inference: InferenceRule, scheme: TrainingScheme, exit_points: int
) -> None:
    """Check that the exits before an exit run while the exit is trained, if the rule corrects its logits.

    Args:
        settings: The run's settings; only the names of the two components are used.
        inference: The inference rule before `build`.
        scheme: The training scheme.
        exit_points: Number N of exit points.

    Raises:
        ConfigError: The last phase that trains an exit does not run all exits before it.
    """
    if not inference.corrects:
        return
    with torch.random.fork_rng(devices=[]):
        rule = inference.build(2, exit_points)
    logits = torch.zeros(1, 2)
    for exit_ in range(1, exit_points + 1):
        phases = [each for each in scheme.phases(tuple(range(exit_points + 1))) if exit_ in each.heads]
        is_read = rule.corrected(logits, logits, exit_) is not logits
        if is_read and not set(range(exit_)) <= set(phases[-1].exits):
            raise ConfigError(
                f"scheme: '{settings.scheme.name}' trains exit {exit_ + 1} without the exits before it, "
                f"which inference '{settings.inference.name}' reads; allowed: a scheme that trains the exits "
                "together at last, e.g. joint or mixed"
            )

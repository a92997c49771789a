"""The work of a run that its executor carries out: evaluations, results to finish, and plain networks."""

from collections.abc import Sequence

from edanas.core.attempt import Attempt
from edanas.core.errors import ConfigError
from edanas.core.joint_executor import JointExecutor
from edanas.core.progress import Progress
from edanas.evaluation.finish import Finisher
from edanas.evaluation.plain_networks import PlainNetworks
from edanas.run.compose import Composition


class RunSteps:
    """The functions that the executor of a run calls, and the executor that sends them to its workers once.

    Args:
        composition: The objects of the run; the evaluation is prepared.
        progress: Shows a line if the workers' devices differ.
    """

    def __init__(self, composition: Composition, progress: Progress) -> None:
        workbench, evaluator, exporters = composition.workbench, composition.evaluator, composition.exporters
        self.attempt = Attempt(evaluator)
        self.finisher = Finisher(workbench, evaluator, composition.setter, exporters, composition.limits)
        self.plain = PlainNetworks(workbench, exporters)
        functions = (self.attempt, self.finisher.step, self.plain)
        measured = [meter.name for meter in workbench.meters if not meter.counted]

        def report(kinds: Sequence[str]) -> None:
            if len(kinds) > 1 and measured:
                raise ConfigError(
                    f"executor: workers compute on {_listed(kinds)}, and '{measured[0]}' is measured; "
                    "allowed: workers with one model of device, or goals that are not measured"
                )
            if len(kinds) == 2:
                progress.say(
                    f"The workers compute on {_listed(kinds)}: the last digits of a candidate's metrics may "
                    "depend on its worker"
                )

        self.executor = JointExecutor(composition.executor, functions, workbench.device_kind, report)


def _listed(kinds: Sequence[str]) -> str:
    return " and ".join(f"'{kind}'" for kind in kinds)

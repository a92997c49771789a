"""The processes of a launch that help the first process to train its supernet, and then end."""

import sys
from pathlib import Path
from typing import NoReturn

from edanas.core.devices import threads_of
from edanas.core.errors import EdanasError
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, compose
from edanas.training.loop import Training
from edanas.training.ranks import Ranks


def help_training(registry: Registry, settings: Settings, folder: Path, ranks: Ranks) -> NoReturn:
    """Repeat the calls of the first process on its supernet's training, then end this process.

    An error in the settings or data is raised only if the first process has none, and so begins to train.

    Args:
        registry: The extensions by kind and name.
        settings: The settings of the first process.
        folder: The folder of the first process, from which this one only reads.
        ranks: The processes.

    Raises:
        EdanasError: This process cannot read the data, e.g. since its machine lacks them.
        SystemExit: The first process needs no more help.
    """
    composition: Composition | EdanasError
    try:
        with blamed(registry):
            composition = compose(registry, settings, folder, Silent())
    except EdanasError as error:
        composition = error
    trainer: object = None
    with computing(threads_of(settings)):
        while (call := ranks.next_call()) is not None:
            if isinstance(composition, EdanasError):
                raise type(composition)(f"process {ranks.at.rank} of {ranks.at.count}: {composition}")
            # The first process has stored a teacher's logits by now, so that they are computed once.
            trainer = trainer or composition.evaluator.trainer(Silent())
            if isinstance(trainer, Training):
                trainer.repeat(*call)
    sys.exit(0)

"""`edanas to-optuna RUN STORAGE`: the evaluations of a run as a study in Optuna's storage."""

from pathlib import Path
from typing import Annotated

import typer


def to_optuna(
    run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")],
    storage: Annotated[
        str,
        typer.Argument(
            help="Optuna's storage, and the name of the new study: `sqlite:///FILE#STUDY`. Without "
            "`#STUDY`, the study has the name of the folder."
        ),
    ],
) -> None:
    """Write the evaluations of a run to Optuna's storage, for its dashboard, plots and samplers."""
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.run.optuna_study import StudyPlace, export_study

    place = StudyPlace.read(storage)
    name, count = export_study(Registry(load_plugins()), run, place)
    typer.echo(f"Study '{name}' in {place}: {count} trials")

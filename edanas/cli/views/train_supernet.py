"""Output of `edanas train-supernet`: the progress of the training, and the next command."""

import json
from dataclasses import asdict

import typer

from edanas.core.visible import visible
from edanas.run.pretraining import Trained

SUPERNET_USE = "To begin a run with it: --weights {out}"
TEACHER_USE = "To learn from it: --set teacher={out} --set training.distillation=0.5"
"""The options of later commands that use the file `out`."""


def show_training(state: Trained, limit: float, *, as_json: bool, use: str = SUPERNET_USE) -> None:
    """Print the state of the training of a supernet or of a teacher.

    Args:
        state: The state at the end of this call of the command.
        limit: The time limit of this call, in seconds.
        as_json: Print JSON instead of text.
        use: The sentence on the use of the file, with `{out}` for its path.
    """
    if as_json:
        typer.echo(json.dumps({**asdict(state), "out": str(state.out)}, indent=2))
    else:
        typer.echo(visible(_text(state, limit, use), lines=True))


def _text(state: Trained, limit: float, use: str) -> str:
    step, steps = state.steps
    through = "all backbones of a step" if use == SUPERNET_USE else "the network"
    lines = [f"Step {step} of {steps} ({state.epochs} epochs), {state.seconds:.0f} s of training so far"]
    if state.images_per_second:
        remaining = (steps - step) * state.seconds / max(step, 1)
        end = f"; about {remaining:.0f} s left" if step < steps else ""
        lines.append(
            f"{state.images_per_second:.1f} samples/s through {through}; making batches takes "
            f"{state.input_share:.1%} of the time{end}"
        )
    if state.finished:
        size = state.out.stat().st_size / 1e6
        lines.append(f"Written: {state.out} ({size:.1f} MB). {use.format(out=state.out)}")
    elif state.images_per_second:
        lines.append("The training is not finished. To resume it, run the same command again")
    else:
        lines.append(
            f"No step was finished within {limit:g} s. To resume, run the same command with a larger "
            "--time-limit"
        )
    return "\n".join(lines)

"""Runs and trainings that diverge: no file of weights, exit code 2, and results that can be trained anew."""

from pathlib import Path

from tiny_runs import Edanas, recorded, refused, result_of


def test_a_supernet_that_diverges_ends_the_command_and_leaves_no_weights(
    edanas: Edanas, tiny_config: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.safetensors"
    command = ("train-supernet", "--config", tiny_config, "--data", pictures, "--out", out)
    output = edanas(*command, "--set", "training.learning_rate=1e30")
    refused(output, "the supernet", "epoch 1, step 2 of", "at the learning rate 1e+30", "skip_nonfinite")
    assert not out.exists()


def test_results_that_diverge_are_trained_again_with_other_settings(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--set", "finetune.learning_rate=1e30")
    refused(output, "none of the 2 early-exit networks could be finished", "at the learning rate")
    assert not list((out / "models").glob("*.safetensors"))
    assert edanas(*arguments, "--out", out).code == 0
    assert recorded(out) == recorded(reference)
    same = ("front", "static_front")
    assert [result_of(out)[key] for key in same] == [result_of(reference)[key] for key in same]
    output = edanas(*arguments, "--out", out, "--set", "finetune.epochs=3")
    refused(output, "Changed: finetune.epochs: was 1, now 3")

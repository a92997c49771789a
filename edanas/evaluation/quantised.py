"""Networks judged and delivered in 8-bit integers: the setting `evaluation.quantized`."""

import copy
from dataclasses import replace

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import CandidateError, ConfigError, ExportError
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.deploy.int8.network import QUANTIZED, Network, int8_network, write_back
from edanas.evaluation.workbench import Workbench
from edanas.model.eenn import EENN
from edanas.model.temperature import TEMPERATURES, apply_temperatures
from edanas.model.trimming import trimmed_network
from edanas.training.distillation import Teacher
from edanas.training.pace import Pace

_RATE = 0.1
"""Learning rate of the training in integers, as a share of that of the fine-tuning."""


def checked_epochs(epochs: int) -> int:
    """Return the option `quantized_epochs` of an evaluation.

    Raises:
        ConfigError: It is negative.
    """
    if epochs < 0:
        raise ConfigError(f"evaluation.quantized_epochs: found {epochs}; allowed: 0 or more")
    return epochs


def check_quantisable(bench: Workbench) -> None:
    """Check that the networks of a run can be quantised, before anything is trained.

    Raises:
        ConfigError: The largest network has a layer that integers cannot express, or the calibration part is
            too small, or series differ in length.
    """
    if bench.parts.padded:
        raise ConfigError(
            "evaluation.quantized: found true, but the data has series of unequal length, whose masks have "
            "no counterpart in 8-bit integers; allowed: false (the exporter `c` takes such networks), or "
            "series of one length"
        )
    network = bench.builder.with_every_head(bench.space.largest())
    try:
        int8_network(network, bench.parts.calibration.images)
    except ExportError as error:
        raise ConfigError(f"evaluation.quantized: {error}") from error


def quantised(bench: Workbench, network: Network) -> Network:
    """Return a copy of a network in 8-bit integers, whose ranges come from the calibration part.

    Raises:
        ExportError: A layer cannot be expressed, or the calibration part is too small.
    """
    return int8_network(network, bench.parts.calibration.images)


def train_in_integers(
    bench: Workbench,
    network: ExitNetwork,
    settings: TrainingSettings,
    epochs: int,
    seed: int,
    bar: Bar,
    teacher: Teacher | None = None,
    pace: Pace | None = None,
    steps: int = 0,
) -> None:
    """Train a network for the rounding of its weights and activations (quantisation-aware training).

    Ranges stay as the calibration part sets them. BatchNorm is part of the convolutions, as in the delivered
    network. Source: Jacob et al., CVPR 2018, section 3.

    Args:
        bench: The run's objects and data.
        network: The network; changed in place.
        settings: Settings of the fine-tuning, whose learning rate is divided by ten.
        epochs: Number of epochs; 0 = no training.
        seed: Seed of the order of samples and of augmentation.
        bar: Progress bar, advanced once per step.
        teacher: See `Workbench.finetune`.
        pace: See `Workbench.finetune`.
        steps: Number of steps, in place of `epochs`; 0, the default, = as many as the epochs have.
    """
    if not epochs:
        return
    slow = replace(
        settings,
        epochs=epochs,
        steps=steps,
        learning_rate=_RATE * settings.learning_rate,
        precision="fp32",
    )
    trained = quantised(bench, network)
    bench.finetune(trained, slow, seed, bar, teacher, pace)
    write_back(trained, network)
    bench.fit(network)


def deliverable(bench: Workbench, network: ExitNetwork, settled: ExitNetwork) -> EENN:
    """Return the network in floats that quantisation turns into a settled network in integers.

    It has the exits, thresholds, temperatures and notes of the settled network. Its description records that
    the thresholds hold for its integers.

    Args:
        bench: The run's objects and data.
        network: The network in floats.
        settled: Its copy in integers, with final thresholds.

    Raises:
        CandidateError: The network is not an `EENN`.
    """
    if not isinstance(network, EENN):
        raise CandidateError(f"found a network of type {type(network).__name__}; only an EENN is quantised")
    ends = settled.backbone.ends
    end = network.exit_points if ends > network.exit_points else ends - 1
    if ends == network.backbone.ends:
        end = network.exit_points
    plain = trimmed_network(network, settled.scheme, end, bench.variables)
    plain.criterion, plain.inference = copy.deepcopy((settled.criterion, settled.inference))
    plain.description = {**settled.description, QUANTIZED: True}
    apply_temperatures(plain, settled.description.get(TEMPERATURES, ()))
    return plain

"""The results of a benchmark, as values in seconds, bytes, joules and multiply-adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edanas.deploy.timing import Timing


@dataclass(frozen=True)
class BatchBench:
    """The timings of one form at one batch size.

    Args:
        batch_size: The number of images in a batch.
        early: The timing of a batch with early exits.
        backbone: The timing of a batch with the backbone alone, in the same form; `None` if the form cannot
            run the backbone alone.
        macs_ratio: The multiply-adds of the backbone divided by the executed MACs; the speed-up that would
            follow from multiply-adds.
    """

    batch_size: int
    early: Timing
    backbone: Timing | None
    macs_ratio: float

    @property
    def speed_up(self) -> float | None:
        """The time of the backbone alone divided by the time with early exits; `None` if `backbone` is."""
        return self.backbone.mean / self.early.mean if self.backbone else None

    @property
    def of_macs_ratio(self) -> float | None:
        """The speed-up divided by the MACs ratio; `None` without a speed-up."""
        return self.speed_up / self.macs_ratio if self.speed_up else None


@dataclass(frozen=True)
class ByExit:
    """The timing of the images that exit at one exit, measured in batches of one image.

    Args:
        exit: The index of the exit point, from 0; N, the number of exit points, for the last exit.
        share: The fraction of all images that exit at this exit, 0 to 1.
        timing: The timing of the images that exit at this exit; `None` if batches of one image were not
            measured, or no image exits at this exit.
    """

    exit: int
    share: float
    timing: Timing | None


@dataclass(frozen=True)
class FormBench:
    """The results of one form of a network.

    Args:
        name: `torch`, `torch-frozen`, `torch-compiled`, or the name of an exporter.
        same: The number of compared images that exit with the same prediction at the same exit as in the
            network.
        compared: The number of images for which form and network were compared.
        accuracy: The fraction of images with the right prediction, 0 to 1.
        executed_macs: Executed MACs of an image on average.
        batches: The timings at each batch size, ascending.
        exits: The timings of the placed exits, then of the last exit.
        memory: The peak memory in bytes of the network and its computation, without the code of libraries;
            `None` if it was not measured.
    """

    name: str
    same: int
    compared: int
    accuracy: float
    executed_macs: float
    batches: tuple[BatchBench, ...]
    exits: tuple[ByExit, ...]
    memory: int | None


@dataclass(frozen=True)
class NetworkBench:
    """The results of one network.

    Args:
        model: The name of the network file without its ending; `eenn` for a network without a file.
        samples: The number of images that every form classified.
        part: A description of the images, e.g. the part of the data.
        backbone_macs: The multiply-adds of an image in the backbone alone.
        forms: The results of each form, in the order of the request.
        remarks: Sentences to print below the results.
    """

    model: str
    samples: int
    part: str
    backbone_macs: int
    forms: tuple[FormBench, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """The results of a benchmark: of one or several networks on one machine.

    Args:
        machine: Versions of packages, platform, processor, cores, device and threads.
        clock: The kind of time that was measured: `CPU time of one thread` or `wall time`.
        energy: A sentence with the reason why energy was not measured; empty if energy was measured.
        repeats: The number of repetitions, without the warm-up.
        seed: The random seed for the choice and the order of the images.
        networks: The results of each network, in the order of the request.
    """

    machine: Mapping[str, Any]
    clock: str
    energy: str
    repeats: int
    seed: int
    networks: tuple[NetworkBench, ...]

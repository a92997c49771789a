"""Results of a benchmark: plain values in seconds, bytes, joules and multiply-adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edanas.deploy.timing import Timing


@dataclass(frozen=True)
class BatchBench:
    """Timings of one form in batches of one size.

    Args:
        batch_size: Images in a call.
        early: The timing of a call with early exits.
        backbone: The timing of a call of the backbone alone, in the same form; `None` if the form cannot run
            it.
        macs_ratio: Multiply-adds of the backbone over executed MACs: the expected speed-up.
    """

    batch_size: int
    early: Timing
    backbone: Timing | None
    macs_ratio: float

    @property
    def speed_up(self) -> float | None:
        """The backbone's time over the time with early exits."""
        return self.backbone.mean / self.early.mean if self.backbone else None

    @property
    def of_macs_ratio(self) -> float | None:
        """The speed-up as a fraction of the MACs ratio."""
        return self.speed_up / self.macs_ratio if self.speed_up else None


@dataclass(frozen=True)
class ByExit:
    """Timings of the single images that exit at one exit.

    Args:
        exit: The exit point's index, or N for the last exit.
        share: The share of the images that exit here.
        timing: The timing of these images; `None` without batches of 1, or without such images.
    """

    exit: int
    share: float
    timing: Timing | None


@dataclass(frozen=True)
class FormBench:
    """Results of one form of a network.

    Args:
        name: `torch`, `torch-frozen`, `torch-compiled`, or the name of an exporter.
        same: The number of compared images that get the network's label at the network's exit.
        compared: The number of images that were compared with the network.
        accuracy: The fraction of images with the right label.
        executed_macs: Executed MACs of an image on average.
        batches: Timings by rising batch size.
        exits: Timings of the placed exits, then of the last exit.
        memory: Peak bytes of the network and its computation, in a process of its own, without the code of
            libraries; `None` if not measured.
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
    """Results of one network.

    Args:
        model: The stem of the network's file, or a name.
        samples: The number of images.
        part: A description of the images.
        backbone_macs: Multiply-adds of an image through the backbone alone.
        forms: The results of each form.
        remarks: Sentences for the user.
    """

    model: str
    samples: int
    part: str
    backbone_macs: int
    forms: tuple[FormBench, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """Results of several networks on one machine.

    Args:
        machine: Versions, platform, processor, cores, device and threads.
        clock: The kind of time that the seconds are.
        energy: A sentence on why energy was not measured; empty if it was.
        repeats: The number of repetitions, warm-up excluded.
        seed: The seed of the choice and the order of images.
        networks: The results of each network, in the order of the request.
    """

    machine: Mapping[str, Any]
    clock: str
    energy: str
    repeats: int
    seed: int
    networks: tuple[NetworkBench, ...]

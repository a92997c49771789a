"""What a measurement gives: plain values, in seconds, bytes, joules and multiply-adds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edanas.deploy.timing import Timing


@dataclass(frozen=True)
class BatchBench:
    """Classifying in batches of one size.

    Args:
        batch_size: Images in a call.
        early: Of a call with early exits.
        backbone: Of a call of the backbone alone, in the same form; `None` where the form cannot run it.
        macs_ratio: What the backbone's multiply-adds are to those executed on average: the limit.
    """

    batch_size: int
    early: Timing
    backbone: Timing | None
    macs_ratio: float

    @property
    def speed_up(self) -> float | None:
        """How many times as long the backbone alone takes."""
        return self.backbone.mean / self.early.mean if self.backbone else None

    @property
    def of_macs_ratio(self) -> float | None:
        """The speed-up as a share of what the multiply-adds promise."""
        return self.speed_up / self.macs_ratio if self.speed_up else None


@dataclass(frozen=True)
class ByExit:
    """Single images that leave at one exit.

    Args:
        exit: The exit point's index, or N for the last exit.
        share: Of the images.
        timing: Of these images alone; `None` where batches of 1 were not measured, or nobody leaves here.
    """

    exit: int
    share: float
    timing: Timing | None


@dataclass(frozen=True)
class FormBench:
    """One form of a network.

    Args:
        name: `torch`, `torch-frozen`, `torch-compiled`, or the exporter's.
        same: How many of the images that were compared get the network's label at the network's exit.
        compared: How many that were.
        accuracy: The fraction of the images that it gets right.
        executed_macs: Multiply-adds of an image on average.
        batches: By rising batch size.
        exits: The placed ones, then the last.
        memory: Bytes that the network and its work take at most, in a process that does nothing else, without
            the code of libraries; `None` where it was not measured.
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
class Benched:
    """One network.

    Args:
        model: Its file, or a name.
        samples: How many images it was measured on.
        part: What they are, in words.
        backbone_macs: Multiply-adds of an image through the backbone alone.
        forms: What was compared.
        remarks: What should be known besides.
    """

    model: str
    samples: int
    part: str
    backbone_macs: int
    forms: tuple[FormBench, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """Networks on one machine.

    Args:
        machine: Versions, platform, processor, cores, device and threads.
        clock: What the seconds are.
        energy: Why there are no joules, in a sentence; empty where there are.
        repeats: Repetitions that counted.
        seed: Chose and ordered the images.
        networks: In the order asked for.
    """

    machine: Mapping[str, Any]
    clock: str
    energy: str
    repeats: int
    seed: int
    networks: tuple[Benched, ...]

"""Candidates, exporters and data for tests of finishing."""

from dataclasses import replace

import numpy as np
from small_runs import parts, relabelled, space

from edanas.core.contracts import Exporter, ThresholdChoice, ThresholdSetter
from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme


def candidates():
    rng = np.random.default_rng(4)
    schemes = [(0.05, None, 0.2, None), (None, None, None, None)]
    return [Candidate(space().sample_backbone(rng), SelectionScheme(each)) for each in schemes]


class Medians(ThresholdSetter):
    """The median confidence of the samples that reach an exit, so that samples use every exit."""

    def choose(self, calibration):
        profile, scheme = calibration.profile, calibration.scheme
        thresholds, inside = [None] * len(scheme.thresholds), np.ones(len(profile), dtype=bool)
        for point in scheme.placed:
            confidence = profile.confidence[:, profile.points.index(point)]
            ordered = np.sort(confidence[inside])
            thresholds[point] = float(ordered[len(ordered) // 2])
            inside &= confidence < ordered[len(ordered) // 2]
        return ThresholdChoice(SelectionScheme(tuple(thresholds)))


class RecordingExporter(Exporter):
    """An exporter that records networks and writes empty files."""

    def __init__(self):
        self.networks = {}

    def export(self, network, stem):
        self.networks[stem.name] = network
        path = stem.with_name(f"{stem.name}.kept")
        path.write_text("")
        return [path]


def rows(finisher, chosen=None):
    """Return the finished rows in their JSON form; no candidate may fail."""
    finished, failures = finisher.finish(chosen or candidates(), "Finishing", Silent())
    assert failures == []
    return [row.to_json() for row in finished]


def poisoned(name):
    data = parts()
    part = getattr(data, name)
    return replace(data, **{name: relabelled(part, (part.labels + 3) % 10)})

"""Probabilities of a teacher that are computed once for each image of the train part."""

from dataclasses import replace

import pytest
import torch
from small_runs import CPU, PLAIN, parts

from edanas.core.preprocess import prepare
from edanas.core.settings import FLIPS
from edanas.training.distillation import (
    StoredTeacher,
    distillation_targets,
    mixed_targets,
    stored_probabilities,
)
from edanas.training.steps import Batches

AUGMENTED = replace(PLAIN, augment=("shift", "flip", "erase"), epochs=2)


class Linear:
    """A teacher with a random linear map of the pixels; counts the images that it got."""

    def __init__(self, side=12):
        self.weight = torch.randn(side * side, 10, generator=torch.Generator().manual_seed(0)) / side
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        return (images.flatten(1) @ self.weight).softmax(1)


def test_targets_of_a_batch_are_those_of_a_teacher_that_runs_in_every_step():
    settings, teacher = replace(PLAIN, augment=()), Linear()
    stored = stored_probabilities(teacher, parts(), settings, 12, CPU)
    batches = Batches(parts(), settings, 12, CPU)
    batches.targets = lambda indices: indices
    for images, indices in batches.epoch(torch.Generator().manual_seed(1)):
        labels = batches.labels[indices]
        expected = distillation_targets(images, labels, teacher, 0.4, 0.1)
        actual = mixed_targets(labels, stored[indices], 0.4, 0.1)
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("flip", FLIPS)
def test_mirrored_images_get_the_mean_over_both(flip):
    teacher, images = Linear(), prepare(parts().train.images, 12, parts().mean, parts().std)
    settings = replace(AUGMENTED, augment=("shift", flip))
    stored = stored_probabilities(teacher, parts(), settings, 12, CPU)
    torch.testing.assert_close(stored, (teacher(images) + teacher(images.flip(3))) / 2)


def test_each_image_is_computed_once_at_the_teachers_side_for_all_students():
    teacher = Linear()
    shared = StoredTeacher(teacher, parts(), CPU, 12)
    first = stored_probabilities(shared, parts(), AUGMENTED, 6, CPU)
    assert stored_probabilities(shared, parts(), AUGMENTED, 8, CPU) is first
    assert torch.equal(first, stored_probabilities(Linear(), parts(), AUGMENTED, 12, CPU))
    assert teacher.images == 2 * len(parts().train)
    stored_probabilities(shared, parts(), replace(AUGMENTED, epochs=1), 12, CPU)
    assert teacher.images == 3 * len(parts().train)

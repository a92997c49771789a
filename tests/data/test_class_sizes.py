import pytest
import torch

from edanas.core.types import ImageSet
from edanas.data.class_sizes import constant_answer, unequal_classes


def images(*counts):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pixels = torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8)
    return ImageSet(pixels, labels, tuple("abcdef"[: len(counts)]))


@pytest.mark.parametrize(("counts", "is_said"), [((10, 100), False), ((10, 101), True), ((5, 0), True)])
def test_very_unequal_classes_are_said(counts, is_said):
    sentences = unequal_classes(images(*counts))
    assert len(sentences) == is_said
    if is_said:
        assert sentences[0].startswith("Classes are imbalanced, ")
        assert "objective `balanced-error`" in sentences[0]


@pytest.mark.parametrize(
    ("accuracies", "phrase"),
    [([0.95, 0.91], None), ([0.95, 0.9], "1 of 2 networks is"), ([0.5, 0.9, 1.0], "2 of 3 networks are")],
)
def test_a_constant_answer_as_good_as_a_network_is_said(accuracies, phrase):
    sentences = constant_answer(images(9, 1), accuracies)
    assert len(sentences) == (phrase is not None)
    if phrase:
        assert "The answer 'a' for every sample is right on 90.0% of the test part" in sentences[0]
        assert f"{phrase} no better" in sentences[0]

"""Sentences on classes of very unequal size, for which the accuracy says little."""

from collections.abc import Sequence

import torch

from edanas.core.types import ImageSet

UNEVEN = 10
"""Ratio of samples in the largest and the smallest class above which a sentence is said."""

_ADVICE = (
    "The objective `balanced-error` and `training.class_weights=balanced` (and `finetune.class_weights`) "
    "give all classes the same weight"
)


def unequal_classes(train: ImageSet) -> tuple[str, ...]:
    """Return a sentence if the largest class of the train part has over ten times as many samples as another.

    Example:
        >>> labels = torch.tensor([0] * 40 + [1] * 2)
        >>> images = torch.zeros(42, 1, 2, 2, dtype=torch.uint8)
        >>> print(unequal_classes(ImageSet(images, labels, ("dog", "cat")))[0].partition(":")[0])
        Classes are imbalanced, 2 ('cat') to 40 ('dog') training samples
    """
    counts = torch.bincount(train.labels, minlength=len(train.classes))
    fewest, most = int(counts.argmin()), int(counts.argmax())
    if int(counts[most]) <= UNEVEN * int(counts[fewest]):
        return ()
    return (
        f"Classes are imbalanced, {int(counts[fewest]):,} ('{train.classes[fewest]}') to "
        f"{int(counts[most]):,} ('{train.classes[most]}') training samples: the accuracy hardly depends on "
        f"rare classes. {_ADVICE}.",
    )


def constant_answer(test: ImageSet, accuracies: Sequence[float]) -> tuple[str, ...]:
    """Return a warning if a constant answer is as accurate on the test part as one of the networks.

    Args:
        test: The test part.
        accuracies: Test accuracy of each finished network.

    Example:
        >>> labels = torch.tensor([0] * 9 + [1])
        >>> test = ImageSet(torch.zeros(10, 1, 2, 2, dtype=torch.uint8), labels, ("dog", "cat"))
        >>> print(constant_answer(test, [0.9, 0.95])[0].partition(". ")[0])
        The answer 'dog' for every sample is right on 90.0% of the test part, and 1 of 2 networks is no better
    """
    counts = torch.bincount(test.labels, minlength=len(test.classes))
    share = float(counts.max()) / len(test)
    worse = sum(accuracy <= share for accuracy in accuracies)
    if not worse:
        return ()
    verb = "is" if worse == 1 else "are"
    return (
        f"The answer '{test.classes[int(counts.argmax())]}' for every sample is right on {share:.1%} of the "
        f"test part, and {worse} of {len(accuracies)} networks {verb} no better. {_ADVICE}; see the balanced "
        "accuracy of each network.",
    )

"""Answers in the order of their items, from answers in the order of their completion."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

Numbered = Generator[tuple[int, Any], None, None]
"""The number of each item, from 0, and its answer, in the order of completion."""


def in_order(stream: Callable[[Callable[[], int]], Numbered], most: int) -> Iterator[Any]:
    """Yield the answers in the order of their items.

    Args:
        stream: Function that runs the items. Its argument returns the largest number of items in progress.
        most: Largest number of items that are in progress, or whose answer waits for an earlier answer.

    Example:
        >>> def reversed_answers(most):
        ...     yield from [(1, "b"), (0, "a")]
        >>> list(in_order(reversed_answers, 2))
        ['a', 'b']
    """
    answers: dict[int, Any] = {}
    due = 0
    with closing(stream(lambda: most - len(answers))) as results:
        for number, answer in results:
            answers[number] = answer
            while due in answers:
                yield answers.pop(due)
                due += 1

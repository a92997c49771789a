import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import space

from edanas.training.shrinking import ORDER, Shrinking

SPACE = space()
OPEN = Shrinking(SPACE)


def kinds(backbone):
    """Choices of a backbone, by the last part of the variables' names."""
    choices = {}
    for name, choice in backbone.choices:
        choices.setdefault(name.rpartition(".")[2], set()).add(choice)
    return choices


@given(st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_variables_that_are_not_elastic_have_their_largest_choice(done, seed):
    rng = np.random.default_rng(seed)
    largest = kinds(SPACE.largest())
    for backbone in (OPEN.smallest(done), OPEN.sample_backbone(rng, done)):
        for turn, kind in enumerate(ORDER, 1):
            if done < turn / (len(ORDER) + 1):
                assert kinds(backbone)[kind] <= largest[kind], kind


@pytest.mark.parametrize("turn", range(len(ORDER) + 1))
def test_variables_become_elastic_in_order(turn):
    smallest = kinds(OPEN.smallest(turn / (len(ORDER) + 1) + 0.01))
    ends = kinds(SPACE.smallest())
    opened = {kind for kind in ORDER if smallest[kind] == ends[kind]}
    # A choice that the space has only one of is as small as it is large.
    assert opened == {*ORDER[:turn], "expand"}
    assert smallest["resolution"] == ends["resolution"]


def test_at_the_end_everything_is_elastic():
    assert OPEN.smallest(1.0) == SPACE.smallest()
    rng = np.random.default_rng(0)
    drawn = {OPEN.sample_backbone(rng, 1.0).id for _ in range(40)}
    assert len(drawn) > 30

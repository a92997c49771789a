"""All samples of a group are in one part, whatever the sizes of groups and classes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.errors import ConfigError, DataError
from edanas.core.settings import SplitSettings
from edanas.core.types import ImageSet, LoadedData
from edanas.data.group_split import group_sentences
from edanas.data.grouping import groups_of
from edanas.data.splits import PARTS, split_indices

SHARES = SplitSettings(0.6, 0.1, 0.1, 0.2)


def data_of(groups, labels, parts="", images=None):
    count = len(groups)
    pixels = torch.arange(count * 2).to(torch.uint8).view(count, 1, 1, 2) if images is None else images
    samples = ImageSet(pixels, torch.tensor(labels), ("a", "b"))
    return LoadedData(samples, np.full(count, parts), (), (), tuple(map(str, groups)))


@settings(max_examples=40)
@given(st.integers(4, 12), st.integers(0, 1000))
def test_no_group_is_in_two_parts(count, seed):
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(count), rng.integers(0, count, 60)])
    labels = np.concatenate([np.zeros(count, int), rng.integers(0, 2, 60)])
    try:
        indices = split_indices(data_of(groups, labels), SHARES, seed)
    except DataError as error:
        assert "too few groups" in str(error)
        return
    members = np.sort(np.concatenate([indices[part] for part in PARTS]))
    assert members.tolist() == list(range(len(groups)))
    owners = [set(groups[indices[part]].tolist()) for part in PARTS]
    assert all(owners)
    assert sum(map(len, owners)) == count


def test_parts_follow_their_shares_where_groups_allow():
    groups = np.repeat(np.arange(100), 10)
    labels = np.tile([0, 1], 500)
    indices = split_indices(data_of(groups, labels, images=unique_images(1000)), SHARES, 0)
    assert [len(indices[part]) for part in PARTS] == pytest.approx([600, 100, 100, 200], abs=20)


def unique_images(count):
    numbers = np.arange(count, dtype=np.int64)
    return torch.from_numpy(numbers.view(np.uint8).reshape(count, 1, 2, 4).copy())


def test_groups_with_a_common_image_are_one_group():
    images = unique_images(40)
    images[39] = images[0]
    groups = np.repeat(np.arange(10), 4)
    for seed in range(8):
        indices = split_indices(data_of(groups, np.tile([0, 1], 20), images=images), SHARES, seed)
        place = {int(at): part for part in PARTS for at in indices[part]}
        assert place[0] == place[39]


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match=r"found 3 to divide.*at least 4 are needed"):
        split_indices(data_of([0, 1, 2] * 4, [0, 1] * 6), SHARES, 0)


def test_groups_in_two_named_parts_are_reported():
    sentences = group_sentences(["a", "b", "a"], {"train": np.array([0, 1]), "test": np.array([2])})
    assert "1 of them are in two parts at once" in sentences[1]
    assert "'a'" in sentences[1]


def test_a_pattern_names_groups():
    assert groups_of(["3/anna_1.wav", "4/bert_22.wav"], r"/(\w+)_\d+") == ("anna", "bert")
    with pytest.raises(ConfigError, match=r"matches nothing in '3/x.wav'"):
        groups_of(["3/x.wav"], r"_\d+")
    with pytest.raises(ConfigError, match="no regular expression"):
        groups_of(["3/x.wav"], "(")

import numpy as np
import pytest
import torch
from series_networks import CHANNELS, LENGTH, series_network

import edanas
from edanas.core.errors import ConfigError, DataError
from edanas.model.windows import windows
from edanas.testing.evaluations import toy_network


@pytest.mark.parametrize("seed", range(6))
def test_windows_do_not_depend_on_the_cuts_between_chunks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(2, 500)).astype(np.float32)
    window, hop = int(rng.integers(1, 60)), int(rng.integers(1, 150))
    cuts = np.sort(rng.integers(0, 501, size=20))
    parts = np.split(signal, cuts, axis=1)
    expected = [(f"{at}-{at + window}", signal[:, at : at + window]) for at in range(0, 501 - window, hop)]
    streamed = list(windows(parts, channels=2, window=window, hop=hop))
    assert [name for name, _ in streamed] == [name for name, _ in expected]
    for (_, one), (_, other) in zip(streamed, expected, strict=True):
        assert np.array_equal(one, other)


def test_a_window_is_yielded_as_soon_as_it_is_complete() -> None:
    arrived = []

    def chunks() -> object:
        for number in range(4):
            arrived.append(number)
            yield np.full(5, float(number))

    first = next(windows(chunks(), channels=1, window=8, hop=4))  # type: ignore[arg-type]
    assert arrived == [0, 1]
    assert first[0] == "0-8"


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.zeros((3, 4)), r"chunk 2: found shape \(3, 4\); allowed: \(1, n\) or \(n,\)"),
        (np.array(["a"]), "chunk 2: found values of type <U1"),
        (np.array([0.0, np.nan]), "chunk 2: found a value that is not finite in channel 0, position 1"),
    ],
)
def test_wrong_chunks_are_named(chunk: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(windows([np.zeros(2), chunk], channels=1, window=2, hop=2))


def test_a_stream_classifies_the_windows_of_a_signal(tmp_path: object) -> None:
    network = series_network(tmp_path)  # type: ignore[arg-type]
    signal = torch.randn(CHANNELS, 3 * LENGTH)
    answers = list(edanas.stream(network, signal.split(7, dim=1), window=LENGTH, hop=LENGTH // 2))
    assert [answer.name for answer in answers] == ["0-40", "20-60", "40-80", "60-100", "80-120"]
    whole = network.predict(signal.unfold(1, LENGTH, LENGTH // 2).movedim(1, 0).contiguous())
    assert [answer.label for answer in answers] == whole.label.tolist()
    assert [answer.exit - 1 for answer in answers] == whole.exit.tolist()


def test_windows_need_a_network_for_series_and_a_length() -> None:
    with pytest.raises(ConfigError, match="window: the network classifies images"):
        list(edanas.stream(toy_network().eval(), [], window=5))
    with pytest.raises(ConfigError, match="hop: found no window"):
        list(edanas.stream(toy_network().eval(), [], hop=5))
    with pytest.raises(ConfigError, match="window: found 0; allowed: whole numbers, 1 or more"):
        list(windows([], channels=1, window=0, hop=1))
    for odd in (2.5, "2", True):
        with pytest.raises(ConfigError, match=f"hop: found {odd!r}; allowed: whole numbers, 1 or more"):
            list(windows([], channels=1, window=4, hop=odd))  # type: ignore[arg-type]
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(DataError, match="chunk 1: found a value that is not finite in channel 0, position 1"):
        list(windows([masked], channels=1, window=4, hop=1))

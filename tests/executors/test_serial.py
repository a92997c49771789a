"""One after the other."""

from collections.abc import Iterator

from edanas.executors.serial import Serial


def test_an_item_is_taken_when_its_turn_comes() -> None:
    events = []

    def items() -> Iterator[int]:
        for item in range(3):
            events.append(f"take {item}")
            yield item

    events.extend(f"answer {answer}" for answer in Serial().run(lambda item: item, items()))
    assert events == ["take 0", "answer 0", "take 1", "answer 1", "take 2", "answer 2"]

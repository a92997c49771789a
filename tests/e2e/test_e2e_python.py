"""The Python interface: `edanas.search`, its result, and `edanas.load`."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_runs import recorded, result_of

import edanas
from edanas.core.errors import ConfigError, EdanasError, WeightsError
from edanas.core.progress import Bar, Silent


class RecordedProgress(Silent):
    """Progress that records labels and lines."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.lines: list[str] = []

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Bar]:
        self.labels.append(label)
        with super().task(label, total) as bar:
            yield bar

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_search_gives_the_result_of_the_command(
    tiny_config: Path, pictures: Path, reference: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, recorder = tmp_path / "run", RecordedProgress()
    result = edanas.search(
        data=str(pictures),
        plugin="mbv3-sm",
        out=out,
        settings=tomllib.loads(tiny_config.read_text()),
        progress=recorder,
        verbose=True,
    )
    assert recorded(out) == recorded(reference)
    assert result.front == result_of(reference)["front"]
    assert {"Training the supernet", "Initial archive", "Search"} <= set(recorder.labels)
    assert sum(line.startswith("iteration ") for line in recorder.lines) == 9
    assert capfd.readouterr() == ("", "")
    again = edanas.search(data=str(pictures), out=out, config=tiny_config)
    assert again.data == result.data


def test_settings_are_given_as_texts_or_arguments(tiny_config: Path, pictures: Path, tmp_path: Path) -> None:
    result = edanas.search(
        str(pictures),
        out=tmp_path / "run",
        config=tiny_config,
        settings=["seed=3", "search.results=1"],
        max_evals=4,
    )
    assert (result.seed, len(recorded(tmp_path / "run")), len(result.front)) == (3, 4, 1)
    with pytest.raises(ConfigError, match=r"serach\.initial|serach: unknown"):
        edanas.search(str(pictures), config=tiny_config, settings={"serach": {"initial": 3}})


def test_a_result_returns_its_best_rows_a_table_and_a_plot(reference: Path, tmp_path: Path) -> None:
    result = edanas.Result.read(reference)
    everything = [dict(evaluation.candidate.backbone.choices) for _, evaluation in recorded(reference)]
    assert result.pareto
    for row in result.pareto:
        # A candidate of the search, whole or cut at an exit point.
        choices = {name: value for name, value in row["backbone"].items() if name != "stages"}
        assert any(choices.items() <= backbone.items() for backbone in everything)
    best = result.best()
    assert best["validation_accuracy"] == max(row["validation_accuracy"] for row in result.front)
    cheapest = min(result.front, key=lambda row: row["validation_executed_macs"])
    least = cheapest["validation_executed_macs"]
    assert result.best(min_accuracy=0.0)["validation_executed_macs"] == least
    assert result.best(max_macs=least)["validation_executed_macs"] == least
    with pytest.raises(EdanasError, match=r"no network has at most 1 executed MACs"):
        result.best(max_macs=1.0)
    frame = result.to_dataframe()
    assert len(frame) == len(result.front) + len(result.static_front) + len(result.plain)
    assert frame["test_accuracy"].between(0, 1).all()
    result.plot(tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().lstrip().startswith("<?xml")
    assert re.match(r"<Result of .*: 2 early-exit and \d+ single-exit networks>", repr(result))


def test_a_network_accepts_bytes_and_floats_of_any_size(reference: Path) -> None:
    row = result_of(reference)["front"][-1]
    network = edanas.load(reference / row["model"])
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    of_bytes, of_floats = network(images), network(images.float() / 255)
    assert torch.equal(of_bytes.label, of_floats.label)
    assert torch.equal(of_bytes.exit, of_floats.exit)
    placed = {index for index, value in enumerate(row["thresholds"]) if value is not None}
    assert set(of_bytes.exit.tolist()) <= placed | {4}
    assert network(torch.zeros(2, 1, 31, 17, dtype=torch.uint8)).label.shape == (2,)
    assert network.classes == ("columns", "noise", "rows")


def test_errors_of_loading_name_the_cause(reference: Path, tmp_path: Path) -> None:
    path = reference / result_of(reference)["front"][0]["model"]
    with pytest.raises(ConfigError, match=r"device: 'cuda:77' does not exist"):
        edanas.load(path, device="cuda:77")
    with pytest.raises(ConfigError, match=r"device: found 'gpu'; allowed: auto, cpu"):
        edanas.load(path, device="gpu")
    with pytest.raises(WeightsError, match=r"none\.json: cannot be read"):
        edanas.load(tmp_path / "none.safetensors")
    description, weights = tmp_path / "copy.json", tmp_path / f"{path.stem}.safetensors"
    description.write_bytes(path.with_suffix(".json").read_bytes())
    weights.write_bytes(path.with_suffix(".safetensors").read_bytes()[:-1])
    with pytest.raises(WeightsError, match=rf"{path.stem}\.safetensors: damaged, or not what copy\.json"):
        edanas.load(description)

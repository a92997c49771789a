import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edanas.core.errors import EdanasError, RunError
from edanas.core.result_row import ResultRow
from edanas.report.choice import highlights
from edanas.report.result import FILE, Result


def test_a_written_result_is_read_back(tmp_path: Path, data: dict[str, Any]) -> None:
    written, read = Result.write(tmp_path, data), Result.read(tmp_path)
    assert read.data == written.data == data
    assert read.folder == tmp_path
    assert (read.front, read.static_front, read.seed) == (data["front"], data["static_front"], 3)
    assert read.settings["plugin"] == "mbv3-sm"
    assert read.pareto == []
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_numbers_of_numpy_and_paths_are_written_as_plain_ones(tmp_path: Path, data: dict[str, Any]) -> None:
    data["front"][0]["test_accuracy"] = np.float32(0.5)
    data["hypervolume"] = np.array([0.25, 0.5])
    data["front"][0]["model"] = Path("models") / "x.safetensors"
    Result.write(tmp_path, data)
    plain = json.loads((tmp_path / FILE).read_text())
    assert plain["front"][0]["test_accuracy"] == 0.5
    assert plain["hypervolume"] == [0.25, 0.5]
    assert plain["front"][0]["model"] == "models/x.safetensors"


def test_a_failed_write_leaves_the_old_result(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Result.write(tmp_path, data)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"result.json: cannot be written: No space left"):
        Result.write(tmp_path, data | {"seed": 4})
    assert Result.read(tmp_path).seed == 3


def test_a_number_that_json_lacks_is_never_written(tmp_path: Path, data: dict[str, Any]) -> None:
    data["front"][0]["test_accuracy"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        Result.write(tmp_path, data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"result.json: does not exist; the run is not finished"),
        (b"{", r"result.json: is damaged"),
        (b"\xff\xfe", r"result.json: is damaged"),
        (b"[]", r"found list, expected a JSON object"),
        (b"{}", r"'front' is missing"),
        (b'{"front": 1}', r"'front' is not a list"),
    ],
)
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RunError, match=message) as error:
        Result.read(tmp_path)
    assert str(tmp_path / FILE) in str(error.value)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere: no such folder"):
        Result.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("executed_macs", "many", r"front\[1\]: 'executed_macs' is not a number"),
        ("thresholds", 1, r"front\[1\]: 'thresholds' is not a list"),
        ("thresholds", ["<script>"] * 4, r"front\[1\]: 'thresholds' is not a list of numbers"),
        ("utilization", [1.0], r"front\[1\]: 'utilization' has 1 numbers for 4 exit points"),
    ],
)
def test_a_damaged_row_is_named(
    tmp_path: Path, data: dict[str, Any], key: str, value: object, message: str
) -> None:
    data["front"][1][key] = value
    (tmp_path / FILE).write_text(json.dumps(data))
    with pytest.raises(RunError, match=message):
        Result.read(tmp_path)


def test_every_key_of_the_fixed_shape_is_needed(tmp_path: Path, data: dict[str, Any]) -> None:
    keys = {"id", "exits", "thresholds", "utilization", "test_accuracy", "validation_accuracy", "params"}
    keys |= {"ada_macs", "executed_macs", "backbone_macs", "backbone_test_accuracy"}
    for key in sorted(keys):
        damaged = json.loads(json.dumps(data))
        del damaged["static_front"][0][key]
        with pytest.raises(RunError, match=rf"static_front\[0\]: '{key}' is missing"):
            Result(tmp_path, damaged)


def test_the_best_is_chosen_on_validation_and_never_on_test(data: dict[str, Any]) -> None:
    result = Result("run", data)
    assert result.best()["id"] == "e3"
    for row in data["front"]:
        row["test_accuracy"] = 1 - row["test_accuracy"]
    assert Result("run", data).best()["id"] == "e3"


def test_a_limit_holds_on_validation_and_test_costs_have_no_say(data: dict[str, Any]) -> None:
    """Two networks with equal accuracy: one is within the limit on validation alone, one on test alone."""
    data["front"][2] |= {"validation_executed_macs": 1.9e6, "executed_macs": 2.1e6}
    data["front"][3] |= {"validation_executed_macs": 2.1e6, "executed_macs": 1.9e6}
    result = Result("run", data)
    assert result.best(max_macs=2e6)["id"] == "e3"
    assert result.best(min_accuracy=0.98)["id"] == "e3"
    with pytest.raises(EdanasError, match=r"the most accurate \(3 early exits\) has 98.5% at 1.90M"):
        result.best(min_accuracy=0.99)
    assert highlights(result.early_exit)["accurate"].id == "e3"


def rows_of(values: list[dict[str, Any]]) -> list[ResultRow]:
    return [ResultRow.from_json(row) for row in values]


def test_highlights_are_chosen_on_validation_alone(data: dict[str, Any]) -> None:
    data["front"][1]["executed_macs"] = 1.0
    assert highlights(rows_of(data["front"]))["cheap"].id == "e3"
    data["front"][1]["validation_executed_macs"] = 1.0
    assert highlights(rows_of(data["front"]))["cheap"].id == "e2"


def test_a_result_without_validation_costs_is_judged_by_what_it_has(data: dict[str, Any]) -> None:
    for row in data["front"]:
        del row["validation_executed_macs"]
    assert Result("run", data).best(max_macs=1.7e6)["id"] == "e2"


@pytest.mark.parametrize(
    ("bounds", "name"),
    [
        ({"max_macs": 1.7e6}, "e2"),
        ({"max_macs": 1.0e6}, "e1"),
        ({"min_accuracy": 0.985}, "e3"),
        ({"min_accuracy": 0.965}, "e2"),
        ({"min_accuracy": 0.0}, "e1"),
        ({"min_accuracy": 0.965, "max_macs": 2.2e6}, "e3"),
        ({"min_accuracy": 0.9, "exits": 0}, "s1"),
        ({"exits": 1}, "e1"),
        ({"exits": 4, "max_macs": 3e6}, "e4"),
        ({"exits": 0}, "s2"),
        ({"exits": 0, "max_macs": 2e6}, "s1"),
    ],
)
def test_the_best_within_limits(data: dict[str, Any], bounds: dict[str, Any], name: str) -> None:
    assert Result("run", data).best(**bounds)["id"] == name


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        ({"max_macs": "10M"}, {"max_macs": 10e6}),
        ({"max_macs": "10,000k", "min_accuracy": "50%"}, {"max_macs": 10e6, "min_accuracy": 0.5}),
        ({"max_params": "1G"}, {"max_params": 1e9}),
    ],
)
def test_bounds_are_texts_or_numbers(
    data: dict[str, Any], texts: dict[str, Any], numbers: dict[str, Any]
) -> None:
    assert Result("run", data).best(**texts) == Result("run", data).best(**numbers)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"max_macs": "5m"}, "max_macs: found '5m'"),
        ({"max_ram": "much"}, "max_ram: found 'much'; allowed: a number"),
        ({"min_accuracy": "95"}, "Did you mean '95%'"),
    ],
)
def test_texts_that_are_no_bounds_are_named(
    data: dict[str, Any], bounds: dict[str, Any], message: str
) -> None:
    with pytest.raises(EdanasError, match=re.escape(message)):
        Result("run", data).best(**bounds)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (
            {"max_macs": 0.5e6},
            r"no network has at most 0.500M executed MACs; the cheapest \(1 early exit\) has 96.0% at 1.00M",
        ),
        ({"max_macs": 10}, r"at most 10 executed MACs \(for 10 million, set max_macs=10e6\); the"),
        ({"min_accuracy": 0.99}, r"at least 99.0% validation accuracy; .*the most accurate .* has 98.5%"),
        ({"max_macs": 1e6, "min_accuracy": 0.98}, r"at most 1.00M executed MACs and at least 98.0%"),
        ({"exits": 7}, r"exits: found 7; allowed: 0, 1, 2, 3, 4"),
        ({"max_macs": -1}, r"max_macs: found -1; allowed: a positive number"),
        ({"min_accuracy": 97}, r"min_accuracy: found 97; allowed: a fraction, 0 to 1"),
    ],
)
def test_unmet_or_invalid_bounds_are_explained(
    data: dict[str, Any], bounds: dict[str, Any], message: str
) -> None:
    with pytest.raises(EdanasError, match=message):
        Result("run", data).best(**bounds)


def test_the_best_network_of_a_run_without_early_exits_has_a_single_exit(data: dict[str, Any]) -> None:
    result = Result("run", data | {"front": []})
    assert result.best()["id"] == result.best(exits=0)["id"] == "s2"
    with pytest.raises(EdanasError, match="the run has no network"):
        Result("run", data | {"front": [], "static_front": []}).best()


def test_the_dataframe_holds_both_fronts(data: dict[str, Any]) -> None:
    frame = Result("run", data).to_dataframe()
    assert frame["kind"].tolist() == ["early-exit"] * 4 + ["single-exit"] * 2
    assert frame["id"].tolist() == ["e1", "e2", "e3", "e4", "s1", "s2"]
    assert frame.loc[1, "thresholds"] == [0.5, 0.5, None, None]
    empty = Result("run", data | {"front": [], "static_front": []}).to_dataframe()
    assert len(empty) == 0
    assert {"kind", "id", "test_accuracy"} <= set(empty.columns)


def test_further_limits_hold_before_the_choice(data: dict[str, Any]) -> None:
    for number, row in enumerate(data["front"]):
        row |= {"params": 1000 * (4 - number), "activations": 10 * (1 + number)}
    result = Result("run", data)
    assert result.best(max_params=3000, max_activations=30)["id"] == "e3"
    assert result.best(max_params=3000, max_activations=20)["id"] == "e2"
    assert result.best(max_macs=1.9e6, max_params=3500)["id"] == "e2"
    with pytest.raises(
        EdanasError, match="at most 10 params and at most 5 activations; the smallest numbers are 1000"
    ):
        result.best(max_params=10, max_activations=5)
    with pytest.raises(EdanasError, match=r"max_params: found -1; allowed: a positive number"):
        result.best(max_params=-1)
    for number, row in enumerate(data["front"]):
        row |= {"ram": 64_000 - 1000 * number, "flash": 100_000 + 1000 * number}
    result = Result("run", data)
    assert result.best(max_ram=63_000, max_flash=102_000)["ram"] in (62_000, 63_000)
    with pytest.raises(EdanasError, match="no network has at most 500 bytes of RAM and at most 99000 "):
        result.best(max_ram=500, max_flash=99e3)
    with pytest.raises(EdanasError, match="max_ram: found 0; allowed: a positive number"):
        result.best(max_ram=0)
    del data["front"][0]["activations"]
    with pytest.raises(EdanasError, match="max_activations: the result lacks the number of activations"):
        Result("run", data).best(max_activations=5)


def test_a_row_is_written_as_it_was_read() -> None:
    """Keys of other versions stay, in their place; keys that an older version left out are not added."""
    values = {
        "future": {"a": [1]},
        "id": "x",
        "exits": 1,
        "thresholds": [0.5],
        "utilization": [1, 0.0],
        "test_accuracy": 1,
        "validation_accuracy": 0.5,
        "ada_macs": 1.0,
        "executed_macs": 2,
        "another": None,
        "backbone_macs": 3,
        "backbone_test_accuracy": 0.5,
        "params": 4,
        "test_ci": [0.1, 0.9],
        "calibration_accuracy": None,
        "examples": [{"kind": "early"}],
        "backbone": {"depth": 2},
    }
    row = ResultRow.from_json(values)
    assert json.dumps(row.to_json()) == json.dumps(values)
    assert (row.activations, row.files, row.test_ci) == (None, (), (0.1, 0.9))
    assert row.macs_for_choice == row.executed_macs == 2


def test_public_rows_are_plain_dictionaries(data: dict[str, Any]) -> None:
    result = Result("run", data)
    for row in (*result.front, *result.static_front, result.best()):
        assert type(row) is dict
        assert json.loads(json.dumps(row)) == row
    assert result.best() == result.front[2]


def test_a_notebook_shows_the_table_and_no_markup_from_outside(data: dict[str, Any]) -> None:
    data["front"][0] |= {"id": "<script>alert(1)</script>", "breaches": ["<b>params</b> & more"]}
    page = Result("<run>", data)._repr_html_()
    assert page.startswith(
        "<p>&lt;Result of &lt;run&gt;: 4 early-exit and 2 single-exit networks&gt;</p><table>"
    )
    assert "<td>2</td><td>97.2</td><td>1.43</td><td>1.50</td><td>50</td><td>50</td><td>98.5</td>" in page
    assert page.count("<tr>") == 7
    assert "&lt;b&gt;params&lt;/b&gt; &amp; more" in page
    assert not [each for each in ("<script", "<b>", "http", "src=") if each in page]

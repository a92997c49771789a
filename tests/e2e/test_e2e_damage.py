"""One damaged record of a run: it is named, and the archive gives the result of the intact run again."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from tiny_runs import Edanas, draw, recorded, refused, result_of

from edanas.core.archive import Archive
from edanas.core.errors import RunError

TIMES = ("seconds", "environment")


def figures(folder: Path) -> dict[str, object]:
    return {key: value for key, value in result_of(folder).items() if key not in (*TIMES, "checksums")}


def changed_digit(path: Path, after: str) -> None:
    """Change the first digit that follows the text `after` in a file, by one bit."""
    content = bytearray(path.read_bytes())
    at = content.index(after.encode()) + len(after)
    at = next(index for index in range(at, len(content)) if chr(content[index]).isdigit())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def test_records_of_a_finished_run_are_written_again(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, reference: Path
) -> None:
    row = next((finished_run / "models").glob("*.row.json"))
    result, log = finished_run / "result.json", finished_run / "log.jsonl"
    for path, after, name in (
        (result, '"static_front": [', "static_front[0]"),
        (result, '"hypervolume": [\n  0.', "'hypervolume'"),
        (log, '"event": "edanas_iteration_finished"', "line 7"),
        (log, '"accuracy": 0.', "line 1"),
    ):
        changed_digit(path, after)
        command = ("report", finished_run) if path == result else ("watch", finished_run, "--once")
        refused(edanas(*command), f"{path}: ", f"{name} does not match its checksum")
        output = edanas(*arguments, "--out", finished_run)
        assert output.code == 0, output.err
        assert f"{path}: " in output.err
        assert "written again from the archive" in output.err
        assert figures(finished_run) == figures(reference)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        before = [json.loads(line) for line in (reference / "log.jsonl").read_text().splitlines()]
        for each in (*lines, *before):
            del each["time"], each["checksum"]
        assert lines == before
    result.unlink()
    intact = row.read_bytes()
    changed_digit(row, '"executed_macs": ')
    output = edanas(*arguments, "--out", finished_run)
    assert f"{row}: is damaged (" in output.err
    assert "; the network is finished again" in output.err
    assert row.read_bytes() == intact
    assert figures(finished_run) == figures(reference)


@pytest.mark.parametrize("lines", [1, 3, 99])
def test_missing_last_lines_of_a_log_are_written_again(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, reference: Path, lines: int
) -> None:
    log = finished_run / "log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-lines]))
    (finished_run / "result.json").unlink()
    output = edanas(*arguments, "--out", finished_run)
    assert output.code == 0, output.err
    events = len((reference / "log.jsonl").read_bytes().splitlines())
    assert f"{log}: lacks {min(lines, events)} of {events} events; the log is written again" in output.err
    assert figures(finished_run) == figures(reference)


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE evaluations SET metrics = '{\"accuracy\": 0.5' WHERE seq = 3", "evaluations, row 3"),
        ("UPDATE evaluations SET metrics = replace(metrics, '0.', '1.') WHERE seq = 2", "evaluations, row 2"),
        ("UPDATE evaluations SET candidate = '[1]' WHERE seq = 4", "evaluations, row 4"),
        ("UPDATE evaluations SET genome = '[0]' WHERE seq = 5", "evaluations, row 5"),
        ("UPDATE evaluations SET iteration = 1 WHERE seq = 1", "evaluations, row 1"),
        ("DELETE FROM evaluations WHERE seq = 2", "evaluations, row 2"),
        ("UPDATE evaluations SET checksum = NULL WHERE seq = 6", "evaluations, row 6"),
        ("UPDATE meta SET value = '{' WHERE key = 'settings'", "meta, row settings"),
        ("UPDATE meta SET value = '[]' WHERE key = 'hypervolume_box'", "meta, row hypervolume_box"),
        ("UPDATE profiles SET confidence = x'00'", "profiles, row"),
        ("UPDATE profiles SET samples = samples - 1", "profiles, row"),
    ],
)
def test_a_damaged_row_of_the_archive_is_named(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, statement: str, row: str
) -> None:
    path = finished_run / "archive.sqlite"
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()
    (finished_run / "result.json").unlink()
    error = refused(edanas(*arguments, "--out", finished_run), f"{path}: {row}", "the file is damaged")
    assert "Internal" not in error


def test_a_run_without_checksums_is_read_and_resumed(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, reference: Path
) -> None:
    """Files of an older version: no column and no key of checksums, and an incomplete line in the log."""
    with sqlite3.connect(finished_run / "archive.sqlite") as connection:
        for table in ("meta", "evaluations", "profiles"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        connection.execute("DELETE FROM meta WHERE key LIKE 'iteration %'")
    connection.close()
    for path in (finished_run / "models").glob("*.row.json"):
        row = json.loads(path.read_text())
        del row["checksum"]
        path.write_text(json.dumps(row))
    (finished_run / "result.json").write_text(json.dumps(result_of(finished_run)))
    lines = [json.loads(line) for line in (finished_run / "log.jsonl").read_text().splitlines()]
    for line in lines:
        del line["checksum"]
    text = "\n".join(map(json.dumps, lines))
    (finished_run / "log.jsonl").write_text(f'{{"torn\n{text}\n{{"torn')
    older = Path(shutil.copytree(finished_run, finished_run.with_name("older")))
    for command in (("report",), ("watch", "--once")):
        assert edanas(command[0], older, *command[1:]).code == 0
    assert recorded(older) == recorded(reference)
    with Archive(finished_run, read_only=True) as archive:
        assert len(list(archive.replay())) == 9
    (older / "result.json").unlink()
    for folder in (finished_run, older):
        output = edanas(*arguments, "--out", folder)
        assert output.code == 0, output.err
        assert "damaged" not in output.err
        assert figures(folder) == figures(reference)
    with sqlite3.connect(older / "archive.sqlite") as connection:
        connection.execute("UPDATE evaluations SET metrics = '{' WHERE seq = 1")
    connection.close()
    with pytest.raises(RunError, match="evaluations, row 1 "), Archive(older) as archive:
        list(archive.replay())


def test_changed_images_of_a_finished_run_are_reported(
    edanas: Edanas, arguments: tuple[str, ...], pictures: Path, finished_run: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(pictures, tmp_path / "pictures"))
    out = tmp_path / "run"
    command = (*arguments[:-1], copy, "--out", out)
    assert edanas(*command).code == 0
    draw(copy / "rows" / "0.png", 1, 1000)
    refused(edanas(*command), f"{out} holds a run on other samples, though its settings are the same")


def test_another_preset_is_named_first(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, pictures: Path
) -> None:
    error = refused(edanas("run", "--data", pictures, "--preset", "paper", "--out", finished_run))
    assert "Changed: the preset was quick, now paper; " in error
    assert error.count(": was ") == 5
    assert " more settings. Use the same settings" in error

import warnings

import pytest

from edanas.cli import main
from edanas.core import config
from edanas.core.config import resolve
from edanas.core.deprecation import Deprecation, EdanasDeprecationWarning
from edanas.core.errors import ConfigError

DEPRECATION = Deprecation("0.3", "0.5", "new")
NOTICE = "is deprecated since edanas 0.3 and will be removed in 0.5; use new instead"


def test_a_function_works_and_names_its_caller() -> None:
    @DEPRECATION.function
    def old(number: int) -> int:
        """Twice as much."""
        return 2 * number

    with pytest.warns(EdanasDeprecationWarning) as caught:
        assert old(3) == 6
    assert str(caught[0].message) == f"old() {NOTICE}"
    assert caught[0].filename == __file__
    assert old.__doc__ == "Twice as much."


def test_an_argument_is_passed_on_under_its_new_name() -> None:
    @DEPRECATION.argument("old")
    def double(new: int) -> int:
        return 2 * new

    with pytest.warns(EdanasDeprecationWarning) as caught:
        assert double(old=3) == 6
    assert str(caught[0].message) == f"double(old=) {NOTICE}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert double(new=3) == double(3) == 6
    with pytest.warns(EdanasDeprecationWarning), pytest.raises(TypeError, match="'old' is the old name"):
        double(old=1, new=2)


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    for old, new in (
        ("budget", "search.max_evals"),
        ("training.passes", "training.epochs"),
        ("looking", "search"),
        ("sureness", "criterion"),
    ):
        monkeypatch.setitem(config.RENAMED_SETTINGS, old, Deprecation("0.3", "0.5", new))


@pytest.mark.usefixtures("renamed")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"budget": 7}, {"search": {"max_evals": 7}}),
        ({"training": {"passes": 3}}, {"training": {"epochs": 3}}),
        ({"training.passes": 3}, {"training": {"epochs": 3}}),
        ({"looking": {"initial": 5, "iterations": 2}}, {"search": {"initial": 5, "iterations": 2}}),
        ({"looking.initial": 5}, {"search.initial": 5}),
        ({"sureness": "entropy"}, {"criterion": "entropy"}),
        ({"sureness.temperature": 2.0}, {"criterion.temperature": 2.0}),
    ],
)
def test_a_renamed_setting_or_table_sets_the_new_one(old: object, new: object) -> None:
    with pytest.warns(EdanasDeprecationWarning, match="^The setting .*, from my file, is deprecated since"):
        settings = resolve([("my file", old)])  # type: ignore[list-item]
    assert settings == resolve([("my file", new)])  # type: ignore[list-item]


@pytest.mark.usefixtures("renamed")
def test_the_value_of_a_renamed_setting_is_checked_under_its_new_name() -> None:
    with (
        pytest.warns(EdanasDeprecationWarning),
        pytest.raises(ConfigError, match=r"search.max_evals: .*from my file"),
    ):
        resolve([("my file", {"budget": "many"})])


@pytest.mark.usefixtures("renamed")
def test_the_command_line_prints_a_deprecation_in_one_line_and_continues(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--data", f"{tmp_path}/none", "--set", "training.passes=3", "--dry-run"]
    assert main(arguments) == 2  # there are no images
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == (
        "Warning: The setting training.passes, from --set, is deprecated since edanas 0.3 and will be "
        "removed in 0.5; use training.epochs instead"
    )
    assert "none" in rest[-1]

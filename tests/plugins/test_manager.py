import sys
from types import SimpleNamespace

import pytest

from edanas import hookimpl
from edanas.core.errors import PluginError
from edanas.plugins.manager import BUILT_IN, Plugin, load_plugins

pytestmark = pytest.mark.usefixtures("no_built_ins")

CRITERION = """
@hookimpl
def edanas_confidence_criteria():
    return {"constant": Constant}
"""


def names(host):
    return [plugin.name for plugin in host.plugins]


def causes(host):
    return {broken.plugin.name: broken.cause for broken in host.broken}


def test_an_entry_point_is_loaded_with_its_owner_and_version(install):
    install("good", CRITERION, owner="some-dist", version="2.3")
    (plugin,) = load_plugins().plugins
    assert (plugin.name, plugin.owner, plugin.version) == ("good", "some-dist", "2.3")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("this is no python", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("EDANAS_SPEC_VERSION = 99" + CRITERION, "made for hook specification 99; this edanas has 1"),
        (
            "@hookimpl\ndef edanas_surogate_models():\n    return {}",
            "unknown hook 'edanas_surogate_models'. Did you mean 'edanas_surrogate_models'?",
        ),
        (
            "@hookimpl\ndef edanas_run_started(settings, directory):\n    pass",
            "Argument(s) {'directory'} are declared in the hookimpl but can not be found",
        ),
        ("def edanas_bundles():\n    return {}", "'edanas_bundles' is not marked with @edanas.hookimpl"),
        ("value = 1", "no function is marked with @edanas.hookimpl"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_cause_and_the_others_work(install, code, cause):
    install("bad", code, owner="bad-dist", version="0.7")
    install("good", CRITERION)
    host = load_plugins()
    assert names(host) == ["good"]
    (broken,) = host.broken
    assert (broken.plugin.name, broken.plugin.owner, broken.plugin.version) == ("bad", "bad-dist", "0.7")
    assert cause in broken.cause


def test_a_plugin_with_one_good_and_one_misspelled_hook_counts_as_broken(install):
    install("half", CRITERION + "\n@hookimpl\ndef edanas_bundels():\n    return {}")
    host = load_plugins()
    assert names(host) == []
    assert "Did you mean 'edanas_bundles'?" in causes(host)["half"]


def test_one_module_under_two_entry_points_is_loaded_once(install, tmp_path):
    module = install("first", CRITERION, owner="one")
    with (tmp_path / "one-1.0.dist-info" / "entry_points.txt").open("a") as file:
        file.write(f"second = {module}\n")
    host = load_plugins()
    assert names(host) == ["first"]
    assert "already registered" in causes(host)["second"]


@pytest.mark.parametrize(
    ("restriction", "loaded"),
    [
        ("", []),
        ("one", ["one"]),
        (" two , one ", ["one", "two"]),
        ("Owner_Of.Two", ["two"]),
    ],
)
def test_restriction_by_entry_point_or_distribution(install, monkeypatch, restriction, loaded):
    install("one", CRITERION)
    install("two", CRITERION, owner="owner-of-two")
    monkeypatch.setenv("EDANAS_PLUGINS", restriction)
    host = load_plugins()
    assert names(host) == loaded
    assert not host.broken


def test_an_unknown_name_in_the_restriction_is_reported(install, monkeypatch):
    install("entropy", CRITERION)
    monkeypatch.setenv("EDANAS_PLUGINS", "entropi")
    host = load_plugins()
    assert names(host) == []
    assert "EDANAS_PLUGINS names this plugin" in causes(host)["entropi"]
    assert "Did you mean 'entropy'?" in causes(host)["entropi"]


def test_a_restriction_does_not_exclude_built_ins(install, monkeypatch):
    module = install("own", CRITERION)
    monkeypatch.setattr("edanas.plugins.manager.BUILT_IN", (module, "edanas.no_such_module"))
    monkeypatch.setenv("EDANAS_PLUGINS", "")
    host = load_plugins()
    assert names(host) == [module]
    assert host.plugins[0].built_in
    assert list(causes(host)) == ["edanas.no_such_module"]


def test_built_ins_are_listed_once_each():
    assert len(set(BUILT_IN)) == len(BUILT_IN)


EVENT = """
summaries = []
@hookimpl
def edanas_iteration_finished(summary):
    summaries.append(summary)
    {action}
"""


def test_an_event_reaches_every_plugin_and_a_failure_is_reported_once(install):
    install("a-bad", EVENT.format(action="raise RuntimeError('no\\n  room')"))
    install("b-good", EVENT.format(action="pass"))
    lines = []
    host = load_plugins(lines.append)
    for number in range(3):
        host.notify("edanas_iteration_finished", summary=number)
    good = next(module for name, module in sys.modules.items() if name.startswith("fake_b_good"))
    assert good.summaries == [0, 1, 2]
    (line,) = lines
    assert "dist-a-bad 1.0 (entry point 'a-bad')" in line
    assert "edanas_iteration_finished raised RuntimeError: no room" in line


def test_failures_are_reported_once_for_each_event(install):
    code = "@hookimpl\ndef edanas_run_finished():\n    raise ValueError"
    install("bad", EVENT.format(action="raise ValueError") + code)
    lines = []
    host = load_plugins(lines.append)
    for _ in range(2):
        host.notify("edanas_iteration_finished", summary=None)
        host.notify("edanas_run_finished", result={}, folder=None)
    assert len(lines) == 2


def test_ctrl_c_in_an_event_is_raised(install):
    install("slow", EVENT.format(action="raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        load_plugins().notify("edanas_iteration_finished", summary=None)


@pytest.mark.parametrize(
    ("event", "arguments"),
    [("edanas_no_such_event", {}), ("edanas_iteration_finished", {"sumary": 1}), ("edanas_run_finished", {})],
)
def test_a_wrong_event_raises_an_error_in_the_caller(install, event, arguments):
    install("good", EVENT.format(action="pass"))
    with pytest.raises(TypeError, match=event):
        load_plugins().notify(event, **arguments)


def test_an_object_without_a_hash_is_the_only_broken_plugin(install):
    install("good", CRITERION)
    host = load_plugins()

    @hookimpl
    def edanas_bundles():
        return {}

    odd = SimpleNamespace(edanas_bundles=edanas_bundles)
    host.load(Plugin("odd", "odd-dist", "1"), lambda: odd)
    assert names(host) == ["good"]
    assert "has no hash" in causes(host)["odd"]


class Follower:
    def __init__(self):
        self.settings = []

    @hookimpl
    def edanas_run_started(self, settings, folder):
        self.settings.append(settings)


def test_a_member_receives_events_only_while_it_has_joined(tmp_path):
    host, member = load_plugins(), Follower()
    plugin = Plugin("logger 'x'", "edanas", "1", built_in=True)
    for _ in range(2):
        with host.joined({plugin: member}):
            host.notify("edanas_run_started", settings={"seed": 1}, folder=tmp_path)
        host.notify("edanas_run_started", settings={"seed": 2}, folder=tmp_path)
    assert member.settings == [{"seed": 1}, {"seed": 1}]


def test_a_member_without_an_event_is_refused():
    host = load_plugins()
    members = {Plugin("somebody", "x", "1"): object()}
    with pytest.raises(PluginError, match=r"somebody.*no function is marked"), host.joined(members):
        pass
    assert host.plugins == ()
    assert host.broken == []

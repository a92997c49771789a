import types

import pytest
import torch
from small_runs import OPTIONS

from edanas.core.config import resolve, to_plain
from edanas.core.contracts import Bundle
from edanas.core.devices import device_of, named_device, threads_of
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.progress import Silent
from edanas.core.settings import Component, components, labels
from edanas.evaluation.shared import SharedEvaluation
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import Plugin, load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import _executor, compose, make_space, surrogate_factory
from edanas.run.execution import run
from edanas.run.layers import check_names, layered_settings
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.surrogates.adaptive import AdaptiveSwitching
from edanas.surrogates.rbf import RBF

BUNDLE = Bundle(
    "For these tests.",
    {
        "supernet": {"name": "ofa-mbv3", "widths": [0.5], "stem_stride": 1},
        "split": {"train": 0.4, "calibration": 0.2, "validation": 0.2, "test": 0.2},
        "training": {"epochs": 7, "batch_size": 8},
        "seed": 1,
    },
    {
        "first": {"training": {"epochs": 8}, "recalibration": 99},
        "second": {"training.epochs": 9, "supernet.widths": [0.35]},
    },
)


@pytest.fixture(scope="module")
def registry():
    module = types.ModuleType("bundle_for_tests")
    module.edanas_bundles = hookimpl(lambda: {"small": BUNDLE, "bare": Bundle("Nothing but defaults.")})
    module.edanas_bundles.__module__ = module.__name__
    host = load_plugins()
    host.load(Plugin("for-tests", "tests", "1"), lambda: module)
    assert host.broken == []
    return Registry(host)


def settled(registry, *tables):
    return layered_settings(registry, [(f"layer {i}", table) for i, table in enumerate(tables)])


def test_without_a_word_it_is_the_default_bundle_and_its_first_preset(registry):
    result = settled(registry)
    assert (result.plugin, result.preset) == ("mbv3-sm", "quick")
    assert result == settled(registry, {"plugin": "mbv3-sm", "preset": "quick"})


def test_later_layers_win_bundle_preset_file_assignment_flag(registry):
    """Each layer sets one thing more than the one above it, which must hold."""
    base = {"plugin": "small"}
    assert settled(registry, base).training.epochs == 8  # the first preset's, over the bundle's 7
    assert settled(registry, base).training.batch_size == 8  # the bundle's, over the default
    assert settled(registry, base).training.learning_rate == 0.003  # the default
    assert settled(registry, {**base, "preset": "second"}).training.epochs == 9
    file = {**base, "training": {"epochs": 10, "batch_size": 16}, "seed": 2}
    assignment, flag = {"training": {"epochs": 11}, "seed": 3}, {"seed": 4}
    result = settled(registry, file, assignment, flag)
    assert (result.training.epochs, result.training.batch_size, result.seed) == (11, 16, 4)
    assert (result.recalibration, result.plugin, result.preset) == (99, "small", "first")


def test_the_last_layer_that_names_them_chooses_bundle_and_preset(registry):
    result = settled(registry, {"plugin": "mbv3-sm", "preset": "second"}, {"plugin": "small"})
    assert (result.plugin, result.preset, result.training.epochs) == ("small", "second", 9)


def test_a_bundle_without_presets(registry):
    result = settled(registry, {"plugin": "bare"})
    # The digits have 8 pixels.
    assert result == resolve([("", {"plugin": "bare", "supernet.resolutions": [8]})])


def test_options_of_a_component_add_up_over_the_layers(registry):
    result = settled(registry, {"plugin": "small", "preset": "second"}, {"supernet": {"dropout": 0.1}})
    options = {"widths": [0.35], "stem_stride": 1, "dropout": 0.1, "resolutions": [8]}
    assert result.supernet == Component("ofa-mbv3", options)


def test_a_name_with_an_argument_is_the_name_and_its_first_option(registry):
    short = settled(
        registry,
        {"preset": "quick", "classifier": "mlp:32", "data": "folder:a:b", "executor": "process:2"},
    )
    long = {
        "preset": "quick",
        "classifier": {"name": "mlp", "hidden": 32},
        "data": {"name": "folder", "path": "a:b"},
        "executor": {"name": "process", "workers": 2},
    }
    assert short == settled(registry, long)
    assert short.classifier == Component("mlp", {"hidden": 32})
    assert settled(registry, {"supernet": "timm:resnet18"}).supernet == Component(
        "timm", {"model": "resnet18", "resolutions": [8]}
    )


def test_an_argument_may_stand_with_other_options_and_in_lists(registry):
    result = settled(registry, {"classifier": {"name": "mlp:32", "dropout": 0.5}})
    assert result.classifier == Component("mlp", {"hidden": 32, "dropout": 0.5})
    (rbf,) = settled(registry, {"surrogates": ["rbf:0.1"]}).surrogates
    assert rbf == Component("rbf", {"smoothing": 0.1})


def test_settings_need_only_be_complete_together_with_the_bundle_s(registry):
    """These shares sum to 1 with the bundle's 0.4 and 0.2, and not with the defaults."""
    result = settled(registry, {"plugin": "small", "split": {"validation": 0.1, "test": 0.3}})
    assert result.split.train + result.split.calibration == pytest.approx(0.6)
    with pytest.raises(ConfigError, match=r"split: .* = 1\.1"):
        settled(registry, {"plugin": "small", "split": {"test": 0.3}})


def test_resolved_settings_resolve_to_themselves(registry):
    """So a run resumes from its own config.toml."""
    for table in ({}, {"preset": "paper"}, {"preset": "best"}, {"plugin": "small"}):
        result = settled(registry, table)
        assert settled(registry, to_plain(result)) == result


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"plugin": "mbv3-ms"}, r"plugin: unknown bundle 'mbv3-ms'\. Did you mean 'mbv3-sm'\?"),
        ({"plugin": 3}, r"plugin: 3 from layer 0: expected text"),
        ({"preset": "quik"}, r"preset: bundle 'mbv3-sm' has no preset 'quik'\. Did you mean 'quick'\?"),
        ({"plugin": "small", "preset": "quick"}, r"preset: .*'quick'.* Allowed: first, second\."),
        (
            {"plugin": "bare", "preset": "quick"},
            r"preset: bundle 'bare' has no preset 'quick'\. Allowed: no",
        ),
        ({"trainning": {"epochs": 3}}, r"trainning: unknown setting, from layer 0\. Did you mean 'training'"),
        ({"training": {"epochs": -3}}, r"training\.epochs: -3 from layer 0: expected a whole number >= 0"),
        ({"surrogates": ["rbf", "mlq"]}, r"surrogates: unknown surrogate model 'mlq'\. Did you mean 'mlp'\?"),
        ({"objectives": ["accuracy", "ada"]}, r"objectives: unknown objective 'ada'"),
        ({"surrogates": [{"name": "rbf", "degre": 0}]}, r"surrogates\.degre: .*'rbf' has no such option"),
        ({"loggers": [{"name": "tensorboard", "to": 0}]}, r"loggers\.to: .* has no such option"),
        ({"exports": ["safetensor"]}, r"exports: unknown exporter 'safetensor'.*'safetensors'"),
        ({"criterion": "margin"}, r"criterion: unknown confidence criterion 'margin'"),
        ({"evaluation": "sharde"}, r"evaluation: unknown evaluation 'sharde'\. Did you mean 'shared'\?"),
        ({"evaluation": {"name": "shared", "x": 1}}, r"evaluation\.x: .*no such option"),
        ({"classifier": "mpl:32"}, r"classifier: unknown exit classifier 'mpl:32'\. Did you mean 'mlp'\?"),
        ({"classifier": {"name": "mlp:32", "hidden": 8}}, r"classifier\.hidden: found 8, but 'mlp:32' sets"),
        ({"criterion": "score-margin:2"}, r"criterion: .* 'score-margin' has no option that '2' could set"),
        ({"supernet": {"width": [0.5]}}, r"supernet\.width: .*Did you mean 'widths'\?"),
        ({"supernet": {"widths": "broad"}}, r"supernet\.widths: 'broad': expected a list"),
        ({"data": "digit"}, r"data: 'digit' is neither a data set nor a folder .* Did you mean 'digits'\?"),
        ({"data": {"name": "digits", "x": 1}}, r"data\.x: .*no such option"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(table, message, registry):
    with pytest.raises(ConfigError, match=message):
        settled(registry, table)


def test_a_layer_that_is_no_table_is_named(registry):
    with pytest.raises(ConfigError, match="layer 0: expected a table"):
        settled(registry, 3)


def test_section_v_of_the_paper_number_for_number(registry):
    result = settled(registry, {"preset": "paper"})
    provider, space = make_space(registry, result)
    # Section V-A and V-B.
    assert result.data.name == "cifar10"
    assert result.objectives == components("accuracy", "ada-macs")
    scheme = registry.create("training scheme", result.scheme.name, result.scheme.options)
    assert (scheme.early, scheme.last) == (1, 1)
    assert result.search.initial == 100
    assert result.evaluation.name == "finetune"
    assert result.training.epochs == 5
    assert result.supernet.name == "ofa-mbv3"
    assert provider.exit_points == 4
    assert result.thresholds == (0.1, 0.2, None)  # the paper writes "no exit" as 1
    assert result.search.iterations == 30
    assert result.search.results == 4
    # Section IV: joint training, score margin, adaptive switching among four surrogates, NSGA-II.
    assert (result.scheme.name, result.criterion.name) == ("joint", "score-margin")
    assert set(labels(result.surrogates)) == {"rbf", "mlp", "cart", "gp"}
    assert result.strategy.name == "nsga2-joint"
    pool = 1 - result.split.test
    assert result.split.train / pool == pytest.approx(45_000 / 50_000)
    # What the paper leaves open, as its public code has it.
    choices = {v.name: v.choices for v in space.variables}
    assert {len(c) for name, c in choices.items() if "stage" in name} == {3}
    assert len([name for name in choices if name.startswith("stage")]) == 45
    assert choices["stage3.depth"] == (2, 3, 4)
    assert choices["stage3.layer2.kernel"] == (3, 5, 7)
    assert choices["stage3.layer2.expand"] == (3, 4, 6)
    assert choices["width"] == (1.0,)
    assert choices["resolution"] == (32, 40, 48, 56, 64)
    assert choices["exit4.threshold"] == (0.1, 0.2, None)
    assert result.search.per_iteration == 8
    options = registry.parameters("search strategy", "nsga2-joint")
    strategy = {name: option.default for name, option in options.items()} | result.strategy.options
    assert [strategy[name] for name in ("population", "generations", "crossover", "mutation")] == [
        40,
        20,
        0.9,
        1,
    ]
    paper_strategy = registry.create("search strategy", result.strategy.name, result.strategy.options)
    assert not paper_strategy.extremes
    training = result.training
    assert (training.optimizer, training.learning_rate, training.schedule) == ("sgd", 0.01, "constant")
    assert (training.batch_size, training.weight_decay, training.label_smoothing) == (128, 5e-5, 0.0)
    assert set(training.augment) == {"shift", "flip"}
    assert result.weights == "ofa_mbv3_d234_e346_k357_w1.0"
    assert result.classifier.name == "paper"
    # The networks that come back are those of the search, with its thresholds.
    assert result.finetune.epochs == 0
    assert result.final_thresholds.name == "grid"
    assert (result.search.max_evals, result.search.time_limit) == (0, 0.0)


def test_data_by_name(registry):
    expected = Component("digits", {"x": 1})
    assert data_component(registry, expected) is expected


def test_data_by_path(registry, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    result = data_component(registry, Component(str(tmp_path / "mine"), {"channels": "rgb"}))
    assert result == Component("folder", {"path": str(tmp_path / "mine"), "channels": "rgb"})
    monkeypatch.chdir(tmp_path)
    assert data_component(registry, Component("mine")) == Component("folder", {"path": "mine"})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_component(registry, Component("~/mine")).options["path"] == str(tmp_path / "mine")


def test_a_path_that_is_not_there_is_the_folder_s_business(registry, tmp_path):
    assert data_component(registry, Component(str(tmp_path / "none"))).name == "folder"


def test_a_name_wins_over_a_folder_of_that_name(registry, tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert data_component(registry, Component("digits")).name == "digits"
    assert data_component(registry, Component("./digits/../digits")).name == "folder"


def with_device(name):
    return resolve([("", {"device": name})])


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(with_device("auto")) == device_of(with_device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(with_device("auto")) == torch.device("cuda")
    assert device_of(with_device("cuda:1")) == torch.device("cuda:1")


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_device_that_is_not_there(name, count, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ConfigError, match=f"device: '{name}' does not exist; found {count} CUDA devices"):
        device_of(with_device(name))


def test_a_device_of_no_kind():
    with pytest.raises(ConfigError, match=r"device: found 'gpu'; allowed: auto, cpu, cuda or cuda:N"):
        named_device("gpu")


def test_threads():
    assert threads_of(resolve([("", {"threads": 3})])) == 3
    assert threads_of(resolve([])) >= 1


def test_one_surrogate_or_a_switch_among_several(registry):
    assert isinstance(surrogate_factory(registry, components("rbf"))(0).model, RBF)
    assert isinstance(surrogate_factory(registry, components("rbf", "gp"))(0), AdaptiveSwitching)


SMALL = {
    "supernet": {"name": "ofa-mbv3", **OPTIONS},
    "thresholds": [0.1, "none"],
    "search": {"initial": 5},
    "exports": ["safetensors"],
    "device": "cpu",
}


def test_names_become_objects(registry, tmp_path):
    settings = settled(registry, SMALL)
    composition = compose(registry, settings, tmp_path, Silent())
    bench = composition.workbench
    assert isinstance(bench.provider, OFAMobileNetV3Provider)
    assert isinstance(composition.evaluator, SharedEvaluation)
    assert composition.evaluator.workbench is bench
    assert (bench.settings, bench.folder, bench.device) == (settings, tmp_path, torch.device("cpu"))
    assert [v.choices for v in bench.space.variables if v.name.startswith("exit")] == [(0.1, None)] * 4
    assert sum(len(getattr(bench.parts, p)) for p in ("train", "calibration", "validation", "test")) == 1797
    assert len(composition.objectives) == 2
    assert len(composition.exporters) == 1
    composition.strategy.start(composition.problem)
    initial = composition.strategy.initial()
    assert len({c.id for c in initial}) == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("supernet", "classifier", "message"),
    [
        (SMALL["supernet"], "carried", "'carried' reads logits, but .* 'ofa-mbv3' pass on features; .* mlp"),
        ({"name": "cascade", "of": SMALL["supernet"]}, "mlp", "pass on logits; allowed: carried$"),
    ],
)
def test_heads_that_cannot_read_what_stages_pass_on(registry, tmp_path, supernet, classifier, message):
    settings = settled(registry, {**SMALL, "supernet": supernet, "classifier": classifier})
    with pytest.raises(ConfigError, match=f"classifier: .*{message}"):
        compose(registry, settings, tmp_path, Silent())


RISK = {"name": "risk", "max_drop": "5%"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"split": {"train": 0.62, "calibration": 0.06, "validation": 0.12, "test": 0.2}},
            "final_thresholds: found 108 calibration samples; 'risk' with these options needs 126 or more",
        ),
        ({"criterion": "correctness"}, "criterion: found 'correctness', which is fitted"),
        ({"inference": "ztw"}, "inference: found 'ztw', which is fitted"),
        ({"final_thresholds": {"name": "eenet", "max_macs": "1M"}}, "criterion: found 'score-margin', which"),
        (
            {"final_thresholds": {"name": "budget", "max_macs": 1}},
            r"final_thresholds\.max_macs: found 1 MACs; possible with the placed exits: [\d.]+k MACs .*, in "
            "the smallest network of the search space",
        ),
    ],
)
def test_a_threshold_setter_that_cannot_succeed(registry, tmp_path, table, message):
    settings = settled(registry, {**SMALL, "final_thresholds": RISK, **table})
    with pytest.raises(ConfigError, match=message):
        compose(registry, settings, tmp_path, Silent())


def test_a_run_checks_its_executor_before_it_trains(registry, tmp_path):
    pytest.importorskip("submitit", reason="the extra `slurm` is not installed")
    settings = settled(registry, {**SMALL, "executor": "slurm"})
    with pytest.raises(ConfigError, match="executor: 'slurm' cannot submit jobs from this machine"):
        run(registry, settings, tmp_path / "run", Silent())
    assert list(tmp_path.iterdir()) == []


def test_the_same_settings_make_the_same_search(registry, tmp_path):
    settings = settled(registry, SMALL)
    one, two = (compose(registry, settings, tmp_path, Silent()) for _ in range(2))
    for composition in (one, two):
        composition.strategy.start(composition.problem)
    assert one.strategy.initial() == two.strategy.initial()
    assert torch.equal(one.workbench.parts.test.images, two.workbench.parts.test.images)


def test_checked_names_can_all_be_made(registry):
    for preset in ("quick", "paper", "best", "cifar"):
        check_names(registry, settled(registry, {"preset": preset}))


@pytest.mark.parametrize(
    ("device", "counted", "name"), [("cpu", True, "auto"), ("cpu", False, "serial"), ("cuda", True, "serial")]
)
def test_no_worker_disturbs_a_gpu_or_a_measurement(registry, device, counted, name):
    bench = types.SimpleNamespace(
        device=torch.device(device), meters=[types.SimpleNamespace(counted=counted)]
    )

    def executor(**options):
        chosen = Component("auto", options)
        return _executor(lambda kind, each: registry.create(kind, each.name, each.options), chosen, bench)

    assert isinstance(executor(timeout=5.0), registry.entry("executor", name).factory)
    assert executor(timeout=5.0).timeout == 5.0
    with pytest.raises(ConfigError, match=r"executor\.workers: found 9; allowed: 1 to 4"):
        executor(workers=9)

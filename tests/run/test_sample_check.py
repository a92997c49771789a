"""Samples that the networks or the exporters of a run cannot take are one error before any training."""

from dataclasses import replace
from pathlib import Path

import pytest
from series_networks import series_parts, series_set
from small_networks import SMALL

from edanas.core.errors import ConfigError
from edanas.core.progress import Silent
from edanas.deploy.c_export import CExporter
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.layers import layered_settings
from edanas.run.sample_check import check_exporters


class Named(CExporter):
    registered_name = "c"


class NoMasks(CExporter):
    registered_name = "litert"
    takes_padding = False


def test_an_exporter_without_masks_is_refused_for_series_of_unequal_length() -> None:
    check_exporters([Named(), NoMasks()], replace(series_parts(), calibration=series_set(16, 1)))
    parts = replace(series_parts(padded=True), calibration=series_set(16, 1))
    with pytest.raises(ConfigError, match=r"exports: found 'litert', which has no masks.*allowed: c, onnx"):
        check_exporters([Named(), NoMasks()], parts)


def test_too_few_calibration_samples_for_an_exporter_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"exports: 'c' sets scales on 16 .* the part has 12; .*split\.calibration"
    ):
        check_exporters([Named()], series_parts())


def test_a_layer_that_an_exporter_lacks_is_refused_before_any_training(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="the extra `litert` is not installed")
    registry = Registry(load_plugins())
    supernet = {"name": "elastic-resnet", **SMALL["elastic-resnet"], "activation": "gelu"}

    def names(*exports: str) -> list[str]:
        table = {"data": "digits", "supernet": supernet, "exports": exports}
        settings = layered_settings(registry, [("here", table)])
        return [each.registered_name for each in compose(registry, settings, tmp_path, Silent()).exporters]

    assert names("c") == ["safetensors", "c"]
    with pytest.raises(ConfigError, match=r"^exports: 'litert' cannot .* stage 1, .*GELU"):
        names("c", "litert")

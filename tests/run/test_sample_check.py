"""Samples that the networks or the exporters of a run cannot take are one error before any training."""

from dataclasses import replace

import pytest
from series_networks import series_parts, series_set

from edanas.core.errors import ConfigError
from edanas.deploy.c_export import CExporter
from edanas.run.sample_check import check_exporters


class NoMasks(CExporter):
    takes_padding = False


def test_an_exporter_without_masks_is_refused_for_series_of_unequal_length() -> None:
    check_exporters(
        [("c", CExporter()), ("litert", NoMasks())], replace(series_parts(), calibration=series_set(16, 1))
    )
    parts = replace(series_parts(padded=True), calibration=series_set(16, 1))
    with pytest.raises(ConfigError, match=r"exports: found 'litert', which has no masks.*allowed: c, onnx"):
        check_exporters([("c", CExporter()), ("litert", NoMasks())], parts)


def test_too_few_calibration_samples_for_an_exporter_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"exports: 'c' sets scales on 16 .* the part has 12; .*split\.calibration"
    ):
        check_exporters([("c", CExporter())], series_parts())

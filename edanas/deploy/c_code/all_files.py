"""All exported C files of a network."""

from collections.abc import Sequence
from importlib.resources import files

from edanas.deploy.c_code.network import IntNetwork
from edanas.deploy.c_code.series import SeriesInput
from edanas.deploy.c_code.series_writer import SeriesWriter, UnequalSeriesWriter
from edanas.deploy.c_code.writer import Writer, header


def c_files(network: IntNetwork, executed_macs: Sequence[int]) -> dict[str, str]:
    """Return the exported files by name.

    Args:
        network: A network in integers.
        executed_macs: Multiply-adds of a sample that leaves at each exit.
    """
    sources = files("edanas.deploy.c_code") / "sources"
    writer = _writer_of(network)
    texts = {name: (sources / name).read_text(encoding="ascii") for name in writer.files}
    return {"network.h": header(writer), "network.c": writer.text(executed_macs), **texts}


def _writer_of(network: IntNetwork) -> Writer:
    if not isinstance(network.pixels, SeriesInput):
        return Writer(network)
    return UnequalSeriesWriter(network) if network.pixels.padded else SeriesWriter(network)

"""The data set `arrays`: samples and labels that a program passed, stored under their digest."""

from collections.abc import Callable, Mapping, Sequence

from edanas.core.contracts import DataSource
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import LoadedData
from edanas.data.decoding import Fit
from edanas.data.load_samples import Reading, load_samples
from edanas.data.sample_set import SampleSet
from edanas.data.sample_store import stored_set


class Arrays(DataSource):
    """Samples and labels that `edanas.search(data=...)` stored under `EDANAS_HOME`, found by their digest.

    Args:
        digest: The digest of the samples, which `edanas.search` sets.
        layout: The order of the axes: `NCHW`, `NHWC` or `NHW` for images, `NCL` or `NL` for series; `auto`,
            the default, concludes it from the shape where that is safe.
        range: The values of black and white pixels; empty, the default, if the values show it.
        channels: `grey`, `rgb`, or `auto` (default): grey if every image is grey.

    Raises:
        ConfigError: `digest` is empty.
    """

    def __init__(
        self,
        *,
        digest: str = "",
        layout: str = "auto",
        range: Sequence[float] = (),  # noqa: A002 - the option's name
        channels: str = "auto",
    ) -> None:
        if not digest:
            raise ConfigError("data.digest: found nothing; arrays are passed as `edanas.search(data=(X, y))`")
        self.digest, self.reading = digest, Reading(layout, range, channels)

    def read(self) -> SampleSet:
        """Return the stored samples, mapped from their files."""
        return stored_set(self.digest)

    def load(self, size: int, seed: int) -> LoadedData:
        """Return the samples; see `DataSource.load`."""
        return self._load(size)

    def load_at(self, image_size: tuple[int, int], seed: int) -> LoadedData:
        """Return the samples, each resized straight to `image_size`; see `DataSource.load_at`."""
        return self._load(image_size)

    def _load(self, fit: Fit) -> LoadedData:
        return load_samples(self.read(), fit, self.reading)


@hookimpl
def edanas_data_sets() -> Mapping[str, Callable[..., DataSource]]:
    """Register the data set `arrays`."""
    return {"arrays": Arrays}

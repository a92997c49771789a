"""Profiles of microcontrollers against the measurements that they come from, and wrong files."""

import pytest

from edanas.core import device_profiles
from edanas.core.device_profiles import device_profile, profile_files, segment_figures
from edanas.core.errors import ConfigError
from edanas.core.operator_graph import Footprint, Work
from edanas.core.types import SegmentCost

RIGHT = """
source = "my own board"
ram = 65536
flash = 262144
megahertz = 100
[cycles]
convolution = 2
pointwise = 3
depthwise = 6
linear = 2
elements = 1
"""

# Multiply-adds by kind of the four networks of MLPerf Tiny.
NETWORKS = {
    "images": Work(convolution=12_238_000, pointwise=262_144, linear=640),
    "keywords": Work(convolution=320_000, pointwise=2_048_000, depthwise=288_000, linear=768),
    "persons": Work(convolution=497_664, pointwise=6_193_152, depthwise=798_336, linear=512),
    "anomalies": Work(linear=264_192),
}


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("cortex-m4-120mhz", {"images": 2.567, "keywords": 10.019, "persons": 3.324, "anomalies": 116.212}),
        ("cortex-m7-280mhz", {"images": 18.215, "keywords": 60.988, "persons": 19.867, "anomalies": 547.234}),
    ],
)
def test_estimates_are_near_the_published_rates(name, rates):
    profile = device_profile(name)
    for network, rate in rates.items():
        estimate = 1e9 / profile.nanoseconds(Footprint(0, 0, 0, 0, NETWORKS[network]))
        assert estimate == pytest.approx(rate, rel=0.05), network


def test_every_shipped_profile_states_its_source():
    assert {"cortex-m4-80mhz", "cortex-m4-120mhz", "cortex-m7-280mhz"} <= set(profile_files())
    for name in profile_files():
        assert len(device_profile(name).source) > 50


def test_a_file_of_ones_own_is_a_profile(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text(RIGHT)
    profile = device_profile(str(path))
    assert (profile.name, profile.ram, profile.milliwatts) == ("board", 65536, None)
    segment = SegmentCost(1, 1, 1, (1, 1, 1), footprint=Footprint(0, 0, 0, 0, Work(10, 10, 10, 10, 10)))
    costs = segment_figures(profile, [segment, segment], {}, segment)
    assert (costs.stages, costs.heads, costs.last) == ((1400, 1400), (None,), 1400)


def test_other_packages_bring_profiles(tmp_path, monkeypatch):
    path = tmp_path / "board.toml"
    path.write_text(RIGHT)

    class Entry:
        name = "their-board"

        def load(self):
            return str(path)

    monkeypatch.setattr(device_profiles.importlib.metadata, "entry_points", lambda group: [Entry()])
    assert device_profile("their-board").megahertz == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RIGHT.replace("ram = 65536", "ram = 0"), "ram: found 0; expected a number of 1 or more"),
        (RIGHT.replace("ram = 65536", "ram = 0.5"), "ram: found 0.5; expected a number of 1 or more"),
        (RIGHT.replace("ram = 65536", "rams = 65536"), "unknown key 'rams'. Did you mean 'ram'?"),
        (RIGHT.replace("linear = 2", ""), "`cycles` must be a table of convolution, pointwise, depthwise"),
        (RIGHT.replace("linear = 2", "linear = -2"), "cycles.linear: found -2; expected a number 0 or more"),
        (RIGHT.replace("flash = 262144", 'flash = "256k"'), "flash: found '256k'"),
        (RIGHT.replace('source = "my own board"', ""), "`source` is missing"),
        ("ram = ", "is not valid TOML"),
    ],
)
def test_wrong_files_are_clear_errors(text, message, tmp_path):
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        device_profile(str(path))
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_unknown_profiles_name_the_near_miss(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'cortex-m4-80mhz'"):
        device_profile("cortex-m4-80mz")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        device_profile(str(tmp_path / "missing.toml"))

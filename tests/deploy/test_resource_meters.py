import numpy as np
import pytest

from edanas.deploy.resource_meters import Energy, MemoryMeter


def package(root, number, microjoules, most=1000):
    zone = root / f"intel-rapl:{number}"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text(f"{most}\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    return zone / "energy_uj"


def test_all_packages_count_and_begin_again_at_their_range(tmp_path):
    first, second = package(tmp_path, 0, 900), package(tmp_path, 1, 10)
    part = tmp_path / "intel-rapl:0:0"  # of the first package, which includes it
    part.mkdir()
    energy = Energy(tmp_path)
    assert not energy.missing
    assert energy.joules() == 0.0
    first.write_text("100")  # 200 on, over its range of 1000
    second.write_text("60")
    assert energy.joules() == pytest.approx(250e-6)
    assert energy.joules() == pytest.approx(250e-6)


def test_a_machine_without_a_counter_says_so(tmp_path):
    energy = Energy(tmp_path)
    assert energy.joules is None
    assert "no counter" in energy.missing
    package(tmp_path, 0, 1).unlink()
    assert Energy(tmp_path).joules is None
    assert "may not be read" in Energy(tmp_path).missing


@pytest.mark.skipif(not MemoryMeter.works(), reason="the system does not tell")
def test_memory_that_is_taken_is_seen_though_it_is_given_back():
    size = 64_000_000
    with MemoryMeter() as meter:
        array = np.ones(size, dtype=np.uint8)
        meter._update()
        assert meter.bytes > 0.9 * size
        del array
    assert 0.9 * size < meter.bytes < 2 * size

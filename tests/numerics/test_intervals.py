import pytest
from hypothesis import given
from hypothesis import strategies as st

from edanas.numerics.intervals import Z, wilson


@pytest.mark.parametrize(
    ("share", "samples", "expected"),
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81/263, 15/148, 0/20, 1/29.
    [
        (81 / 263, 263, (0.2553, 0.3662)),
        (15 / 148, 148, (0.0624, 0.1605)),
        (0.0, 20, (0.0, 0.1611)),
        (1 / 29, 29, (0.0061, 0.1718)),
    ],
)
def test_intervals_equal_published_ones(share, samples, expected):
    assert wilson(share, samples) == pytest.approx(expected, abs=5e-5)


@given(st.floats(0.0, 1.0), st.integers(1, 10**6), st.floats(0.1, 5.0))
def test_the_ends_are_where_the_share_lies_z_deviations_off(share, samples, z):
    """Wilson's definition: each end p solves |share - p| = z sqrt(p (1 - p) / samples)."""
    low, high = wilson(share, samples, z)
    assert 0.0 <= low <= share <= high <= 1.0
    for end in (low, high):
        assert (share - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / samples, rel=1e-5, abs=1e-9)
    assert wilson(share, samples, Z) == wilson(share, samples)

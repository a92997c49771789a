import torch
from sklearn.datasets import load_digits

from edanas.data.digits import Digits, edanas_data_sets


def test_it_is_registered_as_digits() -> None:
    assert edanas_data_sets() == {"digits": Digits}


def test_digits_keep_their_size_and_range() -> None:
    data = Digits().load(32, 0)
    assert data.samples.images.shape == (1797, 1, 8, 8)
    assert data.samples.images.dtype == torch.uint8
    assert int(data.samples.images.max()) == 255
    assert data.samples.classes == tuple("0123456789")
    assert set(data.parts) == {""}
    assert data.remarks == ()


def test_pixels_are_those_of_the_original_times_a_sixteenth_of_255() -> None:
    original = torch.from_numpy(load_digits().images)
    pixels = Digits().load(8, 0).samples.images[:, 0].double()
    assert torch.all((pixels - original * 255 / 16).abs() <= 0.5)


def test_smaller_networks_get_smaller_digits_with_a_remark() -> None:
    data = Digits().load(6, 0)
    assert data.samples.images.shape == (1797, 1, 6, 6)
    assert data.remarks == ("All 1797 images were resized from 8x8 to 6x6.",)
    full = Digits().load(8, 0).samples.images.float().mean()
    assert torch.isclose(data.samples.images.float().mean(), full, rtol=0.05)

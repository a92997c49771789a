"""Images with more than 8 bits are scaled by the depth that their files state, or refused."""

import struct
import zlib

import numpy as np
import pytest
from image_folders import load
from PIL import Image

from edanas.core.errors import DataError
from edanas.data.decoding import decode_each

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def stored(path, bits, dtype, **options):
    values = (RAMP * (2**bits - 1)).round().astype(dtype)
    Image.fromarray(values).save(path, **options)
    return path


def with_significant_bits(path, bits):
    """Insert the chunk sBIT behind the chunk IHDR, which ends at byte 33."""
    content = path.read_bytes()
    chunk = b"sBIT" + bytes([bits])
    block = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:33] + block + content[33:])
    return path


def read(path):
    (image,) = decode_each([path], 8, grey=True)
    if isinstance(image, DataError):
        raise image
    return image[0].numpy()


@pytest.mark.parametrize(
    ("name", "bits", "dtype", "options"),
    [
        ("16.png", 16, np.uint16, {}),
        ("16.tif", 16, np.uint16, {}),
        ("12.tif", 12, np.uint16, {"tiffinfo": {281: 4095}}),
        ("10.tif", 10, np.uint16, {"tiffinfo": {281: 1023}}),
        ("32-12.tif", 12, np.int32, {"tiffinfo": {281: 4095}}),
        ("32-8.tif", 8, np.int32, {"tiffinfo": {281: 255}}),
        ("32-16.tif", 16, np.int32, {"tiffinfo": {281: 65535}}),
        ("32-signed.tif", 31, np.int32, {}),
    ],
)
def test_the_stated_depth_becomes_white(name, bits, dtype, options, tmp_path):
    pixels = read(stored(tmp_path / name, bits, dtype, **options))
    np.testing.assert_allclose(pixels, RAMP * 255, atol=0.51)


def test_significant_bits_of_a_png_in_either_place(tmp_path):
    low = with_significant_bits(stored(tmp_path / "low.png", 12, np.uint16), 12)
    high = with_significant_bits(stored(tmp_path / "high.png", 16, np.uint16), 12)
    for path in (low, high):
        np.testing.assert_allclose(read(path), RAMP * 255, atol=0.51)


def test_a_deep_portable_map_states_its_largest_value(tmp_path):
    path = tmp_path / "12.pgm"
    path.write_bytes(b"P5 8 8 4095\n" + (RAMP * 4095).round().astype(">u2").tobytes())
    np.testing.assert_allclose(read(path), RAMP * 255, atol=1.0)


@pytest.mark.parametrize(
    ("name", "bits", "dtype", "message"),
    [
        ("12.png", 12, np.uint16, r"pixels up to 4095 in 16 bits, so that 16 grey levels would remain"),
        ("12.tif", 12, np.uint16, r"pixels up to 4095 in 16 bits.*allowed: 8 bits, or a depth that the file"),
        ("8.tif", 8, np.int32, r"pixels up to 255 in 32 bits, so that 1 grey levels would remain"),
        ("16.tif", 16, np.int32, r"pixels up to 65535 in 32 bits"),
    ],
)
def test_a_depth_that_no_file_states_is_refused(name, bits, dtype, message, tmp_path):
    with pytest.raises(DataError, match=message):
        read(stored(tmp_path / name, bits, dtype))


def test_pixels_above_the_stated_depth_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"pixels from 0 to 65535; allowed"):
        read(stored(tmp_path / "1.tif", 16, np.uint16, tiffinfo={281: 4095}))


def test_black_images_of_any_depth_are_black(tmp_path):
    Image.fromarray(np.zeros((8, 8), dtype=np.uint16)).save(tmp_path / "1.png")
    assert not read(tmp_path / "1.png").any()


@pytest.mark.parametrize(("shift", "is_refused"), [(0, False), (4, True)])
def test_colour_of_16_bits_needs_all_of_them(shift, is_refused, tmp_path):
    values = (RAMP[..., None].repeat(3, 2) * 65535).astype(np.uint16) >> shift
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind, content):
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    path = tmp_path / "1.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    if is_refused:
        with pytest.raises(DataError, match=r"in 16 bits, so that 1[0-9] grey levels would remain"):
            read(path)
    else:
        np.testing.assert_allclose(read(path), RAMP * 255, atol=1.01)


def test_a_folder_names_the_file(flat):
    stored(flat / "a" / "3.png", 12, np.uint16)
    with pytest.raises(DataError, match=r"a/3\.png: cannot be read as an image \(ValueError: pixels up to"):
        load(flat)

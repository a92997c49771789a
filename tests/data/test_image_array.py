"""Images that are added to an array one by one: the same result as from all at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edanas.data.image_array import ImageArray, Pixels

SIDE = 4

# As from decoding: no image is larger than SIDE, and reduced ones are SIDE x SIDE.
IMAGES = st.lists(
    st.tuples(st.sampled_from([(4, 4), (3, 2), (2, 3), (1, 1)]), st.booleans(), st.integers(0, 99)),
    min_size=1,
    max_size=6,
)


def at_once(images: list[Pixels], *, colour: bool) -> Pixels:
    sizes = {image.shape[:2] for image in images}
    height, width = sizes.pop() if len(sizes) == 1 else (SIDE, SIDE)
    colour = colour or any(image.ndim == 3 for image in images)
    planes = []
    for image in images:
        resized = image
        if image.shape[:2] != (height, width):
            resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        grey = [resized] * (3 if colour else 1)
        planes.append(np.stack(grey) if resized.ndim == 2 else np.moveaxis(resized, -1, 0))
    return np.stack(planes)


@given(drawn=IMAGES, colour=st.booleans())
def test_adding_one_by_one_equals_all_at_once(
    drawn: list[tuple[tuple[int, int], bool, int]], colour: bool
) -> None:
    images = [
        np.random.default_rng(seed).integers(0, 256, (*size, 3) if rgb else size, dtype=np.uint8)
        for size, rgb, seed in drawn
    ]
    gathered = ImageArray(len(images), SIDE, colour=colour)
    for image in images:
        gathered.add(image)
    expected = at_once(images, colour=colour)
    assert gathered.images.shape == expected.shape
    assert (gathered.images == expected).all()

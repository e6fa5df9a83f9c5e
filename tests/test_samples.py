"""The sample contract."""

import re

import numpy as np
import pytest
from pictures import saved, write_index
from PIL import Image

from depthsi.data.folder.source import FolderSource
from depthsi.data.samples import Sample, validate_sample
from depthsi.errors import DepthsiError
from depthsi.valid import valid_depth


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def depth_map(height, width, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 10, (height, width)).astype(np.float32)


def test_valid_sample_is_returned_as_it_is():
    depth = depth_map(4, 5)
    depth[0] = [0, -1, np.nan, np.inf, -np.inf]
    kept = depth.copy()
    sample = Sample(picture(4, 5), depth, "a.jpg")
    assert validate_sample(sample) is sample
    np.testing.assert_array_equal(sample.depth, kept)
    np.testing.assert_array_equal(valid_depth(depth), [[False] * 5] + [[True] * 5] * 3)


@pytest.mark.parametrize(
    ("image", "depth", "message"),
    [
        (picture(4, 5).astype(np.float32), depth_map(4, 5), "image is float32 (4, 5, 3)"),
        (picture(4, 5)[..., 0], depth_map(4, 5), "image is uint8 (4, 5)"),
        (picture(4, 8).reshape(4, 6, 4), depth_map(4, 6), "image is uint8 (4, 6, 4)"),
        (picture(4, 5), depth_map(4, 5).astype(np.float64), "depth is float64 (4, 5)"),
        (picture(4, 5), depth_map(4, 5).astype(np.uint16), "depth is uint16 (4, 5)"),
        (picture(4, 5), depth_map(4, 5)[..., None], "depth is float32 (4, 5, 1)"),
        (picture(4, 5), depth_map(5, 4), "image is 4x5 pixels but its depth 5x4"),
        (picture(4, 5), depth_map(4, 6), "image is 4x5 pixels but its depth 4x6"),
        (picture(4, 5), depth_map(3, 5), "image is 4x5 pixels but its depth 3x5"),
        (picture(4, 5), np.zeros((4, 5), np.float32), "no pixel has a valid depth"),
        (picture(4, 5), np.full((4, 5), np.nan, np.float32), "no pixel has a valid depth"),
        (picture(4, 5), np.full((4, 5), np.inf, np.float32), "no pixel has a valid depth"),
        (picture(4, 5), -depth_map(4, 5), "no pixel has a valid depth"),
        (picture(4, 5), depth_map(4, 5) * 1e4, "most depths are over 1000 m"),
        (picture(4, 5), depth_map(4, 5) * 1e-5, "most depths are under 1 mm"),
    ],
)
def test_sample_that_breaks_the_contract_is_refused_by_name(image, depth, message):
    with pytest.raises(DepthsiError, match=r"^rgb/7\.jpg: .*" + re.escape(message)):
        validate_sample(Sample(image, depth, "rgb/7.jpg"))


@pytest.mark.parametrize("absurd", [2000.0, 1e-4])
def test_the_unit_is_judged_by_the_median(absurd):
    """The same verdict as NumPy's median, missing depth aside, on either side of one half."""
    for wrong in (1, 2, 3, 4):
        depth = np.array([[0, np.nan, -1], [2, 3, 4], [0, 5, 6]], np.float32)
        depth[depth > 0] = np.where(np.arange(5) < wrong, absurd, 3)
        median = np.median(depth[[1, 1, 1, 2, 2], [0, 1, 2, 1, 2]].astype(np.float64))
        sample = Sample(picture(3, 3), depth, "a")
        if 1e-3 <= median <= 1e3:
            validate_sample(sample)
        else:
            with pytest.raises(DepthsiError, match="correct the unit"):
                validate_sample(sample)


def message_of(image, depth):
    with pytest.raises(DepthsiError) as caught:
        validate_sample(Sample(image, depth, "a.jpg"))
    return str(caught.value)


def test_of_other_sizes_the_message_says_how_to_match_them():
    """What it says, done, makes a sample; and depths stay those that were measured."""
    image, depth = picture(48, 64), depth_map(24, 32)
    message = message_of(image, depth)
    assert "image is 48x64 pixels but its depth 24x32; both must have the same size" in message
    assert (
        "reduce the image, as Pillow's image.resize((32, 24), Image.Resampling.BOX) does" in message
    )
    small = np.array(Image.fromarray(image).resize((32, 24), Image.Resampling.BOX))
    validate_sample(Sample(small, depth, "a.jpg"))
    image, depth = picture(24, 32), depth_map(48, 64)
    words = "depth without mixing its values, as Pillow's depth.resize((32, 24), Image.Resampling.N"
    assert words in message_of(image, depth)
    near = np.array(Image.fromarray(depth).resize((32, 24), Image.Resampling.NEAREST))
    assert np.isin(near, depth).all()
    validate_sample(Sample(image, near, "a.jpg"))
    assert "one is turned by 90 degrees" in message_of(picture(24, 32), depth_map(32, 24))
    assert "they are cut differently" in message_of(picture(24, 32), depth_map(24, 30))
    assert "they are cut differently" in message_of(picture(24, 32), depth_map(0, 30))


@pytest.mark.parametrize("name", ["d.npy", "d.npz"])
def test_a_folder_with_depth_smaller_than_its_images_says_so_too(tmp_path, name):
    save = np.save if name == "d.npy" else np.savez
    save(tmp_path / name, depth_map(24, 32))
    saved(tmp_path / "a.png", picture(48, 64))
    write_index(tmp_path, [("a.png", name, "train", "")])
    with pytest.raises(DepthsiError, match=r"row 2: a\.png: .* image\.resize\(\(32, 24\)"):
        FolderSource(tmp_path, "train")[0]


def test_the_bounds_of_the_unit_and_of_most():
    """Over 1000 m or under 1 mm, not at them, and in more than half of the pixels, not in half."""

    def judged(*values):
        validate_sample(Sample(picture(1, len(values)), np.array([values], np.float32), "a"))

    judged(1000.0, 1000.0, 1000.0)
    judged(0.001, 0.001, 0.001)
    judged(3.0, 3.0, 1001.0, 1001.0)
    judged(3.0, 3.0, 0.0009, 0.0009)
    for wrong in (np.nextafter(np.float32(1000), np.float32(1001)), np.float32(0.0009999)):
        with pytest.raises(DepthsiError, match="correct the unit"):
            judged(wrong, wrong, wrong, 3.0)

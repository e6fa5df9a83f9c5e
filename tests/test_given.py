"""Samples that a program gives itself, in every form that is taken."""

import grain
import numpy as np
import pytest

from depthsi.data.given import given_source
from depthsi.data.samples import Sample, Source
from depthsi.errors import DepthsiError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 24, 32, 3), np.uint8)
DEPTHS = RNG.uniform(1, 5, (3, 24, 32)).astype(np.float32)


class Own:
    """A user's class, with names and scenes."""

    names = ("a", "b", "c")
    scenes = ("kitchen", "kitchen", "office")

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return Sample(IMAGES[index], DEPTHS[index], "ignored")


class Grain(grain.sources.RandomAccessDataSource):
    """A source as Grain and TFDS have them."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"image": IMAGES[index], "depth": DEPTHS[index][..., None].astype(np.float64)}


FORMS = {
    "class": Own(),
    "pairs": list(zip(IMAGES, DEPTHS, strict=True)),
    "floats": [(image / 255, depth) for image, depth in zip(IMAGES, DEPTHS, strict=True)],
    "mappings": [{"rgb": i, "depth": d} for i, d in zip(IMAGES, DEPTHS, strict=True)],
    "Grain": Grain(),
    "Grain data set": grain.MapDataset.source(Grain()),
    "source of ours": given_source(Own(), "test"),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_samples(form):
    source = given_source(FORMS[form], "train")
    assert isinstance(source, Source)
    assert len(source) == 3
    for index in range(3):
        sample = source[index]
        np.testing.assert_array_equal(sample.image, IMAGES[index])
        np.testing.assert_array_equal(sample.depth, DEPTHS[index])
        assert (sample.image.dtype, sample.depth.dtype) == (np.uint8, np.float32)
    images, depths = source.arrays()
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(depths, DEPTHS)


def test_names_and_scenes_are_kept_and_a_size_is_reached():
    source = given_source(Own(), "train", (12, 16))
    assert source.names == ("a", "b", "c")
    assert source.scenes == ("kitchen", "kitchen", "office")
    assert source[1].depth.shape == (12, 16)
    assert source[1].name == "b"
    assert given_source(FORMS["pairs"], "val").names == tuple(f"val/{i:06d}" for i in range(3))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([], "samples passed for train are empty"),
        (iter([]), "without __len__"),
        ([IMAGES[0]], "train/000000 is a ndarray: give a Sample, a pair"),
        ([{"image": IMAGES[0], "label": 3}], "has the entries image, label: it needs"),
        ([(IMAGES[0], DEPTHS[0] > 2)], "depth is bool"),
        ([(IMAGES[0][..., 0], DEPTHS[0])], "train/000000: An image must have shape"),
        ([(IMAGES[0].astype(np.float32), DEPTHS[0])], "convert 0..255 to uint8"),
        ([(IMAGES[0], DEPTHS[0][:20])], "same size"),
        ([(IMAGES[0], np.zeros((24, 32)))], "train/000000"),
    ],
)
def test_what_is_no_sample_is_refused_by_name(samples, words):
    with pytest.raises(DepthsiError, match=words):
        given_source(samples, "train")[0]


def test_texts_must_be_one_for_each():
    class Wrong(Own):
        names = ("a",)

    with pytest.raises(DepthsiError, match="train has 3 samples but 1 names"):
        given_source(Wrong(), "train")

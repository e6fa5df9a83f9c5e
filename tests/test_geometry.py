"""Sizes against the table of the paper, cells against a brute-force walk, crops against numbers."""

import pytest

from depthsi.errors import DepthsiError
from depthsi.geometry import CROPS, Window, crop, geometry, kitti, nyu

# Paper, table of sizes, here as (H, W): after the pools of Coarse 1, 2..4 and 5, then the output.
PAPER = {
    "nyu": [(27, 37), (13, 18), (6, 8), (55, 74)],
    "kitti": [(20, 71), (9, 35), (4, 17), (27, 142)],
}


def slide(length, window, axis):
    """First and last pixel of each window position, counted one by one; padding may stick out."""
    before, after = window.padding[axis]
    start, spans = -before, []
    while start + window.kernel <= length + after:
        spans.append((start, start + window.kernel - 1))
        start += window.stride
    return spans


@pytest.mark.parametrize("variant", ["A", "B", "C"])
@pytest.mark.parametrize("name", ["nyu", "kitti"])
def test_every_variant_has_the_sizes_of_the_paper(name, variant):
    sizes = geometry(name, variant)
    first = sizes.pool1.output(sizes.conv1.output(sizes.input))
    second = sizes.pool.output(first)
    fine = sizes.fine_pool1.output(sizes.fine_conv1.output(sizes.fine_input))
    assert [first, second, sizes.features, fine] == PAPER[name]
    assert sizes.output == fine


def test_inputs_are_the_papers():
    assert (nyu().input, kitti().input, kitti().fine_input) == ((228, 304), (172, 576), (116, 576))
    assert (nyu().fine_top, kitti().fine_top) == (0, 56)


@pytest.mark.parametrize("size", [(7, 9), (20, 31), (229, 303)])
@pytest.mark.parametrize("window", [Window(3, 2), Window(11, 4, ((2, 2), (1, 1))), Window(2, 2)])
def test_window_output_counts_the_positions(window, size):
    assert window.output(size) == tuple(len(slide(n, window, axis)) for axis, n in enumerate(size))


@pytest.mark.parametrize(("variant", "shift"), [("A", 0), ("B", 0), ("C", 1)])
@pytest.mark.parametrize("name", ["nyu", "kitti"])
def test_cells_are_centred_on_their_pixels(name, variant, shift):
    """Mean of the pixels under a pooled position of Fine 1 is the pixel its target is read at."""
    sizes = geometry(name, variant)
    for axis in (0, 1):
        convolved = slide(sizes.fine_input[axis], sizes.fine_conv1, axis)
        pooled = slide(len(convolved), sizes.fine_pool1, axis)
        for cell, (first, last) in enumerate(pooled[:-1]):
            middle = (convolved[first][0] + convolved[last][1]) / 2
            pixel = sizes.cell_to_pixel(cell, cell)[axis] - (sizes.fine_top if axis == 0 else 0)
            assert middle == pixel + shift == 5 + 4 * cell + shift


def test_the_region_of_a_centre_crop_is_the_named_crop():
    assert nyu().region == crop("eigen2014_nyu", (240, 320)) == (10, 230, 12, 308)
    # columns 44..1180 of 1224 in the monodepth evaluation, halved
    assert kitti().region == (66, 174, 22, 590)


@pytest.mark.parametrize(
    ("name", "size", "box"),
    [
        ("eigen2014_nyu", (480, 640), (20, 460, 24, 616)),
        ("nyu_toolbox", (480, 640), (45, 471, 41, 601)),
        ("nyu_toolbox", (240, 320), (22, 235, 20, 300)),
        ("garg", (370, 1224), (151, 366, 43, 1180)),
        ("eigen_kitti", (370, 1224), (122, 337, 43, 1180)),
        ("kb", (375, 1242), (23, 375, 13, 1229)),
        ("kb", (375, 1241), (23, 375, 12, 1228)),
        ("kb", (352, 1216), (0, 352, 0, 1216)),
        ("none", (3, 4), (0, 3, 0, 4)),
    ],
)
def test_named_crops(name, size, box):
    assert tuple(crop(name, size)) == box


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("garg", (0.40810811, 0.99189189, 0.03594771, 0.96405229)),
        ("eigen_kitti", (0.3324324, 0.91351351, 0.0359477, 0.96405229)),
    ],
)
def test_shares_have_all_their_published_digits(name, shares):
    """As in the evaluations of Garg et al. and Godard et al., in pixels of a huge image."""
    assert crop(name, (10**9, 10**9)) == pytest.approx([1e9 * share for share in shares], abs=1)


@pytest.mark.parametrize("name", ["eigen2014_nyu", "nyu_toolbox"])
@pytest.mark.parametrize("size", [(240, 320), (120, 160), (960, 1280), (3, 4)])
def test_crops_at_other_sizes_keep_the_pixels_whose_centres_are_inside(name, size):
    top, bottom, left, right = crop(name, (480, 640))
    rows = [r for r in range(size[0]) if top <= (r + 0.5) * 480 / size[0] < bottom]
    cols = [c for c in range(size[1]) if left <= (c + 0.5) * 640 / size[1] < right]
    assert tuple(crop(name, size)) == (rows[0], rows[-1] + 1, cols[0], cols[-1] + 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: crop("eigen", (480, 640)), "No crop is called 'eigen'"),
        (lambda: crop("nyu_toolbox", (375, 1242)), "375x1242"),
        (lambda: crop("kb", (185, 612)), "352x1216"),
        (lambda: crop("kb", (351, 1242)), "the image has 351x1242"),
        (lambda: crop("kb", (375, 1215)), "the image has 375x1215"),
        (lambda: crop("none", (0, 4)), "at least 1x1"),
        (lambda: geometry("make3d"), "No geometry is called 'make3d'"),
        (lambda: geometry("nyu", "D"), "No geometry variant"),
    ],
)
def test_refusals_say_what_to_choose(call, words):
    with pytest.raises(DepthsiError, match=words):
        call()


def test_every_crop_lies_inside_its_picture():
    for name in CROPS:
        height, width = size = (360, 1280) if name == "kb" else (480, 640)
        top, bottom, left, right = crop(name, size)
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width

"""Sizes of the two networks, the mapping from output cells to pixels, and evaluation crops.

Sizes are (H, W) in pixels, positions (row, column) of pixel centres, row 0 at the top.
Source: the paper's table of sizes; it leaves the rounding of convolutions and pools open, and
three choices give its numbers for NYU *and* KITTI. They are the variants here:

  A  Coarse 1 and Fine 1 zero-padded "one tile past the edge", every pool 3x3/2 (the default;
     the only one in which a fine output sees the 45x45 pixels the text states, centred)
  B  both first convolutions unpadded, their pools 2x2/2, the later pools 3x3/2
  C  both first convolutions unpadded, their pools 3x3/2 rounded up, the later pools 3x3/2
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from depthsi.errors import DepthsiError

Size = tuple[int, int]
Variant = Literal["A", "B", "C"]

CELL_STRIDE = 4  # input pixels from one output cell to the next
CELL_OFFSET = 5  # input pixel at the centre of output cell 0

# Focal lengths of the data sets' colour cameras, in pixels of `Geometry.image`:
#   nyu    518.858 at 640x480: fx_rgb of the toolbox's camera_params.m, see
#          https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html; the rooms' are 250 to 333
#   kitti  721.538 at 1242x375: P_rect_02 of calib_cam_to_cam.txt of 2011_09_26, see
#          https://www.cvlibs.net/datasets/kitti/raw_data.php; other days have 707 to 719
FOCAL_LENGTHS = {"nyu": 518.8579 * 320 / 640, "kitti": 721.5377 * 612 / 1242}


class Window(NamedTuple):
    """A square sliding window: kernel and stride in pixels, padding per axis as (before, after)."""

    kernel: int
    stride: int
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    def output(self, size: Size) -> Size:
        """Size of the map this window makes of a map of `size`."""
        rows, cols = (
            (n + sum(pad) - self.kernel) // self.stride + 1
            for n, pad in zip(size, self.padding, strict=True)
        )
        return rows, cols


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Sizes of one data set's networks under one rounding variant.

    Attributes:
      name: data set, "nyu" or "kitti".
      variant: rounding of convolutions and pools, see the module docstring.
      image: size to which samples are resized before augmentation (half the camera's resolution).
      input: input size of the coarse network.
      fine_input: input size of the fine network, the bottom rows of `input`.
      output: size of both networks' log-depth maps.
    """

    name: str
    variant: Variant
    image: Size
    input: Size
    fine_input: Size
    output: Size

    @property
    def fine_top(self) -> int:
        """First row of `input` that the fine network sees."""
        return self.input[0] - self.fine_input[0]

    @property
    def conv1(self) -> Window:
        """Coarse 1's convolution."""
        return _first_convolution(11, 4, self.input, self.variant)

    @property
    def pool1(self) -> Window:
        """The pool of Coarse 1."""
        return _first_pool(self.conv1.output(self.input), self.variant)

    @property
    def pool(self) -> Window:
        """The pool of Coarse 2 and Coarse 5."""
        return Window(3, 2)

    @property
    def fine_conv1(self) -> Window:
        """Fine 1's convolution."""
        return _first_convolution(9, 2, self.fine_input, self.variant)

    @property
    def fine_pool1(self) -> Window:
        """The pool of Fine 1."""
        return _first_pool(self.fine_conv1.output(self.fine_input), self.variant)

    @property
    def features(self) -> Size:
        """Size of Coarse 5 after its pool, the input of the fully connected layers."""
        pooled = self.pool1.output(self.conv1.output(self.input))
        return self.pool.output(self.pool.output(pooled))

    @property
    def region(self) -> "Crop":
        """The pixels of `image` covered by the output cells of a centre crop."""
        top = (self.image[0] - self.input[0]) // 2 + self.fine_top + CELL_OFFSET - 1
        left = (self.image[1] - self.input[1]) // 2 + CELL_OFFSET - 1
        rows, cols = (n * CELL_STRIDE for n in self.output)
        return Crop(top, top + rows, left, left + cols)

    def focal_length(self, size: Size) -> float:
        """Focal length, in pixels, of a photo of `size` = (H, W) by the data set's camera.

        The photo is assumed to have the scale of the data when it is scaled to just cover `image`.
        """
        factor = max(self.image[0] / size[0], self.image[1] / size[1])
        return FOCAL_LENGTHS[self.name] / factor

    def cell_to_pixel(self, row: int, col: int) -> tuple[int, int]:
        """Pixel of `input` at the centre of output cell (row, col): where its target is read.

        For NYU this is (5 + 4 row, 5 + 4 col); for KITTI the bottom crop's first row is added.
        In variant C the fine network's field is centred one pixel further down and right.
        """
        return self.fine_top + CELL_OFFSET + CELL_STRIDE * row, CELL_OFFSET + CELL_STRIDE * col


def nyu(variant: Variant = "A") -> Geometry:
    """NYU Depth v2: 640x480 images halved, 304x228 in, 74x55 out (the paper's W x H)."""
    return Geometry("nyu", variant, (240, 320), (228, 304), (228, 304), (55, 74))


def kitti(variant: Variant = "A") -> Geometry:
    """KITTI: 1224x368 halved, 576x172 in, its bottom 576x116 for the fine network, 142x27 out."""
    return Geometry("kitti", variant, (184, 612), (172, 576), (116, 576), (27, 142))


def geometry(name: str, variant: str = "A") -> Geometry:
    """The geometry called `name` ("nyu" or "kitti") in `variant` ("A", "B" or "C").

    Raises:
      DepthsiError: there is no such geometry or variant.
    """
    makers = {"nyu": nyu, "kitti": kitti}
    if name not in makers:
        raise DepthsiError(f"No geometry is called {name!r}: choose one of {', '.join(makers)}.")
    if variant not in ("A", "B", "C"):
        raise DepthsiError(f"No geometry variant is called {variant!r}: choose A, B or C.")
    return makers[name](variant)


def _first_convolution(kernel: int, stride: int, size: Size, variant: Variant) -> Window:
    if variant != "A":
        return Window(kernel, stride)
    # The missing pixels are padded on both sides, half rounded up: the map keeps its centre.
    rows, cols = (math.ceil(-(n - kernel) % stride / 2) for n in size)
    return Window(kernel, stride, ((rows, rows), (cols, cols)))


def _first_pool(size: Size, variant: Variant) -> Window:
    if variant == "A":
        return Window(3, 2)
    if variant == "B":
        return Window(2, 2)
    rows, cols = (-(n - 3) % 2 for n in size)
    return Window(3, 2, ((0, rows), (0, cols)))


class Crop(NamedTuple):
    """A rectangle of pixels: rows top..bottom-1, columns left..right-1."""

    top: int
    bottom: int
    left: int
    right: int


def crop(name: str, size: Size) -> Crop:
    """The evaluation crop called `name` for images of `size` = (H, W).

    `eigen2014_nyu` (what the network of the paper covers) and `nyu_toolbox` (the toolbox's valid
    projection) are defined at 480x640 and taken over to other sizes of the same aspect by keeping
    the pixels whose centres fall inside; `garg` and `eigen_kitti` are fractions of the size,
    truncated; `kb` is the KITTI benchmark's 352x1216 at the bottom centre; `none` keeps everything.

    Raises:
      DepthsiError: the name is unknown, or the crop is not defined for this size.
    """
    if name not in CROPS:
        raise DepthsiError(f"No crop is called {name!r}: choose one of {', '.join(CROPS)}.")
    if min(size) < 1:
        raise DepthsiError(f"The crop {name!r} needs an image of at least 1x1, not {size}.")
    return CROPS[name](size)


def _at_480x640(top: int, bottom: int, left: int, right: int) -> Callable[[Size], Crop]:
    def make(size: Size) -> Crop:
        height, width = size
        if height * 640 != width * 480:
            raise DepthsiError(
                f"This NYU crop is defined for 480x640 and its multiples, not for {height}x{width}:"
                " use the crop 'none' or images of aspect 3:4."
            )
        edges = (
            (edge, n, full)
            for edge, n, full in (
                (top, height, 480),
                (bottom, height, 480),
                (left, width, 640),
                (right, width, 640),
            )
        )
        # pixel k of n lies at (k + 1/2) * full / n: the first at or past an edge, exactly
        return Crop(*(-((full - 2 * edge * n) // (2 * full)) for edge, n, full in edges))

    return make


def _fractions(top: float, bottom: float, left: float, right: float) -> Callable[[Size], Crop]:
    def make(size: Size) -> Crop:
        height, width = size
        return Crop(int(top * height), int(bottom * height), int(left * width), int(right * width))

    return make


def _kitti_benchmark(size: Size) -> Crop:
    height, width = size
    if height < 352 or width < 1216:
        raise DepthsiError(
            f"The crop 'kb' takes 352x1216 pixels, but the image has {height}x{width}:"
            " use full-resolution KITTI images or another crop."
        )
    left = (width - 1216) // 2
    return Crop(height - 352, height, left, left + 1216)


CROPS: dict[str, Callable[[Size], Crop]] = {
    "eigen2014_nyu": _at_480x640(20, 460, 24, 616),
    "nyu_toolbox": _at_480x640(45, 471, 41, 601),
    "garg": _fractions(0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "eigen_kitti": _fractions(0.3324324, 0.91351351, 0.0359477, 0.96405229),
    "kb": _kitti_benchmark,
    "none": lambda size: Crop(0, size[0], 0, size[1]),
}

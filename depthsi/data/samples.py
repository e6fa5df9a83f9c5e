"""The interface of every source: images with depth, raw and not augmented."""

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.errors import DepthsiError
from depthsi.valid import valid_depth

NEAREST, FARTHEST = 1e-3, 1e3  # metres; a median outside them means the unit is wrong


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image with depth.

    Attributes:
      image: uint8 (H, W, 3), RGB.
      depth: float32 (H, W), camera z in metres; 0, negative, NaN or inf mean missing.
      name: name of the sample in messages and tables, for instance its file name.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import Sample
      >>> sample = Sample(np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 2, np.float32), "hall")
      >>> sample.depth.max().item()  # metres
      2.0
    """

    image: np.ndarray
    depth: np.ndarray
    name: str


@runtime_checkable
class Source(Protocol):
    """Random access to the samples of one split; equal sizes, no augmentation, no shuffling.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import Source, given_source
      >>> pair = np.zeros((4, 6, 3), np.uint8), np.ones((4, 6))
      >>> source = given_source([pair], "train")
      >>> isinstance(source, Source), source.arrays()[0].shape
      (True, (1, 4, 6, 3))
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...

    def arrays(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
        """All images and all depth maps (metres), in order.

        Args:
          progress: called with the number of samples finished since its last call, which is what
            a tqdm bar's `update` takes.
        """
        ...


def validate_sample(sample: Sample) -> Sample:
    """Returns `sample` unchanged if it keeps the contract.

    Missing depth may stand in any of the forms the contract allows and is left as it is.

    Raises:
      DepthsiError: image not uint8 (H, W, 3), depth not float32 (H, W), sizes that differ, no
        valid depth, or a median valid depth over 1000 m or under 1 mm; names the sample.
    """
    image, depth, name = sample.image, sample.depth, sample.name
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise DepthsiError(
            f"{name}: the image is {image.dtype} {image.shape}; give uint8 RGB of shape (H, W, 3)."
        )
    if depth.dtype != np.float32 or depth.ndim != 2:
        raise DepthsiError(
            f"{name}: the depth is {depth.dtype} {depth.shape}; give float32 metres, shape (H, W)."
        )
    if image.shape[:2] != depth.shape:
        raise DepthsiError(
            f"{name}: the image is {size_text(image)} pixels but its depth {size_text(depth)}; "
            f"both must have the same size: {_how_to_match(image, depth)}."
        )
    values = depth[valid_depth(depth)]
    if not values.size:
        raise DepthsiError(f"{name}: no pixel has a valid depth (finite and over 0); leave it out.")
    # Counting answers what the median would, without sorting.
    for wrong, what in ((values > FARTHEST, "over 1000 m"), (values < NEAREST, "under 1 mm")):
        if 2 * np.count_nonzero(wrong) > values.size:
            raise DepthsiError(
                f"{name}: most depths are {what}; correct the unit, which is metres."
            )
    return sample


def _how_to_match(image: np.ndarray, depth: np.ndarray) -> str:
    """What brings an image and its depth map to one size, without mixing depths."""
    (height, width), (h, w) = image.shape[:2], depth.shape
    if (height, width) == (w, h):
        return "one is turned by 90 degrees, turn it back, as numpy.rot90 does"
    if not 0.99 < height * w / max(width * h, 1) < 1.01:
        return "they are cut differently, so cut both to the same view first"
    if h * w < height * width:
        return f"reduce the image, as Pillow's image.resize(({w}, {h}), Image.Resampling.BOX) does"
    return (
        f"reduce the depth without mixing its values, as Pillow's depth.resize(({width}, {height}),"
        " Image.Resampling.NEAREST) does"
    )


def size_text(array: np.ndarray) -> str:
    """Height and width of an image or depth map for a message, such as "240x320"."""
    return f"{array.shape[0]}x{array.shape[1]}"

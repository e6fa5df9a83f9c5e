"""Samples that a program passes: its own class, lists of arrays, a Grain or TFDS source."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.data.decode_all import decode_all
from depthsi.data.fitting import fit_sample
from depthsi.data.formats.images import image_uint8
from depthsi.data.samples import Sample
from depthsi.errors import DepthsiError

IMAGE_KEYS, DEPTH_KEYS = ("image", "rgb"), ("depth",)


@runtime_checkable
class RandomAccess(Protocol):
    """Random access to samples by index, as `given_source` takes it.

    A sample is a `Sample`, a pair (image, depth), or a mapping with "image" and "depth". Images are
    (H, W, 3), uint8 in 0..255 or floats in 0..1. Depth is (H, W) or (H, W, 1), metres of any number
    type; 0, negative, NaN and inf mean missing. The optional attributes `names` and `scenes` have
    one string per sample.

    Example:
      >>> import numpy as np
      >>> from depthsi.data import RandomAccess
      >>> class Pairs:
      ...     def __len__(self):
      ...         return 2
      ...     def __getitem__(self, index):
      ...         return {"image": np.zeros((4, 6, 3), np.uint8), "depth": np.ones((4, 6))}
      >>> isinstance(Pairs(), RandomAccess)
      True
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def given_source(samples: Any, split: str, size: tuple[int, int] | None = None) -> "GivenSource":
    """Makes a source of samples that a program passes.

    Args:
      samples: see `RandomAccess`.
      split: name of the split, from which names are made for samples without one.
      size: (H, W) in pixels to which every sample is resized; None keeps the original sizes.

    Raises:
      DepthsiError: there is no sample, or `names` or `scenes` do not have one entry per sample.

    Example:
      >>> import numpy as np
      >>> from depthsi.data.given import given_source
      >>> image, depth = np.zeros((4, 6, 3), np.uint8), np.full((4, 6), 2.0)
      >>> source = given_source([(image, depth)], "train")
      >>> source[0].depth.dtype, source.names
      (dtype('float32'), ('train/000000',))
    """
    return GivenSource(samples, split, size)


class GivenSource:
    """The samples of `given_source`, checked and brought to one size as they are read."""

    def __init__(self, samples: Any, split: str, size: tuple[int, int] | None) -> None:
        for method in ("__len__", "__getitem__"):
            if not hasattr(samples, method):
                raise DepthsiError(
                    f"The samples of {split} are a {type(samples).__name__} without {method}: give"
                    " something with a length whose samples can be accessed by index."
                )
        self._samples, self._size, self._split = samples, size, split
        if not len(samples):
            raise DepthsiError(f"The samples passed for {split} are empty.")
        default = tuple(f"{split}/{index:06d}" for index in range(len(samples)))
        self.names = self._texts("names") or default
        self.scenes = self._texts("scenes")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        name = self.names[index]
        sample = self._samples[index]
        image, depth = _image_and_depth(sample, name)
        if depth.ndim == 3 and depth.shape[2] == 1:
            depth = depth[..., 0]
        if depth.dtype.kind not in "fiu":
            raise DepthsiError(f"{name}: depth is {depth.dtype}; it must be numbers, in metres.")
        try:
            pixels = image_uint8(image)
        except DepthsiError as error:
            raise DepthsiError(f"{name}: {error}") from error
        return fit_sample(Sample(pixels, depth.astype(np.float32), name), self._size)

    def arrays(
        self, progress: Callable[[int], object] | None = None
    ) -> tuple[UInt8[np.ndarray, "n h w 3"], Float32[np.ndarray, "n h w"]]:
        """All images and all depths (metres), in order; see `Source`."""
        return decode_all(self, self._size, lambda index: self._split, progress)

    def _texts(self, attribute: str) -> tuple[str, ...]:
        texts: Sequence[Any] = getattr(self._samples, attribute, ())
        if len(texts) not in (0, len(self._samples)):
            raise DepthsiError(
                f"{self._split} has {len(self._samples)} samples but {len(texts)} {attribute}."
            )
        return tuple(map(str, texts))


def _image_and_depth(sample: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(sample, Sample):
        return sample.image, sample.depth
    if isinstance(sample, Mapping):
        found = [
            next((sample[key] for key in keys if key in sample), None)
            for keys in (IMAGE_KEYS, DEPTH_KEYS)
        ]
        if all(part is not None for part in found):
            return np.asarray(found[0]), np.asarray(found[1])
        raise DepthsiError(
            f"{name} has the entries {', '.join(map(str, list(sample)[:9]))}: it needs image and"
            " depth."
        )
    if isinstance(sample, tuple | list) and len(sample) == 2:
        return np.asarray(sample[0]), np.asarray(sample[1])
    raise DepthsiError(
        f"{name} is a {type(sample).__name__}: give a Sample, a pair (image, depth), or a mapping"
        " with image and depth."
    )

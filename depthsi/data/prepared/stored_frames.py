"""How one record of a prepared data set is stored: lossless PNG and packed depth maps."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from depthsi.data.prepared.frames import DataSet, Frame
from depthsi.data.samples import Sample, size_text, validate_sample
from depthsi.errors import DepthsiError
from depthsi.valid import valid_depth

TEXTS = ("name", "scene")


def record_features(
    depth_names: Sequence[str], size: Sequence[int] | None, units_per_metre: float | None
) -> Any:
    """The TFDS features of a data set's records: `image`, its depth maps, `name` and `scene`.

    Args:
      depth_names, size, units_per_metre: as `DataSet` has them.
    """
    import tensorflow_datasets as tfds

    shape = (None, None) if size is None else tuple(size)
    dtype = np.float32 if units_per_metre is None else np.uint16
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(*shape, 3), encoding_format="png"),
            # Not 16-bit PNG, which TFDS reads only where OpenCV is installed.
            **{
                name: tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib")
                for name in depth_names
            },
            **{name: tfds.features.Text() for name in TEXTS},
        }
    )


def features_of(data_set: DataSet) -> Any:
    """`record_features` of a data set that is being prepared."""
    return record_features(data_set.depth_names, data_set.size, data_set.units_per_metre)


def read_frame(data_set: DataSet, frame: Frame) -> dict[str, Any]:
    """Reads and checks a frame, in the form that `features_of` serialises.

    Depth that is missing in any form (0, negative, NaN, inf) is stored as 0.

    Raises:
      DepthsiError: whatever `frame.load` or `validate_sample` refuses, another size than the data
        set's, missing or ill-shaped depth maps, or depth that does not fit the stored unit.
    """
    record = frame.load()
    image, depths = record.image, record.depth
    if set(depths) != set(data_set.depth_names):
        raise DepthsiError(
            f"{frame.key} has the depth maps {sorted(depths)}; {data_set.name} needs "
            f"{sorted(data_set.depth_names)}."
        )
    validate_sample(Sample(image, depths[data_set.depth_names[0]], frame.key))
    if data_set.size not in (None, image.shape[:2]):
        height, width = data_set.size or (0, 0)
        raise DepthsiError(
            f"{frame.key} has {size_text(image)} pixels; those of {data_set.name} have "
            f"{height}x{width}."
        )
    for name, depth in depths.items():
        if depth.shape != image.shape[:2]:
            raise DepthsiError(f"{frame.key}: {name} is {depth.shape}, the image {image.shape}.")
    return {
        "image": _png(image),
        "name": frame.key,
        "scene": frame.scene,
        **{name: _stored(data_set, frame, name, depth) for name, depth in depths.items()},
    }


def depth_metres(stored: np.ndarray, units_per_metre: float | None) -> Float32[np.ndarray, "h w"]:
    """Metres of a stored depth map; 0 = missing."""
    if units_per_metre is None:
        return stored
    return (stored / np.float64(units_per_metre)).astype(np.float32)


def _stored(data_set: DataSet, frame: Frame, name: str, depth: np.ndarray) -> np.ndarray:
    if depth.dtype != np.float32:
        raise DepthsiError(f"{frame.key}: {name} is {depth.dtype}; it must be float32 metres.")
    valid = valid_depth(depth)
    units = data_set.units_per_metre
    if units is None:
        return np.where(valid, depth, np.float32(0))
    stored = np.rint(np.where(valid, depth, 0) * np.float64(units))
    if stored.max(initial=0) > np.iinfo(np.uint16).max:
        raise DepthsiError(
            f"{frame.key}: {name} reaches {depth[valid].max():g} m, more than 16 bits hold at "
            f"{units:g} units per metre."
        )
    # A depth so small that it would round to "missing" takes the smallest value instead.
    return np.where(valid, np.maximum(stored, 1), 0).astype(np.uint16)


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()

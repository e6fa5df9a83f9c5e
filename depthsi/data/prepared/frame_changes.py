"""Changes to a listed data set that touch no file: held-out scenes and another size."""

import dataclasses
import functools
import hashlib

from depthsi.data.fitting import fit_to
from depthsi.data.prepared.frames import DataSet, Frame, Record
from depthsi.errors import DepthsiError


def hold_out_scenes(frames: tuple[Frame, ...], count: int) -> tuple[Frame, ...]:
    """Moves the frames of `count` whole scenes from split "train" to "val".

    The scenes are those whose names have the least SHA-256, so the choice depends on nothing but
    the names, and a larger `count` keeps those of a smaller one.

    Raises:
      DepthsiError: negative `count`, or no scene would be left to train on.
    """
    scenes = {frame.scene for frame in frames if frame.split == "train"} - {""}
    if not 0 <= count < max(1, len(scenes)):
        raise DepthsiError(
            f"{count} scenes cannot be held out for validation: the training data have "
            f"{len(scenes)}."
        )
    chosen = set(sorted(scenes, key=lambda name: hashlib.sha256(name.encode()).digest())[:count])
    return tuple(
        dataclasses.replace(frame, split="val")
        if frame.split == "train" and frame.scene in chosen
        else frame
        for frame in frames
    )


def scenes_to_hold_out(frames: tuple[Frame, ...]) -> int:
    """How many scenes become "val" where nobody says it: a tenth, but at least one.

    None, if there is a "val" already or the training data have fewer than two scenes.
    """
    scenes = {frame.scene for frame in frames if frame.split == "train"} - {""}
    if len(scenes) < 2 or any(frame.split == "val" for frame in frames):
        return 0
    return max(1, round(len(scenes) / 10))


def fit_frames(data_set: DataSet, size: tuple[int, int]) -> DataSet:
    """The data set with every frame brought to `size` (H, W) pixels by `fit_to`.

    Raises:
      DepthsiError: `size` is not positive.
    """
    if min(size) < 1:
        raise DepthsiError(f"The size is {size[0]}x{size[1]}; give two numbers of at least 1.")
    frames = tuple(
        dataclasses.replace(frame, load=functools.partial(_load, frame, size))
        for frame in data_set.frames
    )
    made_from = data_set.made_from | {"fitted_to": list(size)}
    return dataclasses.replace(data_set, size=size, frames=frames, made_from=made_from)


def _load(frame: Frame, size: tuple[int, int]) -> Record:
    record = frame.load()
    image, depths = record.image, {}
    fitted = image
    for name, depth in record.depth.items():
        if depth.shape != image.shape[:2]:
            raise DepthsiError(f"{frame.key}: {name} is {depth.shape}, the image {image.shape}.")
        fitted, depths[name] = fit_to(image, depth, size)
    return Record(fitted, depths) if depths else record

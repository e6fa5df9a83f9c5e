"""Opens a source of pictures with depth by the name of its kind."""

import os

from depthsi.data.samples import Source
from depthsi.errors import DepthsiError

KINDS = ("rooms", "folder")


def open_source(
    kind: str,
    split: str,
    *,
    root: str | os.PathLike[str] = "",
    size: tuple[int, int] | None = None,
    count: int = 0,
    seed: int = 0,
    scale_range: tuple[float, float] = (1.0, 1.0),
) -> Source:
    """Opens one split of a source.

    Args:
      kind: "rooms" (procedural scenes) or "folder" (a directory with index.csv).
      split: name of the split.
      root: the directory; folder only.
      size: (H, W) in pixels every sample is brought to, None for the source's own; rooms have
        theirs and take no other.
      count: number of scenes; rooms only.
      seed: of the scenes; rooms only.
      scale_range: each scene is made larger by a log-uniform factor from it; rooms only.

    Raises:
      DepthsiError: unknown kind, a folder without `root`, rooms of another size, or whatever the
        source refuses.
    """
    # Each kind is imported when it is used: rooms need jax, a folder does not.
    if kind == "rooms":
        from depthsi.data.rooms import SIZE, RoomsSource

        if size not in (None, SIZE):
            raise DepthsiError(
                f"rooms are rendered at {SIZE} pixels (H, W), not {size}; choose a geometry "
                "of that size, or data of kind 'folder'."
            )
        return RoomsSource(split, count, seed, scale_range)
    if kind == "folder":
        from depthsi.data.folder import FolderSource

        if not os.fspath(root):
            raise DepthsiError("data of kind 'folder' needs its directory; give it as root.")
        return FolderSource(root, split, size=size)
    raise DepthsiError(f"data kind {kind!r} is unknown; choose one of {', '.join(KINDS)}.")

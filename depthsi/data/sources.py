"""Opens a source of pictures with depth by the name of its kind."""

import os

from depthsi.data.samples import Source
from depthsi.errors import DepthsiError

KINDS = ("rooms", "folder", "prepared")


def open_source(
    kind: str,
    split: str,
    *,
    root: str | os.PathLike[str] = "",
    size: tuple[int, int] | None = None,
    count: int = 0,
    seed: int = 0,
    scale_range: tuple[float, float] = (1.0, 1.0),
    pattern: str = "",
    units_per_metre: float | None = None,
    depth: str = "",
) -> Source:
    """Opens one split of a source.

    Args:
      kind: "rooms" (procedural scenes), "folder" (a directory with index.csv) or "prepared" (what
        `depthsi prepare` made).
      split: name of the split.
      root: the directory; folder and prepared only.
      size: (H, W) in pixels every sample is brought to, None for the source's own; rooms have
        theirs and take no other.
      count: number of scenes; rooms only.
      seed: of the scenes; rooms only.
      scale_range: each scene is made larger by a log-uniform factor from it; rooms only.
      pattern: how the files are named, as `depthsi.data.folder.names` takes it; folder only.
      units_per_metre: of depth files of whole numbers, where no index says; folder only.
      depth: which of the stored depth maps, the first if empty; prepared only.

    Raises:
      DepthsiError: unknown kind, no `root` where one is needed, rooms of another size, or whatever
        the source refuses.
    """
    # Each kind is imported when it is used: rooms need jax, a folder does not.
    if kind == "rooms":
        from depthsi.rooms.source import SIZE, RoomsSource

        if size not in (None, SIZE):
            raise DepthsiError(
                f"rooms are rendered at {SIZE} pixels (H, W), not {size}; choose a geometry "
                "of that size, or data of kind 'folder'."
            )
        return RoomsSource(split, count, seed, scale_range)
    if kind == "folder":
        from depthsi.data.folder.source import FolderSource

        if not os.fspath(root):
            raise DepthsiError("data of kind 'folder' needs its directory; give it as root.")
        return FolderSource(
            root, split, size=size, pattern=pattern, units_per_metre=units_per_metre
        )
    if kind == "prepared":
        from depthsi.data.prepared.source import PreparedSource

        if not os.fspath(root):
            raise DepthsiError("data of kind 'prepared' needs its directory; give it as root.")
        return PreparedSource(root, split, size=size, depth=depth or None)
    raise DepthsiError(f"data kind {kind!r} is unknown; choose one of {', '.join(KINDS)}.")

"""Options of `depthsi info`."""

import dataclasses
from typing import Literal

from depthsi.data.settings import check_shares
from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoRequest:
    """What to describe and where to write; the docstrings are the help of the command line."""

    what: str = ""
    """Directory of a run, of images with depth, or of prepared data; or the word rooms. Default:
    describe the installation."""
    out: str = ""
    """Directory for a contact sheet and a depth histogram of the data."""
    json: str = ""
    """File for the statistics as JSON; - prints them instead of the text."""
    limit: int = 0
    """Number of samples to read from each split, evenly spaced; 0 reads all, or 64 rooms."""
    pattern: str = ""
    """How pairs are named in a folder without index.csv; see --data.pattern of train."""
    units_per_metre: float = 0.0
    """Value that stands for one metre in integer depth files, unless an index gives it; 0 guesses
    it."""
    depth_coding: Literal["auto", "plain", "sunrgbd"] = "auto"
    """How integers encode depth; see --data.depth-coding of train."""
    val_share: float = 0.0
    """Share that becomes the split val of a folder without splits; see --data.val-share of
    train."""
    test_share: float = 0.0
    """The same for the split test."""

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise DepthsiError(f"--limit is {self.limit}; it must be at least 0.")
        check_shares("", self.val_share, self.test_share)

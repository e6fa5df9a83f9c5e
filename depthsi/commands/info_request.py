"""What `depthsi info` is asked for."""

import dataclasses
from typing import Literal

from depthsi.data.settings import check_shares
from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoRequest:
    """What to look at and where results go; the comments are the help of the command line."""

    what: str = ""
    """Directory of a run, of images with depth or of prepared data, or the word rooms; none for
    the installation."""
    out: str = ""
    """Directory for a contact sheet and a histogram of data."""
    json: str = ""
    """File for the numbers as JSON; - prints them in place of the text."""
    limit: int = 0
    """Samples of each split to look at, evenly spread; 0 for all, or 64 rooms."""
    pattern: str = ""
    """How pairs are named in a folder without index.csv; see data.pattern of train."""
    units_per_metre: float = 0.0
    """Value for one metre in depth files of whole numbers, where no index says; 0: guess it."""
    depth_coding: Literal["auto", "plain", "sunrgbd"] = "auto"
    """How whole numbers are coded; see data.depth_coding of train."""
    val_share: float = 0.0
    """Part of a folder without splits that becomes val; see data.val_share of train."""
    test_share: float = 0.0
    """The same for test."""

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise DepthsiError(f"limit is {self.limit}; it must be at least 0.")
        check_shares("", self.val_share, self.test_share)

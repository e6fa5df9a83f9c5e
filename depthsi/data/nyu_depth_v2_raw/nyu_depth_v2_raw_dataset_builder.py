"""The TFDS builder `nyu_depth_v2_raw`."""

from depthsi.data.frames_builder import FramesBuilder
from depthsi.data.nyu_depth_v2_raw.listing import open_nyu_depth_v2_raw


class Builder(FramesBuilder):
    """Takes the arguments of `open_nyu_depth_v2_raw`."""

    list_frames = staticmethod(open_nyu_depth_v2_raw)

"""The TFDS builder `rooms`."""

from depthsi.data.frames_builder import FramesBuilder
from depthsi.data.rooms_prepared.listing import open_rooms


class Builder(FramesBuilder):
    """Takes the arguments of `open_rooms`."""

    list_frames = staticmethod(open_rooms)

"""The TFDS builder `rooms`."""

from depthsi.data.prepared.tfds_builder import FramesBuilder
from depthsi.datasets.rooms.data_set import open_rooms


class Builder(FramesBuilder):
    """Takes the arguments of `open_rooms`."""

    list_frames = staticmethod(open_rooms)

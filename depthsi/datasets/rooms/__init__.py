"""The procedural rooms, rendered once and stored."""

from depthsi.datasets.rooms.data_set import open_rooms

__all__ = ["open_rooms"]

"""The procedural rooms, rendered once and stored."""

from depthsi.data.rooms_prepared.listing import open_rooms

__all__ = ["open_rooms"]

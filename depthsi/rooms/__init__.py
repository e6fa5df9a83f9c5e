"""Procedural rooms: the scene, its furniture and materials, the ray tracer and the shading."""

"""A training run as a single HTML page that works offline: curves, metrics, images, settings."""

"""A training run as one HTML page: curves, metrics, images and settings, without a network."""

"""A folder of images with depth: `index.csv` or name patterns, and the guess of its unit."""

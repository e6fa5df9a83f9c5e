"""A local page that predicts the depth of photos: `depthsi demo`."""

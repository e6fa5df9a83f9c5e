"""A local web page that predicts the depth of photos: `depthsi demo`."""

"""Published data sets as TFDS builders that need no TensorFlow."""

"""Sources of pictures with depth; see `depthsi.data.samples` for the contract they keep."""

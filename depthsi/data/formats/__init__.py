"""One module per file format: bytes in, arrays out."""

"""Data sets stored once for fast random access: frames, shards, records, and reading them back."""

"""Several processes as one run: joining, hangs, signals, the lock of a run directory."""

"""Training in stages: pure steps, the optimiser, checkpoints, and the loop on the host."""

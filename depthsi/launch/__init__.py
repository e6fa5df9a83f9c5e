"""Starting one training on many devices: of this machine, a SLURM cluster, or a TPU pod slice."""

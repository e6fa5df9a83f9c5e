"""Starting a run on one machine, under SLURM, or on a TPU pod."""

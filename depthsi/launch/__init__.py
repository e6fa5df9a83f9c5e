"""Launching a training on the devices of one machine, a SLURM cluster, or a TPU pod slice."""

"""Training on the GPUs of several nodes through SLURM."""

import dataclasses
import shlex
import sys

from depthsi.launch.checks import check_at_least, check_name, run

_WORD = r"[A-Za-z0-9][-A-Za-z0-9_.]*"
_TIME = r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}"


@dataclasses.dataclass(frozen=True)
class Slurm:
    """Submit a SLURM job that runs one process per GPU.

    Put the arguments of `depthsi train` after --, such as: -- nyu --run DIR.
    """

    nodes: int = 1
    """Number of nodes."""
    gpus_per_node: int = 8
    """GPUs per node; all of them are used."""
    cpus_per_gpu: int = 4
    """CPU cores for each GPU's process."""
    time: str = "24:00:00"
    """Time limit of the job; five minutes before it, the training saves and stops."""
    job_name: str = "depthsi"
    """Name of the job and of its log, JOB_NAME-NUMBER.log."""
    partition: str = ""
    """Partition to run on. Default: the cluster's default."""
    account: str = ""
    """Account to charge. Default: the cluster's default."""
    python: str = sys.executable
    """Python interpreter with depthsi installed, at the same path on every node."""
    dry_run: bool = False
    """Print the command and its job script without submitting it."""

    def launch(self, training: tuple[str, ...]) -> int:
        """Submits `depthsi train` with these arguments; returns sbatch's exit code."""
        for option in ("nodes", "gpus_per_node", "cpus_per_gpu"):
            check_at_least(f"--{option.replace('_', '-')}", getattr(self, option), 1)
        check_name("--time", self.time, _TIME, "24:00:00 or 2-12:00:00")
        check_name("--job-name", self.job_name, _WORD, "my-job_1")
        check_name("--partition", self.partition, f"|{_WORD}", "gpu-long_1")
        check_name("--account", self.account, f"|{_WORD}", "my-group_1")
        return run(
            [["sbatch"]], program="sbatch", dry_run=self.dry_run, text=self._script(training)
        )

    def _script(self, training: tuple[str, ...]) -> str:
        options = {
            "job-name": self.job_name,
            "partition": self.partition,
            "account": self.account,
            "nodes": self.nodes,
            "ntasks-per-node": self.gpus_per_node,
            "gpus-per-node": self.gpus_per_node,
            "cpus-per-task": self.cpus_per_gpu,
            "time": self.time,
            "signal": "TERM@300",
            "output": f"{self.job_name}-%j.log",
        }
        lines = [f"#SBATCH --{name}={value}" for name, value in options.items() if value]
        words = [self.python, "-m", "depthsi", "train", *training, "--cluster.coordinator", "auto"]
        return "\n".join(
            [
                "#!/bin/bash",
                *lines,
                "# Every process sees all GPUs of its node and takes the one of its own number.",
                f"srun --gpu-bind=none --cpus-per-task={self.cpus_per_gpu} {shlex.join(words)}",
                "",
            ]
        )

"""Training on every host of a TPU pod slice through gcloud."""

import dataclasses
import shlex
import tempfile
from pathlib import Path

from depthsi.errors import DepthsiError
from depthsi.launch.checks import check_name, run

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "depthsi")
ARCHIVE = "depthsi.tar.gz"


@dataclasses.dataclass(frozen=True)
class Tpu:
    """Train on a TPU pod slice: copy depthsi to all hosts, install it, start one process on each.

    Put the arguments of `depthsi train` after --, such as: -- nyu --run DIR.
    """

    name: str
    """Name of an existing TPU VM."""
    zone: str
    """Zone of the TPU VM, such as us-central2-b."""
    project: str = ""
    """Google Cloud project of the TPU VM. Default: the project configured in gcloud."""
    python: str = "python3"
    """Python 3.11 or newer on the hosts."""
    skip_install: bool = False
    """Skip the installation and use the one of an earlier launch."""
    dry_run: bool = False
    """Print the commands without running them."""

    def launch(self, training: tuple[str, ...]) -> int:
        """Runs `depthsi train` with these arguments; returns the exit code."""
        check_name("--name", self.name, r"[a-z]([-a-z0-9]*[a-z0-9])?", "my-tpu-1")
        check_name("--zone", self.zone, r"[a-z]+-[a-z]+[0-9]+-[a-z]", "us-central2-b")
        check_name("--project", self.project, r"|[a-z][-a-z0-9:.]*[a-z0-9]", "my-project-1")
        commands = [*([] if self.skip_install else self._install()), self._train(training)]
        return run(commands, program="gcloud", dry_run=self.dry_run)

    def _install(self) -> list[list[str]]:
        if not (ROOT / "pyproject.toml").exists():
            raise DepthsiError(
                f"{ROOT} is not a source tree of depthsi that could be copied to the TPU hosts: run"
                " this from a clone installed with pip install -e, or add --skip-install if depthsi"
                " is installed on the hosts."
            )
        archive = str(Path(tempfile.gettempdir()) / ARCHIVE)
        on_host = (
            f"set -e; rm -rf depthsi; mkdir depthsi; tar -xzf {ARCHIVE} -C depthsi;"
            f" {shlex.quote(self.python)} -m venv depthsi/.venv;"
            " depthsi/.venv/bin/pip install --quiet './depthsi[tpu]'"
        )
        return [
            ["tar", "-czf", archive, "--exclude=__pycache__", "-C", str(ROOT), *SOURCES],
            self._gcloud("scp", archive, f"{self.name}:{ARCHIVE}"),
            self._gcloud("ssh", self.name, f"--command={on_host}"),
        ]

    def _train(self, training: tuple[str, ...]) -> list[str]:
        words = ["depthsi/.venv/bin/depthsi", "train", *training, "--cluster.coordinator", "auto"]
        return self._gcloud("ssh", self.name, f"--command={shlex.join(words)}")

    def _gcloud(self, verb: str, *words: str) -> list[str]:
        where = [f"--zone={self.zone}", "--worker=all"]
        project = [f"--project={self.project}"] if self.project else []
        return ["gcloud", "compute", "tpus", "tpu-vm", verb, *words, *where, *project]

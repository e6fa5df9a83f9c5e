"""Training on every host of a TPU pod slice, by way of gcloud."""

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
    """A TPU pod slice: copies depthsi to all hosts, installs it, starts one process on each.

    The arguments of `depthsi train` follow after --, such as: -- nyu --run DIR.
    """

    name: str
    """Of the TPU VM, which exists."""
    zone: str
    """Where it is, such as us-central2-b."""
    project: str = ""
    """Its project in Google Cloud; default: that of gcloud's settings."""
    python: str = "python3"
    """Python 3.11 or newer on the hosts."""
    skip_install: bool = False
    """Start at once what an earlier launch has installed."""
    dry_run: bool = False
    """Only print the commands."""

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
                f"{ROOT} holds no source tree of depthsi to copy to the TPU hosts: run this from a"
                " clone installed with pip install -e, or add --skip-install if the hosts have it."
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

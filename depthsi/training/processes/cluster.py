"""Several processes as one training: how they find each other, agree, and end together."""

import contextlib
import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from depthsi.errors import DepthsiError, StoppedError
from depthsi.training.processes.exchange import gather_texts
from depthsi.training.processes.hang import exit_with_message, lost_processes_end_this_one
from depthsi.training.processes.peer_watch import (
    GRACE_SECONDS,
    JAX_HEARTBEAT_SECONDS,
    PeerWatch,
    watch_peers,
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Processes of a run: each reads its share of every batch; the first one writes the logs.

    Raises:
      DepthsiError: the values contradict each other.
    """

    coordinator: str = ""
    """HOST:PORT of process 0, which all other processes can reach; or auto, to take it from SLURM,
    Open MPI or the TPU pod. Default: a single process."""
    processes: int = 1
    """Number of processes; not needed with auto."""
    process: int = 0
    """Number of this process, starting at 0; not needed with auto."""
    timeout: int = 300
    """Seconds to wait for the other processes at startup."""

    def __post_init__(self) -> None:
        if self.timeout < 1:
            raise DepthsiError(f"cluster.timeout is {self.timeout}; it must be at least 1 second.")
        if not 0 <= self.process < self.processes:
            raise DepthsiError(
                f"cluster.process is {self.process}, but the {self.processes} processes have the"
                f" numbers 0 to {self.processes - 1}."
            )
        if not self.coordinator and self.processes > 1:
            raise DepthsiError(
                f"cluster.processes is {self.processes}, but cluster.coordinator is not set: give"
                " HOST:PORT of process 0."
            )
        port = self.coordinator.rpartition(":")[2]
        if self.coordinator not in ("", "auto") and not (self.host and port.isdecimal()):
            raise DepthsiError(
                f"cluster.coordinator is {self.coordinator!r}; it must be HOST:PORT, such as"
                " 10.0.0.1:1234, or auto."
            )

    @property
    def host(self) -> str:
        """Name or address of the coordinator; empty where it is to be found."""
        return self.coordinator.rpartition(":")[0].strip("[]")


@contextlib.contextmanager
def join_cluster(cluster: Cluster) -> Iterator[None]:
    """Joins the processes of `cluster`, before anything else uses JAX, for what is done inside.

    Leaving JAX's runtime in good order takes all processes and minutes, so that an error in one of
    several ends its process at once, after saying so, and the others by the loss of it.

    Raises:
      DepthsiError: the cluster is not there.
    """
    start(cluster)
    with lost_processes_end_this_one():
        watch = watch_peers(cluster.host) if cluster.coordinator else PeerWatch({})
    try:
        with lost_processes_end_this_one():
            yield
        watch.stop()
    except StoppedError:  # all processes stop after the same step
        watch.stop()
        raise
    except Exception as error:
        import jax

        if jax.process_count() == 1:
            raise
        watch.stop()
        if not isinstance(error, DepthsiError):
            traceback.print_exception(error)
        if jax.process_index() == 0:  # whose loss ends the others before they can say the same
            time.sleep(GRACE_SECONDS)
        exit_with_message(str(error))


def start(cluster: Cluster) -> None:
    """Connects this process with the others; gives up, with exit code 2, if they do not come.

    Raises:
      DepthsiError: no cluster for "auto" to find, or the coordinator's port cannot be used.
    """
    if not cluster.coordinator:
        return
    import jax

    auto = cluster.coordinator == "auto"
    known = (
        {}
        if auto
        else {
            "coordinator_address": cluster.coordinator,
            "num_processes": cluster.processes,
            "process_id": cluster.process,
        }
    )
    # At its own limit JAX aborts the process with a page of addresses; ours comes first.
    limit = threading.Timer(cluster.timeout, exit_with_message, [_nobody_came(cluster)])
    limit.daemon = True
    limit.start()
    try:
        jax.distributed.initialize(
            **known,
            initialization_timeout=cluster.timeout + 60,
            heartbeat_timeout_seconds=JAX_HEARTBEAT_SECONDS,
        )
        jax.device_count()  # also waits for all
    except (RuntimeError, ValueError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        hint = "no SLURM, Open MPI or TPU pod found; give HOST:PORT" if auto else "another port?"
        raise DepthsiError(
            f"cluster.coordinator {cluster.coordinator} cannot be used ({why}): {hint}"
        ) from error
    finally:
        limit.cancel()


def on_leader(action: Callable[[], object]) -> None:
    """Runs `action` in the first process while the others wait for it to end.

    Raises:
      DepthsiError: in all processes, if `action` does in the first one.
    """
    import jax

    if jax.process_count() == 1:
        action()
        return
    sentence = ""
    if jax.process_index() == 0:
        try:
            action()
        except DepthsiError as error:
            sentence = str(error)
    if said := gather_texts(sentence)[0]:
        raise DepthsiError(said)


def _nobody_came(cluster: Cluster) -> str:
    known = (
        "The processes"
        if cluster.coordinator == "auto"
        else (
            f"Process {cluster.process} of the {cluster.processes} with cluster.coordinator"
            f" {cluster.coordinator}"
        )
    )
    return (
        f"{known} did not meet the others within {cluster.timeout} s: check that address, start all"
        " of them at the same time, or raise cluster.timeout."
    )

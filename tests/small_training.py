"""The stand-in of the fault benchmark, as a program that may also get stuck or run out of disk.

SECONDS_PER_STEP in the environment slows it down; STUCK_AT names a step that never ends, FULL_AT
one from which on the disk takes no files of 8 kB.
"""

import os
import resource
import time

from depthsi.cli import main
from experiments.benchmarks.stand_in import abstract_state, initial_state, install

__all__ = ["abstract_state", "initial_state"]


def fail_or_wait(step):
    if step == int(os.environ.get("STUCK_AT", -1)):
        time.sleep(1000)
    if step == int(os.environ.get("FULL_AT", -1)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**13, 2**13))
    time.sleep(float(os.environ.get("SECONDS_PER_STEP", 0)))


if __name__ == "__main__":
    install(fail_or_wait)
    main()

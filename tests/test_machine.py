"""What samples may take of the memory, and what becomes of freed memory."""

import subprocess
import sys

import pytest

from depthsi.machine import host_bytes

FREED = """
import resource, sys
import numpy as np
from depthsi.machine import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()
for arrays in (1, 10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(arrays):
        np.empty(40 * 2**20, np.uint8).fill(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize(
    ("limits", "expected"),
    [(("max\n",), 4096), (("600\n",), 300), (("max\n", "5000\n"), 2500), (("9000\n",), 4096)],
)
def test_samples_may_take_half_of_the_memory_of_a_container(
    limits, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2}.get)
    files = [tmp_path / "0", tmp_path / "1"]
    for file, text in zip(files, limits, strict=False):
        file.write_text(text)
    monkeypatch.setattr("depthsi.machine.CONTAINER_LIMITS", files)
    assert host_bytes() == expected


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_freed_memory_is_used_again():
    faults = {}
    for word in ("keep", "return"):
        program = [sys.executable, "-c", FREED, word]
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        faults[word] = int(done.stdout)
    # 100 huge pages or 102 400 small ones are cleared for arrays that are mapped anew
    assert faults["keep"] < 20 < 100 < faults["return"]

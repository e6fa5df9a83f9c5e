"""Damages valid files in many ways and checks how every reader handles them.

A damaged file must be refused with one sentence (DepthsiError), or give a value that keeps the
contract of a sample: never another exception, a warning, a crash, a hang, or gigabytes of memory.
Where a format has no checksum, some changed values cannot be told from measured ones; those are
counted as accepted.

Command:   python -m experiments.fuzz.run
Result:    experiments/results/fuzz_readers.json and fuzz_readers.md
"""

import dataclasses
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.machine import describe_machine
from experiments.fuzz.cases import mutated
from experiments.fuzz.targets import TARGETS
from experiments.fuzz.targets_datasets import DATASET_TARGETS
from experiments.script import RESULTS, command_line, run_script, write_result

ALL_TARGETS = TARGETS | DATASET_TARGETS
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10  # that a case may take
MEMORY = 3 * 2**30  # bytes that a batch may take beyond what its modules do
BATCH = 100  # cases in one process


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Fuzzes every reader."""

    cases: int = 200
    """Number of damaged files for each reader."""
    seed: int = 0
    """Seed of the damage."""
    reader: str = ""
    """Fuzz only this reader, without writing a result."""


class CaseTimeout(BaseException):
    """Not an Exception, so that no reader turns it into a refusal."""


def run_cases(name: str, seed: int, cases: range, folder: Path) -> Iterator[dict[str, Any]]:
    """What becomes of each case: `verdict` is refused, accepted, unchanged or a fault's name."""
    target = ALL_TARGETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    files = list(target.write(folder))
    whole = {file: file.read_bytes() for file in files}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DepthsiWarning)  # of what a conversion leaves out
        for file in files:
            target.read(folder, file)  # valid as it is
    for case in cases:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), case])
        file = files[case % len(files)]
        how, data = mutated(whole[file], rng)
        file.write_bytes(data)
        verdict = _verdict(name, folder, file) if data != whole[file] else "unchanged"
        file.write_bytes(whole[file])
        yield {"case": case, "file": file.name, "how": how, "verdict": verdict}


def _verdict(name: str, folder: Path, file: Path) -> str:
    def stop(*_: Any) -> None:
        raise CaseTimeout

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ALL_TARGETS[name].read(folder, file)
        odd = [each for each in caught if not issubclass(each.category, DepthsiWarning)]
        return f"warning: {odd[0].message}" if odd else "accepted"
    except DepthsiError as error:
        sentence = str(error)
        if "\n" in sentence or len(sentence) > 10_000:
            return f"no single sentence: {sentence[:200]!r}"
        return "refused" if str(folder) in sentence else f"file not named: {sentence[:200]}"
    except CaseTimeout:
        return f"hang: over {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def work(name: str, seed: int, cases: range) -> None:
    """One batch; a line of JSON for each case as soon as it is known."""
    with tempfile.TemporaryDirectory() as folder:
        # One case that is not counted imports what the reader imports, before memory is bounded.
        list(run_cases(name, seed, range(1), Path(folder) / "first"))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        for result in run_cases(name, seed, cases, Path(folder) / "cases"):
            print(json.dumps(result), flush=True)


def fuzz(name: str, seed: int, count: int) -> list[dict[str, Any]]:
    """All cases of one reader, in processes whose death is a case's verdict."""
    results: list[dict[str, Any]] = []
    while len(results) < count:
        batch = min(BATCH, count - len(results))
        start = len(results)
        # -c, for the worker's own arguments are no part of the command line.
        code = (
            "from experiments.fuzz.run import work;"
            f" work({name!r}, {seed}, range({start}, {start + batch}))"
        )
        command = [sys.executable, "-W", "ignore", "-c", code]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS * 20,
                cwd=ROOT,
            )
            output, end = done.stdout, f"crash: signal {-done.returncode}"
            if done.returncode > 0:  # not killed by a signal, but a fault of this script
                raise RuntimeError(f"{name}: {done.stderr}")
        except subprocess.TimeoutExpired as expired:
            output, end = (expired.stdout or b"").decode(), "hang: the process had to be killed"
        # OpenEXR prints lines of its own, and the last one may be cut.
        lines = [line for line in output.splitlines() if line.startswith("{")]
        results += [json.loads(line) for line in lines if line.endswith("}")]
        if len(results) < start + batch:
            results.append({"case": len(results), "file": "?", "how": "?", "verdict": end})
    return results


def main(arguments: Arguments) -> None:
    began, readers = time.perf_counter(), {}
    for name in [arguments.reader] if arguments.reader else ALL_TARGETS:
        results = fuzz(name, arguments.seed, arguments.cases)
        counts = Counter(_kind(result["verdict"]) for result in results)
        faults = [each for each in results if _kind(each["verdict"]) == "fault"]
        readers[name] = {"cases": len(results), **counts, "faults": faults}
        print(f"{name}: {dict(counts)}", *faults, sep="\n  ", flush=True)
    if arguments.reader:
        return
    result = {
        "command": command_line("fuzz.run", arguments, leave_out=("reader",)),
        "seed": arguments.seed,
        "seconds": round(time.perf_counter() - began),
        "machine": describe_machine(),
        "readers": readers,
    }
    write_result(str(RESULTS / "fuzz_readers"), result, report(result))
    if any(each["faults"] for each in readers.values()):
        raise SystemExit("There are faults.")


def _kind(verdict: str) -> str:
    return verdict if verdict in ("refused", "accepted", "unchanged") else "fault"


def report(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    kinds = ("cases", "refused", "accepted", "unchanged", "fault")
    rows = {name: [each.get(kind, 0) for kind in kinds] for name, each in result["readers"].items()}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    lines = [
        "# Damaged files\n",
        f"`{result['command']}`, seed {result['seed']}, Python "
        f"{result['machine']['python']}. Each case is a valid file (real data where it was there) "
        "after one or two of: bit flips, noise, truncation, dropped, inserted or moved bytes, runs "
        "of zeros, extreme numbers in fields, odd words, changed lines and digits; PNG checksums "
        "are repaired in half of the cases. Refused: one sentence that names the file. Accepted: "
        "the value keeps the contract of a sample, as where a format has no checksum or the damage "
        "hits something without meaning. Fault: any other exception, a warning, a crash, over "
        f"{SECONDS} s or {MEMORY // 2**30} GiB.\n",
        "| reader | cases | refused | accepted | unchanged | faults |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)

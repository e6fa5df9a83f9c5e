"""Checkpoints: what is kept, where it can be restored, and that damage is never mistaken for it."""

import dataclasses
import gc
import json
import os
import re
import subprocess
import sys
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from depthsi.config import HIGHER_IS_BETTER, LOWER_IS_BETTER, Config, ScheduleConfig
from depthsi.config_json import to_dict
from depthsi.errors import DepthsiError, DepthsiWarning
from depthsi.metrics import METRICS
from depthsi.training.checkpoints.digests import digests
from depthsi.training.checkpoints.record import DamagedError, check_same_digests, describe
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.state import State

CONFIG = Config(schedule=ScheduleConfig(keep=2))
DEVICE = SingleDeviceSharding(jax.devices()[0])


def state(step=0, rows=8):
    """Every type that a state may hold; other numbers at every step."""
    rng = np.random.default_rng(step)
    kernel = jnp.asarray(rng.normal(size=(rows, 4)), jnp.float32)
    noise = jnp.asarray(rng.integers(0, 2**31, 500), jnp.int32)  # cannot be compressed
    return State(
        step=jnp.int32(step),
        params={"coarse": {"fc6": {"kernel": kernel, "bias": jnp.zeros(4)}}},
        opt_state={"mu": kernel.astype(jnp.bfloat16), "count": jnp.int32(step), "noise": noise},
        key=jax.random.key(step),
    )


ABSTRACT = jax.eval_shape(state)


def saved(directory, steps, config=CONFIG, scores=None):
    with Checkpoints(directory, config) as checkpoints:
        for step in steps:
            val = {} if scores is None else {config.schedule.best: scores[step]}
            checkpoints.save(step, state(step), "coarse", val)
    return directory


def as_bytes(tree):
    """Name, type and bits of every array."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        (str(path), str(leaf.dtype), np.asarray(jax.random.key_data(leaf)).tobytes())
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else (str(path), str(leaf.dtype), np.asarray(leaf).tobytes())
        for path, leaf in leaves
    ]


def kept(directory):
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())


@pytest.mark.slow
def test_the_state_comes_back_bit_for_bit(tmp_path):
    saved(tmp_path, [3])
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest == 3
        assert as_bytes(checkpoints.restore(3, ABSTRACT, DEVICE)) == as_bytes(state(3))


def test_the_record_says_what_it_is_of(tmp_path):
    saved(tmp_path, [3], scores={3: 0.25})
    with Checkpoints(tmp_path) as checkpoints:
        record = checkpoints.record(3)
    assert (record.step, record.stage, record.val) == (3, "coarse", {"rmse_log_si": 0.25})
    assert record.config == json.loads(json.dumps(to_dict(CONFIG)))
    kernel = record.arrays["params/coarse/fc6/kernel"]
    assert (kernel["shape"], kernel["dtype"]) == ([8, 4], "float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("best", "scores", "expected", "the_best"),
    [
        ("rmse_log_si", {1: 0.5, 2: 0.2, 3: 0.4, 4: 0.3, 5: 0.3}, [2, 4, 5], 2),
        ("d1", {1: 0.5, 2: 0.2, 3: 0.4, 4: 0.3, 5: 0.3}, [1, 4, 5], 1),
        ("rmse", {1: 0.2, 2: float("nan"), 3: 0.2, 4: 0.3, 5: 0.3}, [1, 4, 5], 1),
        ("rmse", {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.2, 5: 0.1}, [4, 5], 5),
    ],
)
def test_the_newest_and_the_best_are_kept(tmp_path, best, scores, expected, the_best):
    config = Config(schedule=ScheduleConfig(keep=2, best=best))
    saved(tmp_path, [1, 2, 3], config, scores)
    with Checkpoints(tmp_path, config) as checkpoints:  # a resumed run knows the scores again
        for step in (4, 5):
            checkpoints.save(step, state(step), "coarse", {best: scores[step]})
        assert checkpoints.best == the_best
        assert checkpoints.improves({best: -1.0}) != (best in HIGHER_IS_BETTER)
        assert not checkpoints.improves({best: scores[checkpoints.best]})
        assert not checkpoints.improves({})
    assert kept(tmp_path) == expected


@pytest.mark.parametrize("score", [None, float("nan"), float("inf")])
def test_without_a_number_there_is_no_best(tmp_path, score):
    """No checkpoint is kept for it, and the first number is an improvement."""
    scores = None if score is None else dict.fromkeys((1, 2, 3), score)
    saved(tmp_path, [1, 2, 3], scores=scores)
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        assert checkpoints.best is None
        assert checkpoints.improves({CONFIG.schedule.best: 1e9})
    assert kept(tmp_path) == [2, 3]


def test_the_names_of_the_best_are_those_of_the_evaluation():
    quality = set(METRICS) - {"scale_share"}  # which says what an error is made of
    assert sorted(LOWER_IS_BETTER + HIGHER_IS_BETTER) == sorted(quality)
    with pytest.raises(DepthsiError, match=r"schedule.best is 'accuracy'.*one of abs_rel, sq_rel"):
        ScheduleConfig(best="accuracy")


def test_saving_a_step_twice_does_nothing(tmp_path):
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        checkpoints.save(1, state(1), "coarse", {})
        checkpoints.save(1, state(2), "coarse", {})
    with Checkpoints(tmp_path) as checkpoints:
        assert as_bytes(checkpoints.restore(1, ABSTRACT, DEVICE)) == as_bytes(state(1))


@pytest.mark.slow
def test_it_restores_onto_other_devices_and_shardings(tmp_path):
    devices = np.array(jax.devices())
    pair, four = Mesh(devices[:2], ("model",)), Mesh(devices.reshape(2, 2), ("data", "model"))
    everywhere = NamedSharding(four, PartitionSpec())

    def split(mesh):
        """Kernels over "model", everything else everywhere."""
        return jax.tree.map(
            lambda leaf: NamedSharding(mesh, PartitionSpec(*["model"] * (leaf.ndim == 2))), ABSTRACT
        )

    placements = {"all": everywhere, "split": split(four), "pair": split(pair), "one": DEVICE}
    for name in ("all", "split"):
        placed = jax.device_put(state(7), placements[name])
        with Checkpoints(tmp_path / name, CONFIG) as checkpoints:
            checkpoints.save(7, placed, "coarse", {})
        with Checkpoints(tmp_path / name) as checkpoints:
            for shardings in placements.values():
                restored = checkpoints.restore(7, ABSTRACT, shardings)
                assert as_bytes(restored) == as_bytes(state(7))
                each = shardings
                if isinstance(each, State):
                    each = each.params["coarse"]["fc6"]["kernel"]
                assert restored.params["coarse"]["fc6"]["kernel"].sharding == each
            assert checkpoints.restore_newest(lambda _: ABSTRACT, lambda _: split(pair))


@pytest.mark.slow
def test_checksums_do_not_depend_on_the_devices_and_see_every_bit():
    mesh = Mesh(np.array(jax.devices()), ("model",))
    for spec in (PartitionSpec("model"), PartitionSpec(None, "model"), PartitionSpec()):
        array = jnp.arange(32.0).reshape(8, 4)
        placed = jax.device_put(array, NamedSharding(mesh, spec))
        assert digests({"a": placed}) == digests({"a": array})
    plain = digests(state(1))
    assert digests(jax.device_put(state(1), NamedSharding(mesh, PartitionSpec()))) == plain
    base = np.random.default_rng(0).integers(0, 2**32, (3, 5), np.uint32)
    sums = {tuple(*digests([jnp.asarray(base)]).values())}
    for place in np.ndindex(*base.shape):
        for bit in range(32):
            other = base.copy()
            other[place] ^= np.uint32(1 << bit)
            sums.add(tuple(*digests([jnp.asarray(other)]).values()))
    sums.add(tuple(*digests([jnp.asarray(base[::-1].copy())]).values()))  # another order
    sums.add(tuple(*digests([jnp.asarray(base ^ np.uint32(1 << 31))]).values()))
    assert len(sums) == 15 * 32 + 3


def oracle(words, seed=0x9E3779B9):
    """The checksums in Python's own integers."""

    def mix(x):
        x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
        x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
        return x ^ x >> 16

    first = second = 0
    start = seed * words.size  # the seed goes through one multiplication for each axis
    for number, word in enumerate(words.ravel().tolist()):
        place = (start + number) % 2**32
        mixed = mix(word ^ mix(place))
        first, second = first + mixed, second + mix(mixed ^ place)
    return [first % 2**32, second % 2**32]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(), (7,), (3, 5), (2, 3, 4)])
def test_checksums_stay_as_they_were_defined(shape):
    """Other sums would make every checkpoint saved before look damaged."""
    words = np.random.default_rng(1).integers(0, 2**32, shape, np.uint32)
    assert digests({"x": jnp.asarray(words)}) == {"x": oracle(words)}
    floats = words.view(np.float32) if shape else words
    assert digests({"x": jnp.asarray(floats)}) == {"x": oracle(words)}


def test_both_checksums_are_compared():
    arrays = {"x": jnp.arange(5.0)}
    check_same_digests(describe(arrays), arrays)
    for word in (0, 1):
        saved_as = describe(arrays)
        saved_as["x"]["digests"][word] ^= 1
        with pytest.raises(DamagedError, match="x does not match its checksum"):
            check_same_digests(saved_as, arrays)


def flip(file, position, bit):
    data = bytearray(file.read_bytes())
    data[position] ^= 1 << bit
    file.write_bytes(bytes(data))


@pytest.mark.slow
def test_a_flipped_bit_is_noticed_or_does_not_matter(tmp_path):
    saved(tmp_path, [4])
    rng, expected = np.random.default_rng(0), as_bytes(state(4))
    noticed = 0
    for file in sorted(path for path in (tmp_path / "4").rglob("*") if path.is_file()):
        whole = file.read_bytes()
        for position in np.unique(rng.integers(0, len(whole), 6)):
            flip(file, position, int(rng.integers(8)))
            try:
                with Checkpoints(tmp_path) as checkpoints:
                    assert as_bytes(checkpoints.restore(4, ABSTRACT, DEVICE)) == expected
            except DamagedError:
                noticed += 1
            file.write_bytes(whole)
    assert noticed > 20


@pytest.mark.slow
def test_a_flipped_bit_of_the_arrays_is_always_noticed(tmp_path):
    """There Orbax itself notices nothing."""
    saved(tmp_path, [4])
    files = [path for path in (tmp_path / "4").rglob("*") if path.is_file()]
    noise = np.asarray(state(4).opt_state["noise"]).tobytes()
    holder, start = next((f, at) for f in files if (at := f.read_bytes().find(noise)) >= 0)
    whole = holder.read_bytes()
    for position in range(start, start + len(noise), 97):
        flip(holder, position, position % 8)
        with (
            Checkpoints(tmp_path) as checkpoints,
            pytest.raises(DamagedError, match="opt_state/noise does not match its checksum"),
        ):
            checkpoints.restore(4, ABSTRACT, DEVICE)
        holder.write_bytes(whole)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["truncated", "emptied", "deleted", "garbage", "no record"])
def test_damage_of_every_file_falls_back_to_the_checkpoint_before(tmp_path, fault):
    saved(tmp_path, [1, 2])
    for file in sorted(path for path in (tmp_path / "2").rglob("*") if path.is_file()):
        whole = file.read_bytes()
        if fault == "deleted":
            file.unlink()
        elif fault == "no record":
            file.write_bytes(re.sub(rb'"crc32": \d+', b'"crc32": 1', whole))
        else:
            damaged = {"truncated": whole[: len(whole) // 2], "emptied": b"", "garbage": b"{" * 99}
            file.write_bytes(damaged[fault])
        with warnings.catch_warnings(record=True) as said, Checkpoints(tmp_path) as checkpoints:
            warnings.simplefilter("always")
            newest = checkpoints.newest_params(ABSTRACT.params)
        assert newest is not None
        params, step = newest
        assert as_bytes(params) == as_bytes(state(step).params)
        told = [str(each.message) for each in said if each.category is DepthsiWarning]
        assert bool(told) == (step == 1)
        file.write_bytes(whole)
    assert kept(tmp_path) == [1, 2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_damaged_checkpoint_is_moved_aside_and_its_step_saved_again(tmp_path):
    saved(tmp_path, [1, 2], scores={1: 0.5, 2: 0.1})
    for turn in ("damaged-2", "damaged-2-2"):
        (tmp_path / "2" / "params" / "manifest.ocdbt").write_bytes(b"")
        with Checkpoints(tmp_path, CONFIG) as checkpoints:
            words = r"step 2 is damaged, so the one of step 1 is used: .*" + turn
            with pytest.warns(DepthsiWarning, match=words):
                restored = checkpoints.restore_newest(lambda _: ABSTRACT, DEVICE)
            assert as_bytes(restored) == as_bytes(state(1))
            assert (checkpoints.latest, checkpoints.best) == (1, 1)
            checkpoints.save(2, state(2), "coarse", {"rmse_log_si": 0.1})
        assert (tmp_path / turn).is_dir()
        assert kept(tmp_path) == [1, 2]
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        restored = checkpoints.restore_newest(lambda _: ABSTRACT, DEVICE)
    assert as_bytes(restored) == as_bytes(state(2))


def test_a_checkpoint_in_the_place_of_another_is_noticed(tmp_path):
    saved(tmp_path, [1])
    (tmp_path / "1").rename(tmp_path / "2")
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(DamagedError, match="of step 1"):
        checkpoints.restore(2, ABSTRACT, DEVICE)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_whole_is_one_sentence(tmp_path):
    """What Orbax leaves half done is collected here, and not in a later test."""
    saved(tmp_path, [1])
    (tmp_path / "1" / "params" / "manifest.ocdbt").write_bytes(b"")
    with (
        Checkpoints(tmp_path, CONFIG) as checkpoints,
        pytest.warns(DepthsiWarning, match="and there is no earlier one"),
        pytest.raises(DepthsiError, match=r"All checkpoints in .* are damaged"),
    ):
        checkpoints.restore_newest(lambda _: ABSTRACT, DEVICE)
    gc.collect()


@pytest.mark.slow
def test_other_shapes_and_settings_are_named(tmp_path):
    saved(tmp_path, [1])
    with Checkpoints(tmp_path) as checkpoints:
        wide = jax.eval_shape(lambda: state(rows=9))
        words = (
            r"checkpoints?.*another architecture: coarse/fc6/kernel is \(8, 4\) there and \(9, 4\)"
        )
        with pytest.raises(DepthsiError, match=words.replace("checkpoints?", "checkpoint")):
            checkpoints.restore(1, wide, DEVICE)
        bare = ABSTRACT.replace(opt_state={})
        with pytest.raises(DepthsiError, match=r"another optimiser: opt_state/count is \(\) there"):
            checkpoints.restore(1, bare, DEVICE)
    other = dataclasses.replace(CONFIG, seed=5)
    with (
        Checkpoints(tmp_path, other) as checkpoints,
        pytest.raises(DepthsiError, match="started with seed = 0, not 5"),
    ):
        checkpoints.restore_newest(lambda _: ABSTRACT, DEVICE)
    assert kept(tmp_path) == [1]


def test_leftovers_of_a_killed_save_are_removed_by_the_next_training_alone(tmp_path):
    saved(tmp_path, [1])
    leftover = tmp_path / "3.orbax-checkpoint-tmp"
    leftover.mkdir()
    (leftover / "half").write_text("written")
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest == 1
    assert leftover.exists()
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        assert checkpoints.latest == 1
        checkpoints.save(2, state(2), "coarse", {})
    assert not leftover.exists()
    assert kept(tmp_path) == [1, 2]


REFUSED = """
import os, pathlib, sys
from pathlib import Path
from test_checkpoints import Checkpoints, Config, ScheduleConfig, state

def refuse(*_, **__):
    raise OSError(28, "No space left on device")

try:
    with Checkpoints(Path(sys.argv[1]), Config(schedule=ScheduleConfig(keep=1))) as checkpoints:
        pathlib.Path.mkdir = os.mkdir = os.makedirs = refuse
        checkpoints.save(2, state(2), "coarse", {})
        if sys.argv[2] == "True":
            checkpoints.wait()
except Exception as error:
    print(type(error).__name__, error, flush=True)
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("wait", [True, False])
def test_a_save_that_fails_leaves_the_one_before(wait, tmp_path):
    """With one checkpoint to keep, so that an early deletion would lose everything.

    In a process of its own, which does not end in order: Orbax's threads wait for five minutes.
    """
    saved(tmp_path, [1], Config(schedule=ScheduleConfig(keep=1)))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, tmp_path, str(wait)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = r"could not be written to .* \(No space left on device\); the one of step 1 is kept"
    assert re.match(f"DepthsiError .*{expected}", done.stdout), done.stdout + done.stderr
    assert kept(tmp_path) == [1]
    with Checkpoints(tmp_path) as checkpoints:
        assert as_bytes(checkpoints.restore(1, ABSTRACT, DEVICE)) == as_bytes(state(1))


@pytest.mark.slow
def test_saving_leaves_neither_files_open_nor_threads_running(tmp_path):
    """Three descriptors and a thread for each save would end a long run at a limit of 1024."""
    held = []
    with Checkpoints(tmp_path, CONFIG) as checkpoints:
        for step in range(1, 71):
            checkpoints.save(step, state(step), "coarse", {})
            if step in (10, 70):
                checkpoints.wait()
                held.append((len(os.listdir("/proc/self/fd")), threading.active_count()))
    (files, threads), (files_later, threads_later) = held
    assert abs(files_later - files) <= 3
    assert abs(threads_later - threads) <= 3

"""What travels: packed pairs, weights in half precision, and val as training data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from labelled_pairs import SPLITS, write_labelled_pairs

from depthsi.config import Config
from depthsi.data.folder.source import FolderSource
from depthsi.errors import DepthsiError
from depthsi.training.checkpoints.start_from_run import read_weights
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.state import State
from experiments.nyu_row import pack_pairs, small_weights
from experiments.nyu_row.merge_splits import with_val_for_training


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_labelled_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def packed(pairs, tmp_path_factory):
    file = tmp_path_factory.mktemp("packed") / "pairs.npz"
    pack_pairs.pack(str(pairs), str(file))
    return file


def files_of(root):
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_what_is_unpacked_is_what_was_packed(pairs, packed, tmp_path):
    pack_pairs.unpack(str(packed), str(tmp_path / "deep" / "pairs"))
    assert files_of(tmp_path / "deep" / "pairs") == files_of(pairs)
    for split, count in SPLITS.items():
        here, there = (FolderSource(root, split) for root in (pairs, tmp_path / "deep" / "pairs"))
        assert len(there) == count
        for one, other in zip(here, there, strict=True):
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.depth, other.depth)
    # done again, it is left alone
    (tmp_path / "deep" / "pairs" / "mine").touch()
    pack_pairs.main(["unpack", str(packed), str(tmp_path / "deep" / "pairs")])
    assert (tmp_path / "deep" / "pairs" / "mine").exists()


def test_some_splits_alone(pairs, tmp_path, capsys):
    file, root = str(tmp_path / "some.npz"), tmp_path / "some"
    pack_pairs.main(["pack", str(pairs), file, "--splits", "train", "val"])
    assert "MiB" in capsys.readouterr().out
    pack_pairs.unpack(file, str(root))
    assert FolderSource(root, "val").splits == {"train": 4, "val": 2}
    assert not [name for name in files_of(root) if "test" in name]
    with pytest.raises(DepthsiError, match="no split 'dev'"):
        pack_pairs.pack(str(pairs), file, ["dev"])
    with pytest.raises(DepthsiError, match=r"must end in \.npz"):
        pack_pairs.pack(str(pairs), str(tmp_path / "some.zip"))


def changed(packed, path, **arrays):
    with np.load(packed) as archive:
        np.savez(path, **dict(archive) | arrays)


DAMAGE = {
    "cut short": lambda old, new: new.write_bytes(old.read_bytes()[:-1000]),
    "a byte": lambda old, new: new.write_bytes(
        (data := old.read_bytes())[:5000] + bytes([data[5000] ^ 1]) + data[5001:]
    ),
    "empty": lambda old, new: new.write_bytes(b""),
    "another archive": lambda old, new: np.savez(new, a=np.zeros(3)),
    "too few files": lambda old, new: changed(old, new, rgb_ends=np.array([3])),
    "ends beyond": lambda old, new: changed(old, new, rgb_ends=np.arange(1, 9) * 10**9),
    "another type": lambda old, new: changed(old, new, rgb=np.zeros(4)),
    "objects": lambda old, new: changed(old, new, index=np.array([{}], object)),
    "no index": lambda old, new: changed(old, new, index=np.zeros(5, np.uint8)),
    "a path outside": lambda old, new: changed(
        old,
        new,
        index=np.frombuffer(
            b"rgb,depth,split,depth_units_per_metre\n"
            + b"".join(b"../%d.png,%d.png,train,1\n" % (i, i) for i in range(8)),
            np.uint8,
        ),
    ),
    "missing": lambda old, new: None,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_refused_in_one_sentence(packed, tmp_path, capsys, kind):
    file, place = tmp_path / "other.npz", tmp_path / "place"
    place.mkdir()
    DAMAGE[kind](packed, file)
    with pytest.raises(SystemExit) as stopped:
        pack_pairs.main(["unpack", str(file), str(place / "pairs")])
    printed = capsys.readouterr().err
    assert stopped.value.code == 2
    assert printed.startswith("pack_pairs: ")
    assert printed.count("\n") == 1
    assert not list(place.iterdir())


def test_val_is_trained_on_in_the_end(pairs, tmp_path):
    for _ in range(2):
        made = with_val_for_training(pairs, tmp_path / "made")
    assert FolderSource(made, "train").splits == {"train": 6, "test": 2}
    names = [f"rgb/{split}{i}.jpg" for split in ("train", "val") for i in range(SPLITS[split])]
    assert list(FolderSource(made, "train").names) == names
    with pytest.raises(DepthsiError, match="no split 'val'"):
        with_val_for_training(made, tmp_path / "again")


def test_weights_travel_in_half_precision_the_largest_stay(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"conv1": rng.normal(size=(3, 5)), "fc6": rng.normal(size=(30, 50))}
    params = {"coarse": {name: {"kernel": jnp.float32(each)} for name, each in arrays.items()}}
    with Checkpoints(tmp_path / "run" / "checkpoints", Config()) as checkpoints:
        checkpoints.save(7, State(jnp.int32(7), params, (), jax.random.key(0)), "coarse", {})
    file = str(tmp_path / "small.npz")
    said = small_weights.save_small(str(tmp_path / "run"), file, 2000)
    assert "1 arrays of step 7; left out: coarse/fc6/kernel." in said
    said = small_weights.save_small(str(tmp_path / "run"), file, 4000)
    assert "left out: nothing" in said
    for _ in range(2):
        weights, _ = read_weights(str(small_weights.as_run(file, tmp_path / "start")))
    for name, array in arrays.items():
        given = weights[f"coarse/{name}/kernel"]
        assert given.dtype == np.float32
        np.testing.assert_array_equal(given, array.astype(np.float32).astype(np.float16))
    with pytest.raises(DepthsiError, match="raise --most-mib"):
        small_weights.save_small(str(tmp_path / "run"), file, 10)

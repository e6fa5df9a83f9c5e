"""Files of weights: by the safetensors package and NumPy, with other arrays in them, hostile."""

import functools
import io
import json
import os
import struct
import time
import zipfile
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save

from depthsi.errors import DepthsiError
from depthsi.weights import arrays as weight_files
from depthsi.weights.arrays import read_arrays, write_safetensors


def everything(_):
    return True


def test_another_reader_finds_what_was_written(tmp_path):
    """Also of arrays that do not lie in memory as they are counted."""
    grid = np.arange(24).reshape(2, 3, 4) / 7
    arrays = {"b": grid.T, "a/kernel": grid[:, ::2], "c": np.float64(2.5), "d": np.zeros((0, 3))}
    write_safetensors(tmp_path / "w.safetensors", arrays)
    assert os.listdir(tmp_path) == ["w.safetensors"]
    for read in (load_file, lambda path: read_arrays(path, everything)):
        found = read(tmp_path / "w.safetensors")
        assert found.keys() == arrays.keys()
        for name, array in found.items():
            assert array.dtype == np.float32
            assert array.shape == np.shape(arrays[name])
            np.testing.assert_array_equal(array, np.float32(arrays[name]))


def test_what_is_not_wanted_is_not_looked_at(tmp_path):
    read = functools.partial(read_arrays, max_bytes=100)
    arrays = {
        "w": np.ones(25, np.float32),
        "half": np.ones(3, ml_dtypes.bfloat16),
        "step": np.ones(1, np.int64),
        "large": np.ones(26, np.float32),
    }
    half: dict[str, Any] = {**arrays, "half": np.ones(3, np.float16)}
    np.savez(tmp_path / "w.npz", **half)
    (tmp_path / "w.safetensors").write_bytes(save(arrays))
    for name, kind in (("w.npz", "<i8"), ("w.safetensors", "I64")):
        found = read(tmp_path / name, lambda name: name in ("w", "half"))
        assert {name: array.tolist() for name, array in found.items()} == {
            "w": [1.0] * 25,
            "half": [1.0] * 3,
        }
        with pytest.raises(DepthsiError, match=rf"{name} holds step as {kind}.*; save it as float"):
            read(tmp_path / name, lambda name: name == "step")
        with pytest.raises(DepthsiError, match=rf"{name} holds large.*over the 100"):
            read(tmp_path / name, lambda name: name == "large")


def test_bfloat16_becomes_float32_of_the_same_value(tmp_path):
    values = np.array([1.0, -2.5, 3.140625, 1e-40, 3e38, np.inf, -0.0]).astype(ml_dtypes.bfloat16)
    (tmp_path / "w.safetensors").write_bytes(save({"w": values}))
    found = read_arrays(tmp_path / "w.safetensors", everything)["w"]
    assert found.dtype == np.float32
    bits = np.frombuffer(values.tobytes(), "<u2").astype("<u4") << 16
    np.testing.assert_array_equal(found.view("<u4"), bits)


def safetensors_of(text, body=b""):
    return struct.pack("<Q", len(text)) + text + body


def described(shape, dtype="F32", places="[0,4]"):
    return f'{{"w":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":{places}}}}}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        safetensors_of(described("9" * 1_000_000), bytes(4)),
        safetensors_of(described("99999999999999999," * 60_000 + "1"), bytes(4)),
        safetensors_of(described("1," * 1_000_000 + "1"), bytes(4)),
        safetensors_of(described("0," * 1_000_000 + "1", places="[0,0]")),
        safetensors_of(b"[" * 4_000_000),
        safetensors_of(b'{"a":' * 800_000),
        safetensors_of(b" " * 50_000_000 + described("1"), bytes(4)),
        safetensors_of(described("4", dtype="F8_E4M3"), bytes(4)),
        safetensors_of(described("1", places="[4,8]"), bytes(8)),
        safetensors_of(described("1"), bytes(8)),
    ],
    ids=range(10),
)
def test_hostile_headers_are_refused_at_once(tmp_path, data):
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    began = time.perf_counter()
    with pytest.raises(DepthsiError, match=r"w\.safetensors (is damaged|holds w as F8)") as caught:
        read_arrays(path, everything)
    assert time.perf_counter() - began < 1
    assert len(str(caught.value)) < 1000


def test_many_names_are_read_in_a_moment(tmp_path):
    """As many as the longest header accepted can hold."""
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({f"{i:05}": entry for i in range(60_000)}, separators=(",", ":")).encode()
    assert weight_files.MAX_HEADER * 0.8 < len(text) < weight_files.MAX_HEADER
    (tmp_path / "w.safetensors").write_bytes(safetensors_of(text))
    began = time.perf_counter()
    assert read_arrays(tmp_path / "w.safetensors", lambda name: name == "00007").keys() == {"00007"}
    assert time.perf_counter() - began < 5


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    for name in ("w.safetensors", "w.npz"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DepthsiError, match=rf"{name} cannot be opened \(not a regular file"):
            read_arrays(tmp_path / name, everything)


def test_archives_with_other_members_and_twice_the_same(tmp_path):
    np.save(buffer := io.BytesIO(), np.ones(3, np.float32))
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("w.npy", buffer.getvalue())
        archive.writestr("readme.txt", b"text")
        archive.writestr("w", buffer.getvalue())
    assert read_arrays(tmp_path / "w.npz", lambda name: False) == {}
    with pytest.raises(DepthsiError, match=r"w\.npz is damaged .*w appears twice"):
        read_arrays(tmp_path / "w.npz", lambda name: name == "w")
    with pytest.raises(
        DepthsiError, match=r"w\.npz is damaged .*\(readme\.txt is not a NumPy array"
    ):
        read_arrays(tmp_path / "w.npz", lambda name: name == "readme.txt")

"""Files of a few bytes that declare, or unpack to, far more: one sentence, and no memory taken."""

import json
import struct
import tracemalloc
import zipfile
import zlib
from typing import Any

import h5py
import numpy as np
import OpenEXR
import pytest
from scipy import io as scipy_io
from test_cli import refusal
from test_portable_maps import pairs

from depthsi import files
from depthsi.data.formats import hdf5
from depthsi.data.formats.decoding import read_depth
from depthsi.data.formats.matlab import read_mat
from depthsi.datasets.nyu_fastdepth.data_set import read_pair
from depthsi.errors import DepthsiError
from depthsi.evaluation.map_files import open_predictions
from depthsi.weights.arrays import read_arrays

LITTLE = 2**29  # bytes that a refusal may take
SENTENCE = 2000  # characters that it may have


@pytest.fixture
def refused():
    """Checks that a reader refuses a file in a short sentence, and takes little memory."""

    def check(read, words):
        tracemalloc.start()
        try:
            with pytest.raises(DepthsiError, match=words) as caught:
                read()
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < LITTLE
        assert len(str(caught.value)) < SENTENCE

    return check


@pytest.mark.parametrize("chunks", [(1, 1), (1000, 1000), None])
def test_matlab_7_3_that_declares_298_gib(tmp_path, refused, chunks):
    with h5py.File(tmp_path / "bomb.mat", "w") as file:
        file.create_dataset("depths", (200_000, 200_000), "f8", chunks=chunks)
    words = r"bomb\.mat: 'depths' takes 320000000000 bytes, more than the 4294967296 accepted"
    refused(lambda: read_mat(tmp_path / "bomb.mat"), words)


def test_matlab_7_3_that_would_fit_the_memory(tmp_path, refused):
    with h5py.File(tmp_path / "bomb.mat", "w") as file:
        file.create_dataset("depths", (20_000, 20_000), "f8", chunks=(100, 100))
    words = r"takes 3200000000 bytes, but the file has only \d+, which is not accepted"
    refused(lambda: read_mat(tmp_path / "bomb.mat"), words)


def test_hdf5_in_a_million_pieces(tmp_path, refused):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file.create_dataset("depths", (2000, 2000), "f4", chunks=(1, 1))
    words = r"a\.mat: 'depths' is stored in over 1048576 pieces; save it in fewer"
    refused(lambda: read_mat(tmp_path / "a.mat"), words)


def test_hdf5_of_a_data_set(tmp_path, refused):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("rgb", (3, 9000, 9000), "u1", chunks=(1, 100, 100))
        file.create_dataset("depth", (9000, 9000), "f4", chunks=(100, 100))
    refused(lambda: read_pair(tmp_path / "a.h5"), r"a\.h5: 'rgb' takes 243000000 bytes, but the f")


def test_what_a_file_may_unpack_to():
    assert files.most_unpacked(0) == 2**26
    assert files.most_unpacked(2**33) == 2**32
    assert files.most_unpacked(300 * 2**20) > 654 * 480 * 640 * 8  # Eigen's predictions, packed


def mat_5(*elements):
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"".join(elements)


def element(kind, content, size=None):
    return struct.pack("<II", kind, len(content) if size is None else size) + content


def matrix(rows, cols, numbers, size=None):
    """A double array called a of the declared size, with the element `numbers`."""
    parts = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<ii", rows, cols))
    return element(14, parts + element(1, b"a".ljust(8, b"\0"), 1) + numbers, size)


def test_matlab_5_that_declares_too_much(tmp_path, refused):
    path = tmp_path / "a.mat"
    path.write_bytes(mat_5(matrix(2, 2, element(9, np.arange(4.0).tobytes()))))
    np.testing.assert_array_equal(read_mat(path), [[0, 2], [1, 3]])
    path.write_bytes(mat_5(matrix(200_000, 200_000, element(9, bytes(32)))))
    refused(lambda: read_mat(path), "'a' takes 320000000000 bytes, more than the 4294967296")
    path.write_bytes(mat_5(matrix(20_000, 20_000, element(9, bytes(32)))))
    refused(lambda: read_mat(path), "'a' takes 3200000000 bytes, but the file has only")
    path.write_bytes(mat_5(*[element(14, b"")] * 70_000))
    refused(lambda: read_mat(path), "over 65536 elements")
    scipy_io.savemat(tmp_path / "four.mat", {"a": np.ones((2, 2))}, format="4")
    data = bytearray((tmp_path / "four.mat").read_bytes())
    data[4:12] = struct.pack("<ii", 200_000, 200_000)
    path.write_bytes(data)
    refused(lambda: read_mat(path), "'a' takes 320000000000 bytes")


def test_matlab_5_that_unpacks_to_too_much(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(files, "FREE_BYTES", 2**16)
    path = tmp_path / "a.mat"
    inside = matrix(2, 2, element(9, bytes(10**7)))
    path.write_bytes(mat_5(element(15, zlib.compress(inside))))
    refused(lambda: read_mat(path), r"'a' takes \d+ bytes, but the file has only")


def npy(shape, values=b""):
    header = str({"descr": "<f8", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + values


def archive(path, name, data, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as file:
        file.writestr(name, data)
    return path


def test_npz_and_npy_of_predictions(tmp_path, refused):
    names = ["0", "1"]
    path = archive(tmp_path / "a.npz", "maps.npy", npy((2, 200_000, 100_000)))
    refused(lambda: open_predictions(path, names), "holds maps as <f8 .* over the 4294967296 byt")
    archive(path, "maps.npy", npy((2, 10_000, 20_000), bytes(100)))
    refused(lambda: open_predictions(path, names), "has 100 bytes of values, not 3200000000")
    archive(path, "maps.npy", npy((2, 3000, 2000), bytes(96_000_000)))
    refused(lambda: open_predictions(path, names), r"takes \d+ bytes, but the file has only")
    (tmp_path / "a.npy").write_bytes(npy((2, 200_000, 100_000)))
    refused(lambda: open_predictions(tmp_path / "a.npy", names), r"a\.npy is damaged")


def test_npz_of_one_depth_map(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(files, "FREE_PIXELS", 2**12)
    values = npy((1000, 800), bytes(6_400_000))
    path = archive(tmp_path / "a.npz", "depth.npy", values, zipfile.ZIP_BZIP2)
    refused(lambda: read_depth(path), r"a\.npz unpacks to over \d+ bytes; reduce it")


def test_exr_of_a_few_bytes(tmp_path, refused):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": np.ones((4, 4), np.float32)}).write(str(tmp_path / "a.exr"))
    data = (tmp_path / "a.exr").read_bytes()
    corner, far = struct.pack("<iiii", 0, 0, 3, 3), struct.pack("<iiii", 0, 0, 4199, 4199)
    assert data.count(corner) == 2
    (tmp_path / "a.exr").write_bytes(data.replace(corner, far))
    refused(lambda: read_depth(tmp_path / "a.exr"), r"has 4200x4200 pixels in only \d+ bytes")


def test_weights_with_a_shape_of_a_megabyte(tmp_path, refused):
    entry = {"dtype": "F32", "shape": [1] * 400_000, "data_offsets": [0, 4]}
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    refused(lambda: read_arrays(path, lambda _: True), r"w\.safetensors")
    digits = header.replace(b"[1, ", b"[" + b"9" * 10**6 + b", ", 1)
    path.write_bytes(len(digits).to_bytes(8, "little") + digits + bytes(4))
    refused(lambda: read_arrays(path, lambda _: True), r"w\.safetensors is damaged")


def test_many_names_in_a_file_make_no_long_sentence(tmp_path, refused):
    arrays: Any = {f"{i:0100d}": np.ones((2, 2)) for i in range(300)}
    np.savez(tmp_path / "a.npz", **arrays)
    refused(lambda: read_depth(tmp_path / "a.npz"), "call the depth 'depth'")
    refused(lambda: open_predictions(tmp_path / "a.npz", ["0"]), "select one with --variable")
    with h5py.File(tmp_path / "a.mat", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    refused(lambda: read_mat(tmp_path / "a.mat"), "select one with --variable")
    refused(lambda: read_mat(tmp_path / "a.mat", "x"), "no array 'x' of numbers")
    with hdf5.open_hdf5(tmp_path / "a.mat") as file:
        refused(lambda: hdf5.array_in(file, "x", "f8", 2), "has no dataset 'x'")


def test_the_command_line_says_it_in_one_sentence(tmp_path, capsys):
    pairs(tmp_path / "pairs")
    with h5py.File(tmp_path / "bomb.mat", "w") as file:
        file.create_dataset("depths", (200_000, 200_000), "f8", chunks=(1, 1))
    error = refusal(capsys, "evaluate", tmp_path / "bomb.mat", "--data", tmp_path / "pairs")
    assert "'depths' takes 320000000000 bytes" in error

"""MATLAB files of versions 4 and 5: the project's reader against SciPy's, and damaged files."""

import contextlib
import itertools
import struct
import zlib

import numpy as np
import pytest
from scipy import io as scipy_io
from test_hostile_sizes import element, mat_5, matrix

from depthsi.data.formats import matlab_old
from depthsi.data.formats.matlab import read_mat
from depthsi.errors import DepthsiError

KINDS = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


def numbers(shape, kind, seed=0):
    rng = np.random.default_rng(seed)
    if kind.startswith("f"):
        return rng.normal(size=shape).astype(kind)
    return rng.integers(0, np.iinfo(kind).max, shape, endpoint=True, dtype=kind)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_version_5_as_scipy_reads_it(tmp_path, kind, packed):
    path = tmp_path / "a.mat"
    for shape in [(3, 5), (1, 1), (2, 1), (4, 3, 2), (60, 70, 3)]:
        array = numbers(shape, kind)
        scipy_io.savemat(path, {"depths": array}, do_compression=packed)
        read = read_mat(path)
        expected = scipy_io.loadmat(path)["depths"]
        assert read.dtype == expected.dtype == np.dtype(kind)
        np.testing.assert_array_equal(read, expected)
        np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("kind", ["f8", "f4", "i4", "i2", "u2", "u1"])
def test_version_4_as_scipy_reads_it(tmp_path, kind):
    path = tmp_path / "a.mat"
    arrays = {"first": numbers((3, 5), kind), "second": numbers((7, 2), kind, 1)}
    scipy_io.savemat(path, arrays | {"text": "not numbers", "c": np.ones(2) * 1j}, format="4")
    for name, array in arrays.items():
        read = read_mat(path, name)
        assert read.dtype == scipy_io.loadmat(path)[name].dtype == np.dtype(kind)
        np.testing.assert_array_equal(read, array)
    with pytest.raises(DepthsiError, match="it has first, second: select one with --variable"):
        read_mat(path)


@pytest.mark.parametrize("packed", [False, True])
def test_everything_else_in_a_file_is_left_alone(tmp_path, packed):
    path = tmp_path / "a.mat"
    others = {
        "text": "words",
        "complex": np.ones((2, 2)) * 1j,
        "logical": np.ones((2, 2), bool),
        "cell": np.array([[np.ones(2), "x"]], object),
        "struct": {"a": np.ones((2, 2))},
        "four": np.ones((2, 2, 2, 2)),
    }
    array = numbers((5, 4), "f4")
    scipy_io.savemat(path, others | {"depths": array}, do_compression=packed)
    np.testing.assert_array_equal(read_mat(path), array)
    del others["four"]
    with pytest.raises(DepthsiError, match="no array 'text' of numbers; it has depths"):
        read_mat(path, "text")


def test_big_endian_and_numbers_stored_narrower_than_they_are(tmp_path):
    """MATLAB stores doubles that are whole as bytes."""
    path = tmp_path / "a.mat"
    path.write_bytes(mat_5(matrix(2, 2, element(2, bytes([1, 2, 3, 4, 0, 0, 0, 0]), 4))))
    np.testing.assert_array_equal(read_mat(path), scipy_io.loadmat(path)["a"])
    small = struct.pack("<HH", 2, 4) + bytes([1, 2, 3, 4])
    path.write_bytes(mat_5(matrix(2, 2, small)))
    read = read_mat(path)
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, [[1, 3], [2, 4]])
    parts = [(6, ">II", (6, 0)), (5, ">ii", (1, 2)), (1, ">8s", (b"a" * 8,)), (9, ">2d", (3, 4))]
    body = b"".join(
        struct.pack(">II", kind, struct.calcsize(form)) + struct.pack(form, *values)
        for kind, form, values in parts
    )
    header = b"MATLAB".ljust(124) + b"\1\0MI"
    path.write_bytes(header + struct.pack(">II", 14, len(body)) + body)
    np.testing.assert_array_equal(read_mat(path), [[3, 4]])
    np.testing.assert_array_equal(scipy_io.loadmat(path)["aaaaaaaa"], [[3, 4]])


def test_every_cut_and_many_changed_bytes_are_refused_or_read(tmp_path):
    """SciPy's reader crashed on one in some hundred such files."""
    path = tmp_path / "a.mat"
    array = numbers((6, 5), "f4")
    accepted = 0
    for packed, version in [(False, "5"), (True, "5"), (False, "4")]:
        scipy_io.savemat(path, {"depths": array}, do_compression=packed, format=version)
        whole = path.read_bytes()
        cuts = [whole[:length] for length in range(0, len(whole), 3)]
        changes = [
            whole[:place] + bytes([value]) + whole[place + 1 :]
            for place, value in itertools.product(range(0, len(whole), 2), (0, 0x7F, 0xFF))
        ]
        for data in [*cuts, *changes]:
            path.write_bytes(data)
            with contextlib.suppress(DepthsiError):
                assert read_mat(path).ndim in (2, 3)
                accepted += 1
    assert 0 < accepted < 1000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"text that is no MATLAB file" * 9, "no header of MATLAB's"),
        (mat_5(matrix(-2, 2, element(9, bytes(32)))), "an array of an impossible size"),
        (mat_5(matrix(2, 2, element(9, bytes(31), 31))), "buffer size must be a multiple"),
        (mat_5(matrix(2, 3, element(9, bytes(32)))), "cannot reshape"),
        (mat_5(matrix(2, 2, b"")), "a has no values"),
        (mat_5(matrix(2, 2, element(9, bytes(32)), 2**31)), "an element that is cut short"),
        (mat_5(element(15, zlib.compress(matrix(2, 2, element(9, bytes(32))))[:-5])), "is missing"),
    ],
)
def test_damage_is_named(tmp_path, data, words):
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DepthsiError, match=rf"a\.mat is damaged or cut short .*{words}"):
        read_mat(tmp_path / "a.mat")


def test_names_that_are_none_are_passed_over(tmp_path):
    data = mat_5(matrix(2, 2, element(9, bytes(32)))).replace(b"a\0", b"\n\0")
    assert matlab_old.stored_arrays(data) == []
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DepthsiError, match="it has none"):
        read_mat(tmp_path / "a.mat")

"""A folder of pairs with index.csv as one file, and back, byte for byte.

Question:  how do 2500 small files get to a machine that takes few, and nothing else?
Command:   python -m experiments.nyu_row.pack_pairs pack ../shared/data/nyu_labelled PAIRS.npz
           there: python -m experiments.nyu_row.pack_pairs unpack PAIRS.npz build/nyu_pairs
Time:      seconds.
Result:    51 MiB for the 1287 labelled pairs of NYU Depth v2, 32 MiB with --splits train val. Such
           a file is real data: keep it where git ignores it, as in build/.

The file is an .npz archive of bytes and numbers, which is read without unpickling anything: `index`
(the text of index.csv), and for both columns of files, `rgb` and `depth`, the files' bytes one
after the other and where each ends.
"""

import argparse
import csv
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depthsi.data.folder.index import read_index
from depthsi.errors import DepthsiError
from depthsi.files import contents, decoding, write_bytes
from experiments.nyu_row.plain_errors import plain_errors

INDEX = "index.csv"
COLUMNS = ("rgb", "depth")
MEMBERS = {
    "index": "uint8",
    "rgb": "uint8",
    "rgb_ends": "int64",
    "depth": "uint8",
    "depth_ends": "int64",
}


def pack(root: str, file: str, splits: Sequence[str] = ()) -> None:
    """Writes the index of the folder `root`, and the files it names, into `file`.

    Args:
      root: folder with index.csv.
      file: whole or not at all; ends in .npz.
      splits: only these; all if empty.

    Raises:
      DepthsiError: another ending, an index or a file that cannot be read, a split of no pairs.
    """
    if Path(file).suffix != ".npz":
        raise DepthsiError(f"{file} must end in .npz: name the packed file so.")
    read_index(Path(root) / INDEX)  # refuses what no source could read
    index = contents(Path(root) / INDEX)
    names, rows = _table(index.decode())
    if missing := sorted(set(splits) - {row["split"] for row in rows}):
        raise DepthsiError(f"{root} has no split {missing[0]!r}: leave it out of --splits.")
    if splits:
        rows = [row for row in rows if row["split"] in splits]
        index = _text(names, rows).encode()
    arrays: dict[str, Any] = {"index": _bytes(index)}
    for column in COLUMNS:
        parts = [contents(Path(root) / row[column]) for row in rows]
        arrays[column] = _bytes(b"".join(parts))
        arrays[f"{column}_ends"] = np.cumsum([len(part) for part in parts], dtype=np.int64)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(Path(file), buffer.getvalue())


def unpack(file: str, root: str) -> None:
    """Makes the folder that `pack` was given, or its splits; nothing if it cannot make all of it.

    A folder that is there already is left as it is.

    Raises:
      DepthsiError: the file is missing, damaged, cut short, or not one that `pack` wrote.
    """
    if Path(root, INDEX).exists():
        return
    data = contents(file)
    with decoding(file):
        arrays = _read(data)
        index = arrays["index"].tobytes()
        _, rows = _table(index.decode())
        files = {}
        for column in COLUMNS:
            ends = [0, *arrays[f"{column}_ends"].tolist()]
            body = arrays[column].tobytes()
            if len(ends) != len(rows) + 1 or ends[-1] != len(body) or ends != sorted(ends):
                raise ValueError(f"the files of column {column} do not fit its index")
            for i, row in enumerate(rows):
                files[row[column]] = body[ends[i] : ends[i + 1]]
    Path(root).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=Path(root).parent) as made:
        folder = Path(made, "pairs")
        folder.mkdir()
        write_bytes(folder / INDEX, index)
        read_index(folder / INDEX)  # no path in it leads out of the folder
        for name, body in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(body)
        os.replace(folder, root)


def _read(data: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        if sorted(archive.files) != sorted(MEMBERS):
            raise ValueError(f"it holds {', '.join(archive.files) or 'nothing'}")
        arrays = {name: archive[name] for name in MEMBERS}
    for name, array in arrays.items():
        if array.dtype != MEMBERS[name] or array.ndim != 1:
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    return arrays


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


def _table(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of an index, and its rows as they stand there."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    return names, [{name: value.strip() for name, value in row.items()} for row in reader]


def _text(names: Sequence[str], rows: Sequence[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def main(words: Sequence[str] | None = None) -> None:
    parser: Any = argparse.ArgumentParser(description="A folder of pairs as one file, and back.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack", help="folder -> file")
    packing.add_argument("root", help="folder with index.csv")
    packing.add_argument("file", help="file to write, .npz")
    packing.add_argument("--splits", nargs="+", default=[], help="only these; all by default")
    unpacking = verbs.add_parser("unpack", help="file -> folder")
    unpacking.add_argument("file", help="what pack wrote")
    unpacking.add_argument("root", help="folder to make; nothing is done if it is there")
    arguments = parser.parse_args(words)
    with plain_errors("pack_pairs"):
        if arguments.verb == "pack":
            pack(arguments.root, arguments.file, arguments.splits)
            print(f"{arguments.file}: {Path(arguments.file).stat().st_size / 2**20:.1f} MiB")
        else:
            unpack(arguments.file, arguments.root)


if __name__ == "__main__":
    main()

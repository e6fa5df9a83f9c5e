"""Every reader of files, with valid files to damage, for `run.py`.

Files are real ones where `../shared/data` has them, else written in exactly the published layout.
"""

import dataclasses
import io
import itertools
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from depthsi.data.formats.decoding import read_depth, read_image
from depthsi.data.samples import Sample, validate_sample

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SIZE = (24, 32)


@dataclasses.dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
      write: puts valid files into a folder and returns those to be damaged.
      read: reads the damaged file, given also its folder, and checks what comes out: raises
        DepthsiError to refuse it, anything else is a fault.
    """

    write: Callable[[Path], Sequence[Path]]
    read: Callable[[Path, Path], None]


def depth_values() -> np.ndarray:
    """uint16 millimetres, a tenth missing."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    values = 1500 + 40 * rows + 20 * cols + rng.integers(0, 9, SIZE)
    return np.where(rng.random(SIZE) < 0.1, 0, values).astype(np.uint16)


def picture() -> np.ndarray:
    """uint8 RGB."""
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [120 + 60 * np.sin(rows / (9 + c)) + 50 * np.cos(cols / (7 + c)) for c in range(3)]
    return np.stack(waves, -1).clip(0, 255).astype(np.uint8)


def metres() -> np.ndarray:
    """float32."""
    return (depth_values() / 1000).astype(np.float32)


def check_image(image: np.ndarray) -> None:
    """Fails unless the picture can be half of a sample."""
    validate_sample(Sample(image, np.ones(image.shape[:2], np.float32), "picture"))


def check_depth(depth: np.ndarray, file: Path) -> None:
    """Fails, or refuses the file, unless the depth can be half of a sample; 0 = missing."""
    assert np.isfinite(depth).all(), "not finite"
    assert (depth >= 0).all(), "negative"
    validate_sample(Sample(np.zeros((*depth.shape, 3), np.uint8), depth, str(file)))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def real(folder: Path, *names: str) -> list[Path]:
    """Copies of real files, as many as there are."""
    found = [SHARED / name for name in names if (SHARED / name).is_file()]
    return [Path(shutil.copyfile(file, folder / file.name)) for file in found]


def encoded(array: np.ndarray, kind: str, **options: object) -> bytes:
    Image.fromarray(array).save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def write_jpeg(folder: Path) -> list[Path]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 3, "maker"
    return [
        written(folder / "plain.jpg", encoded(picture(), "JPEG", exif=exif)),
        written(folder / "progressive.jpg", encoded(picture(), "JPEG", progressive=True)),
        written(folder / "grey.jpg", encoded(picture()[..., 0], "JPEG")),
        *real(folder, "nyu_labelled/rgb/0001.jpg", "kitti_samples/rgb/kh000000.jpg"),
    ]


def write_png(folder: Path) -> list[Path]:
    opaque = np.full((*SIZE, 1), 255, np.uint8)
    Image.fromarray(picture()[..., 0]).quantize(64).save(folder / "palette.png")
    return [
        folder / "palette.png",
        written(folder / "rgb.png", encoded(picture(), "PNG")),
        written(folder / "rgba.png", encoded(np.concatenate([picture(), opaque], -1), "PNG")),
        *real(folder, "kitti_velodyne/000003.png"),
    ]


def write_depth_png(folder: Path) -> list[Path]:
    return [
        written(folder / "depth.png", encoded(depth_values(), "PNG")),
        *real(folder, "nyu_labelled/depth/0001.png", "kitti_samples/depth/kh000000.png"),
    ]


def write_npy(folder: Path) -> list[Path]:
    arrays = {"c": metres(), "f": np.asfortranarray(metres()), "d": metres().astype(">f8")}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "counts.npy", depth_values())
    return [folder / f"{name}.npy" for name in (*arrays, "counts")]


def write_npz(folder: Path) -> list[Path]:
    np.savez(folder / "plain.npz", depth=metres(), other=np.arange(3))
    np.savez_compressed(folder / "packed.npz", metres())
    np.save(buffer := io.BytesIO(), metres())
    with zipfile.ZipFile(folder / "bzip.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("depth.npy", buffer.getvalue())
    return [folder / name for name in ("plain.npz", "packed.npz", "bzip.npz")]


def write_tiff(folder: Path) -> list[Path]:
    kinds = {"none": None, "lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate"}
    return [
        written(folder / f"{name}{kind}.tiff", encoded(array, "TIFF", compression=compression))
        for name, array in (("u", depth_values()), ("f", metres()))
        for kind, compression in kinds.items()
    ]


def exr_bytes(depth: np.ndarray, compression: int, *, dtype: str = "<f4") -> bytes:
    """An EXR file with the channel Z; `compression` is 0 (none), 2 (ZIPS) or 3 (ZIP)."""
    height, width = depth.shape

    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value

    pixel_type = {"<f2": 1, "<f4": 2}[dtype]
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = b"\x76\x2f\x31\x01\x02\0\0\0" + b"".join(
        [
            attribute(
                "channels", "chlist", b"Z\0" + struct.pack("<4i", pixel_type, 0, 1, 1) + b"\0"
            ),
            attribute("compression", "compression", bytes([compression])),
            attribute("dataWindow", "box2i", window),
            attribute("displayWindow", "box2i", window),
            attribute("lineOrder", "lineOrder", b"\0"),
            attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
            attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
            attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
            b"\0",
        ]
    )
    step = 16 if compression == 3 else 1
    blocks = []
    for row in range(0, height, step):
        plain = depth[row : row + step].astype(dtype).tobytes()
        blocks.append(struct.pack("<i", row) + _exr_block(plain, compression))
    start, places = len(head) + 8 * len(blocks), []
    for block in blocks:
        places.append(start)
        start += len(block)
    return head + struct.pack(f"<{len(places)}Q", *places) + b"".join(blocks)


def _exr_block(plain: bytes, compression: int) -> bytes:
    if compression:
        halves = plain[0::2] + plain[1::2]
        steps = [
            halves[0],
            *((b - a + 384) % 256 for a, b in itertools.pairwise(halves)),
        ]
        packed = zlib.compress(bytes(steps))
        plain = packed if len(packed) < len(plain) else plain
    return struct.pack("<i", len(plain)) + plain


def write_exr(folder: Path) -> list[Path]:
    return [
        written(folder / f"{name}.exr", exr_bytes(metres(), compression, dtype=dtype))
        for name, compression, dtype in (
            ("none", 0, "<f4"),
            ("zips", 2, "<f4"),
            ("zip", 3, "<f4"),
            ("half", 3, "<f2"),
        )
    ]


def write_folder(folder: Path) -> list[Path]:
    for name in "abc":
        written(folder / f"{name}.jpg", encoded(picture(), "JPEG"))
        written(folder / f"{name}.png", encoded(depth_values(), "PNG"))
    lines = [
        "rgb,depth,split,depth_units_per_metre,scene",
        "a.jpg,a.png,train,1000,hall",
        "b.jpg,b.png,test,1000,attic",
        '"c.jpg",c.png,train,1000,"hall, north"',
    ]
    return [written(folder / "index.csv", "\n".join(lines).encode())]


def read_folder(folder: Path, _: Path) -> None:
    from depthsi.data.folder.source import FolderSource

    for sample in FolderSource(folder, "all", units_per_metre=1000):
        validate_sample(sample)


def write_run(folder: Path) -> list[Path]:
    from depthsi.presets import tiny
    from depthsi.runs import RunDirectory

    RunDirectory(folder).create(tiny())
    RunDirectory(folder).save_mean_depth(metres())
    return [folder / "config.json", folder / "mean_depth.npy"]


def read_run(folder: Path, _: Path) -> None:
    from depthsi.config import Config
    from depthsi.runs import RunDirectory

    run = RunDirectory(folder)
    assert isinstance(run.config(), Config)
    json.dumps(dataclasses.asdict(run.config()), allow_nan=True)
    run.mean_depth()


TARGETS: dict[str, Target] = {
    "JPEG picture": Target(write_jpeg, lambda _, file: check_image(read_image(file))),
    "PNG picture": Target(write_png, lambda _, file: check_image(read_image(file))),
    "PNG depth": Target(write_depth_png, lambda _, file: check_depth(read_depth(file, 1000), file)),
    "npy depth": Target(
        write_npy, lambda _, file: check_depth(read_depth(file, assumed=1000), file)
    ),
    "npz depth": Target(
        write_npz, lambda _, file: check_depth(read_depth(file, assumed=1000), file)
    ),
    "TIFF depth": Target(
        write_tiff, lambda _, file: check_depth(read_depth(file, assumed=1000), file)
    ),
    "EXR depth": Target(write_exr, lambda _, file: check_depth(read_depth(file), file)),
    "folder's index.csv": Target(write_folder, read_folder),
    "run's config.json and mean": Target(write_run, read_run),
}

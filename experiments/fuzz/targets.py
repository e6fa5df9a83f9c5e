"""Every reader of files, with valid files to damage, for `run.py`.

Files are real ones where `../shared/data` has them, else written in exactly the published layout.
"""

import dataclasses
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors.numpy
from PIL import Image

from depthsi.data.formats.decoding import read_depth, read_image
from depthsi.data.formats.exr import COMPRESSIONS
from depthsi.data.formats.matlab import read_mat
from depthsi.data.samples import Sample, validate_sample
from depthsi.training.checkpoints.weight_files import read_arrays

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


def write_other_pictures(folder: Path) -> list[Path]:
    alpha = np.concatenate([picture(), picture()[..., :1]], -1)
    Image.fromarray(picture()).convert("CMYK").save(folder / "cmyk.jpg")
    return [
        folder / "cmyk.jpg",
        written(folder / "deep.png", encoded(depth_values(), "PNG")),
        written(folder / "alpha.png", encoded(alpha, "PNG")),
        written(folder / "plain.webp", encoded(picture(), "WEBP")),
        written(folder / "lossless.webp", encoded(alpha, "WEBP", lossless=True)),
        written(folder / "rgb.bmp", encoded(picture(), "BMP")),
        written(folder / "grey.bmp", encoded(picture()[..., 0], "BMP")),
        written(folder / "rgb.tiff", encoded(picture(), "TIFF")),
        written(folder / "lzw.tiff", encoded(alpha, "TIFF", compression="tiff_lzw")),
        written(folder / "jpeg.tiff", encoded(picture(), "TIFF", compression="jpeg")),
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


def write_exr(folder: Path) -> list[Path]:
    import OpenEXR

    def header(compression: str) -> dict[str, object]:
        return {"compression": getattr(OpenEXR, f"{compression}_COMPRESSION")}

    depth = metres()
    for kind in COMPRESSIONS:
        scan_lines = header(kind) | {"type": OpenEXR.scanlineimage}
        OpenEXR.File(scan_lines, {"Z": depth}).write(str(folder / f"{kind}.exr"))
    tile = OpenEXR.TileDescription()
    tile.xSize = tile.ySize = 16
    tiles = header("ZIP") | {"type": OpenEXR.tiledimage, "tiles": tile}
    layers = {"Depth.Z": depth.astype(np.float16), "R": depth}
    OpenEXR.File(tiles, layers).write(str(folder / "tiles.exr"))
    parts = [OpenEXR.Part(header("ZIP"), {name: depth}, name) for name in ("Z", "Y")]
    OpenEXR.File(parts).write(str(folder / "parts.exr"))
    return [folder / f"{name}.exr" for name in (*COMPRESSIONS, "tiles", "parts")]


def write_portable_maps(folder: Path) -> list[Path]:
    height, width = SIZE
    size = b"%d %d" % (width, height)
    counts, floats = depth_values(), metres()[::-1]
    return [
        written(folder / "little.pfm", b"Pf\n" + size + b"\n-1\n" + floats.astype("<f4").tobytes()),
        written(folder / "big.pfm", b"Pf " + size + b" 1.0\n" + floats.astype(">f4").tobytes()),
        written(
            folder / "depth.pgm",
            b"P5\n# depth\n" + size + b"\n65535\n" + counts.astype(">u2").tobytes(),
        ),
        written(folder / "small.pgm", b"P5 " + size + b" 3200 " + counts.astype(">u2").tobytes()),
    ]


def write_weights(folder: Path) -> list[Path]:
    arrays = {"conv1.weight": metres(), "conv1.bias": metres()[0]}
    small = {name: array.astype(ml_dtypes.bfloat16) for name, array in arrays.items()}
    np.savez(folder / "weights.npz", **arrays)
    return [
        folder / "weights.npz",
        written(folder / "weights.safetensors", safetensors.numpy.save(arrays)),
        written(folder / "small.safetensors", safetensors.numpy.save(small)),
    ]


def write_matlab(folder: Path) -> list[Path]:
    import h5py
    from scipy import io as scipy_io

    maps = {"depths": np.stack([metres()] * 3, -1)}
    scipy_io.savemat(folder / "plain.mat", maps)
    scipy_io.savemat(folder / "packed.mat", maps, do_compression=True)
    scipy_io.savemat(folder / "four.mat", {"depths": metres()}, format="4")
    with h5py.File(folder / "new.mat", "w") as file:
        file.create_dataset("depths", data=maps["depths"].T, chunks=(1, 8, 8), compression="gzip")
    return [folder / f"{name}.mat" for name in ("plain", "packed", "four", "new")]


def read_matlab(_: Path, file: Path) -> None:
    array = read_mat(file)
    assert array.dtype.kind in "fiu", array.dtype
    assert array.ndim in (2, 3), array.shape


def read_weights(_: Path, file: Path) -> None:
    for array in read_arrays(file, lambda name: True).values():
        assert array.dtype.kind == "f", array.dtype


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
    "other pictures": Target(
        write_other_pictures, lambda _, file: check_image(read_image(file, exif=True))
    ),
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
    "PFM and PGM depth": Target(
        write_portable_maps, lambda _, file: check_depth(read_depth(file, assumed=1000), file)
    ),
    "MATLAB maps": Target(write_matlab, read_matlab),
    "weights (safetensors, npz)": Target(write_weights, read_weights),
    "folder's index.csv": Target(write_folder, read_folder),
    "run's config.json and mean": Target(write_run, read_run),
}

"""The readers of the data sets' own files and of prepared data, for `run.py`."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from depthsi.data.prepared.frames import Record
from depthsi.data.samples import Sample, validate_sample
from experiments.fuzz.targets import (
    SHARED,
    SIZE,
    Target,
    check_depth,
    check_image,
    depth_values,
    encoded,
    metres,
    picture,
    real,
    written,
)


def check_record(record: Record, file: Path) -> None:
    """Fails, or refuses the file, unless image and depth make a sample."""
    for depth in record.depth.values():
        validate_sample(Sample(record.image, depth, str(file)))


def write_labelled(folder: Path) -> list[Path]:
    """The layout of nyu_depth_v2_labeled.mat: axes reversed, scenes as references."""
    import h5py

    file, count = folder / "nyu_depth_v2_labeled.mat", 3
    with h5py.File(file, "w") as mat:
        mat["images"] = np.stack([picture().transpose(2, 1, 0)] * count)
        for name in ("depths", "rawDepths"):
            mat[name] = np.stack([metres().T] * count)
        names = [np.frombuffer(f"kitchen_000{i}".encode("utf-16-le"), np.uint16) for i in (1, 2, 2)]
        cells = [mat.create_dataset(f"#refs#/{i}", data=n[:, None]) for i, n in enumerate(names)]
        references = np.array([[cell.ref for cell in cells]], dtype=h5py.ref_dtype)
        mat.create_dataset("scenes", data=references, dtype=h5py.ref_dtype)
    written(folder / "splits.txt", b"1\n")
    return [file]


def read_labelled(folder: Path, file: Path) -> None:
    from depthsi.datasets.nyu_depth_v2_labeled.data_set import open_nyu_depth_v2_labeled

    for frame in open_nyu_depth_v2_labeled(file, folder / "splits.txt").frames:
        check_record(frame.load(), file)


def write_splits(folder: Path) -> list[Path]:
    plain = struct.pack("<116s8x2sH", b"MATLAB 5.0 MAT-file", b"\0\1", 0x4D49)
    body = b""
    for name, values in (("trainNdxs", [1, 3]), ("testNdxs", [2, 4])):
        data = np.array(values, "<f8").tobytes()
        parts = [
            (6, struct.pack("<2I", 6, 0)),
            (5, struct.pack("<2i", 2, 1)),
            (1, name.encode()),
            (9, data),
        ]
        inside = b"".join(
            struct.pack("<2I", kind, len(part)) + part + bytes(-len(part) % 8)
            for kind, part in parts
        )
        matrix = struct.pack("<2I", 14, len(inside)) + inside
        packed = zlib.compress(matrix)
        body += struct.pack("<2I", 15, len(packed)) + packed if name < "tr" else matrix
    return [
        written(folder / "splits.mat", plain + body),
        written(folder / "splits.txt", b"1\n3\n4\n"),
        *real(folder, "splits/nyu_splits.mat"),
    ]


def read_splits(_: Path, file: Path) -> None:
    from depthsi.datasets.nyu_depth_v2_labeled.splits import read_split

    assert set(read_split(file, 1449 if file.name.startswith("nyu") else 4)) <= {
        "",
        "train",
        "test",
    }


def write_fastdepth(folder: Path) -> list[Path]:
    import h5py

    files = [folder / "plain.h5", folder / "packed.h5"]
    for file, options in zip(files, ({}, {"compression": "gzip", "chunks": True}), strict=True):
        with h5py.File(file, "w") as h5:
            h5.create_dataset("rgb", data=picture().transpose(2, 0, 1), **options)
            h5.create_dataset("depth", data=metres(), **options)
    return files


def read_fastdepth(_: Path, file: Path) -> None:
    from depthsi.datasets.nyu_fastdepth.data_set import read_pair

    check_record(read_pair(file), file)


def write_netpbm(folder: Path) -> list[Path]:
    height, width = SIZE
    disparity = (500 + depth_values() // 8).astype("<u2")
    return [
        written(
            folder / "r.ppm", b"P6\n# made\n%d %d\n255\n" % (width, height) + picture().tobytes()
        ),
        written(folder / "d.pgm", b"P5 %d %d 65535\n" % (width, height) + disparity.tobytes()),
    ]


def read_netpbm(_: Path, file: Path) -> None:
    from depthsi.datasets.nyu_depth_v2_raw.netpbm import read_disparity, read_ppm

    if file.suffix == ".ppm":
        check_image(read_ppm(file))
    else:
        disparity = read_disparity(file)
        assert disparity.max() < 2048


CALIBRATION = (
    b"P2: 60 0 16 0.5 0 60 12 0.2 0 0 1 0.003\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
    b"Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.07 1 0 0 -0.27\n"
)


def write_scan(folder: Path) -> list[Path]:
    written(folder / "calib.txt", CALIBRATION)
    rng = np.random.default_rng(0)
    points = np.stack(
        [
            rng.uniform(3, 80, 4000),
            rng.uniform(-9, 9, 4000),
            rng.uniform(-2, 2, 4000),
            rng.random(4000),
        ],
        1,
    )
    return [
        written(folder / "scan.bin", points.astype("<f4").tobytes()),
        *real(folder, "kitti_velodyne/000003.bin"),
    ]


def read_scan_and_project(folder: Path, file: Path) -> None:
    from depthsi.datasets.kitti_depth.calibration import object_matrix
    from depthsi.datasets.kitti_depth.projection import project
    from depthsi.datasets.kitti_depth.velodyne import read_scan

    matrix = object_matrix(folder / "calib.txt")
    check_depth(project(read_scan(file), matrix, SIZE), file)


def write_object_calibration(folder: Path) -> list[Path]:
    return [
        written(folder / "calib.txt", CALIBRATION),
        *real(folder, "kitti_velodyne/000003.calib.txt"),
    ]


def read_object_calibration(_: Path, file: Path) -> None:
    from depthsi.datasets.kitti_depth.calibration import object_matrix

    assert np.isfinite(object_matrix(file)).all()


def write_camera(folder: Path) -> list[Path]:
    eye = "1 0 0 0 1 0 0 0 1"
    lines = [
        "calib_time: 09-Jan-2012 13:57:47",
        f"R_rect_00: {eye}",
        "S_rect_02: 32 24",
        "P_rect_02: 60 0 16 0.5 0 60 12 0.2 0 0 1 0.003",
    ]
    velo = ["calib_time: 15-Mar-2012 11:37:16", "R: 0 -1 0 0 0 -1 1 0 0", "T: 0 -0.07 -0.27"]
    return [
        written(folder / "calib_cam_to_cam.txt", "\n".join(lines).encode()),
        written(folder / "calib_velo_to_cam.txt", "\n".join(velo).encode()),
    ]


def read_drive_camera(folder: Path, _: Path) -> None:
    from depthsi.datasets.kitti_depth.calibration import read_camera

    camera = read_camera(folder, "image_02")
    assert np.isfinite(camera.matrix).all()
    assert min(camera.size) > 0


def write_motion(folder: Path) -> list[Path]:
    text = " ".join(f"{value:.6f}" for value in np.linspace(-3, 40, 30))
    return [written(folder / "0000000000.txt", text.encode())]


def read_oxts(_: Path, file: Path) -> None:
    from depthsi.datasets.kitti_depth.oxts import read_motion

    motion = read_motion(file)
    assert 0 <= motion.speed < np.inf
    assert 0 <= motion.acceleration < np.inf


def write_times(folder: Path) -> list[Path]:
    names = ("timestamps_start.txt", "timestamps.txt", "timestamps_end.txt")
    return [
        written(
            folder / name,
            b"".join(
                b"2011-09-26 13:02:%02d.%03d000000\n" % (25 + i, 100 + 50 * place) for i in range(4)
            ),
        )
        for place, name in enumerate(names)
    ]


def read_times(folder: Path, _: Path) -> None:
    from depthsi.datasets.kitti_depth.sweeps import read_timestamps

    stamps = read_timestamps(folder)
    for frame in range(4):
        sweep = stamps.sweep(frame)
        assert sweep.before > 0
        assert sweep.after > 0


def write_lists(folder: Path) -> list[Path]:
    plain = (
        b"2011_09_26/2011_09_26_drive_0022_sync 473 r\n2011_09_26_drive_0002_sync 0000000069 l gt\n"
        b"2011_09_26/2011_09_26_drive_0022_sync/image_03/data/0000000474.png None 721.5\n"
    )
    found = sorted(p.relative_to(SHARED).as_posix() for p in SHARED.glob("splits/*eigen*test*"))
    return [
        written(folder / "list.txt", plain),
        written(folder / "list.txt.gz", gzip.compress(plain, mtime=0)),
        *[file for file in real(folder, *found[:1]) if file.suffix in (".txt", ".gz")],
    ]


def read_list_file(_: Path, file: Path) -> None:
    from depthsi.datasets.kitti_depth.split_lists import read_list

    for row in read_list(file):
        assert row.frame >= 0
        assert row.camera in ("image_02", "image_03")


def write_annotated(folder: Path) -> list[Path]:
    return [
        written(folder / "annotated.png", encoded(depth_values(), "PNG")),
        *real(folder, "kitti_samples/depth/anno0000000005.png"),
    ]


def read_annotated_map(_: Path, file: Path) -> None:
    from depthsi.datasets.kitti_depth.annotated import read_annotated

    check_depth(read_annotated(file), file)


def write_prepared(folder: Path) -> Sequence[Path]:
    from depthsi.data.prepared.frames import DataSet, Frame
    from depthsi.data.prepared.prepare import prepare

    def load() -> Record:
        return Record(picture(), {"depth": metres()})

    frames = tuple(Frame(f"n{i}", "train", "hall", load) for i in range(3))
    data = DataSet("toys", "Toys.", "", SIZE, ("depth",), 1000.0, frames)
    if not (folder / "toys").exists():
        prepare(data, folder, report=lambda *_: None)
    return sorted(file for file in folder.glob("toys/**/*") if file.is_file())


def read_prepared(folder: Path, _: Path) -> None:
    from depthsi.data.prepared.source import PreparedSource

    source = PreparedSource(folder, "train")
    for index in range(len(source)):
        validate_sample(source[index])


DATASET_TARGETS: dict[str, Target] = {
    "NYU labelled .mat (HDF5)": Target(write_labelled, read_labelled),
    "NYU splits.mat": Target(write_splits, read_splits),
    "FastDepth .h5": Target(write_fastdepth, read_fastdepth),
    "NYU raw .ppm and .pgm": Target(write_netpbm, read_netpbm),
    "KITTI velodyne .bin": Target(write_scan, read_scan_and_project),
    "KITTI object calibration": Target(write_object_calibration, read_object_calibration),
    "KITTI drive calibration": Target(write_camera, read_drive_camera),
    "KITTI oxts": Target(write_motion, read_oxts),
    "KITTI timestamps": Target(write_times, read_times),
    "KITTI lists": Target(write_lists, read_list_file),
    "KITTI annotated PNG": Target(write_annotated, read_annotated_map),
    "prepared directory": Target(write_prepared, read_prepared),
}

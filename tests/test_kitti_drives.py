"""Raw drives of the published layout: which images are listed, and what they load."""

import json
from pathlib import Path

import numpy as np
import pytest
from kitti_files import (
    PROJECTIONS,
    RECTIFICATION,
    ROTATION,
    SHIFT,
    SIZE,
    looped_depth,
    oxts_line,
    scan_points,
    write_drive,
)
from pictures import counts, saved, smooth_picture
from prepared_pictures import stored

from depthsi.data.fitting import fit_to
from depthsi.data.prepared.prepare import prepare
from depthsi.datasets.kitti_depth import open_kitti_depth
from depthsi.datasets.kitti_depth.drives import eigen_drives
from depthsi.errors import DepthsiError

DRIVES_FILE = Path(__file__).resolve().parents[2] / "shared/data/splits/kitti_eigen_drives.json"
TRAIN, TEST = "2011_09_26_drive_0001_sync", "2011_09_26_drive_0002_sync"
OTHER_DAY = "2011_09_28_drive_0001_sync"
CHAIN = (RECTIFICATION, ROTATION, SHIFT)


def refused(words):
    return pytest.raises(DepthsiError, match=words)


@pytest.fixture
def source(tmp_path):
    """A drive of each split; the training drive has no scan of frame 2."""
    root = tmp_path / "raw äö"
    write_drive(root, TRAIN, range(4), scans=(0, 1, 3))
    write_drive(root, TEST, range(2), suffix=".jpg")
    return root


def keys(data_set, split=None):
    return [frame.key for frame in data_set.frames if split in (None, frame.split)]


def key(drive, camera, frame):
    return f"{drive}/{camera}/{frame:010d}"


def only(data_set, name):
    (frame,) = [frame for frame in data_set.frames if frame.key == name]
    return frame


def test_eigens_drives():
    train, test = eigen_drives("train"), eigen_drives("test")
    assert (len(train), len(test), len(set(train) | set(test))) == (33, 28, 61)
    categories = {
        name: [len(eigen_drives(split, name)) for split in ("train", "test")]
        for name in ("city", "residential", "road")
    }
    assert categories == {"city": [15, 13], "residential": [12, 9], "road": [6, 6]}
    assert list(train) == sorted(train)


@pytest.mark.skipif(not DRIVES_FILE.is_file(), reason=f"{DRIVES_FILE} is missing")
def test_eigens_drives_are_the_published_ones():
    published = json.loads(DRIVES_FILE.read_text())
    for split in ("train", "test"):
        assert list(eigen_drives(split)) == sorted(published[split])


def test_whole_drives_of_both_cameras(source):
    write_drive(source, "2011_09_28_drive_0016_sync", range(2))  # campus: not the paper's
    data_set = open_kitti_depth(source)
    assert keys(data_set, "train") == [
        key(TRAIN, camera, frame) for camera in PROJECTIONS for frame in (0, 1, 3)
    ]
    assert keys(data_set, "test") == [
        key(TEST, camera, frame) for camera in PROJECTIONS for frame in (0, 1)
    ]
    assert len(keys(data_set)) == 10
    assert {frame.scene for frame in data_set.frames} == {TRAIN, TEST}
    assert data_set.name == "kitti_depth"
    assert data_set.depth_names == ("depth_z",)
    assert data_set.units_per_metre == 256
    assert data_set.size is None
    assert json.dumps(data_set.made_from)
    left = open_kitti_depth(source, cameras=("image_02",))
    assert keys(left) == [name for name in keys(data_set) if "image_02" in name]


def test_drives_are_held_out_whole(source):
    write_drive(source, OTHER_DAY, range(2))
    data_set = open_kitti_depth(source, val_scenes=1)
    scenes = {
        split: {f.scene for f in data_set.frames if f.split == split}
        for split in ("train", "val", "test")
    }
    assert [len(some) for some in scenes.values()] == [1, 1, 1]
    assert len(set().union(*scenes.values())) == 3


@pytest.mark.slow
@pytest.mark.parametrize("camera", list(PROJECTIONS))
@pytest.mark.parametrize("size", [None, (20, 50)])
def test_scans_are_projected_into_their_picture(source, camera, size):
    """With the drive's calibration, its scan's points, and the halves its timestamps say."""
    picture = np.roll(smooth_picture(*SIZE), 3, 1)
    for depth in ("z", "lidar_x"):
        for rule in ("closest_time", "nearest"):
            data_set = open_kitti_depth(source, depth=depth, conflict=rule, size=size)
            record = only(data_set, key(TRAIN, camera, 3)).load()
            wanted = looped_depth(
                scan_points(3),
                (PROJECTIONS[camera], *CHAIN),
                SIZE,
                size=size,
                kind=depth,
                rule=rule,
                halves=(51, 40),
            )
            assert list(record.depth) == [f"depth_{depth}"] == list(data_set.depth_names)
            found = record.depth[f"depth_{depth}"]
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, wanted, rtol=2e-7)
            if size is None:
                np.testing.assert_array_equal(record.image, picture)
            else:
                fitted, _ = fit_to(picture, np.zeros(SIZE, np.float32), size)
                np.testing.assert_array_equal(record.image, fitted)


def test_frames_of_a_waiting_car_are_dropped(source):
    for frame, speed, acceleration in ((0, 0.0, 0.1), (1, 0.0, 2.0), (3, 15.0, 0.0)):
        file = source / TRAIN[:10] / TRAIN / "oxts" / "data" / f"{frame:010d}.txt"
        file.write_text(oxts_line(speed, acceleration))
    assert keys(open_kitti_depth(source, cameras=("image_02",)), "train") == [
        key(TRAIN, "image_02", frame) for frame in (1, 3)
    ]
    every = open_kitti_depth(source, cameras=("image_02",), drop_stationary=False)
    assert len(keys(every, "train")) == 3


def test_a_broken_navigation_record_is_left_to_the_policy(source):
    folder = source / TRAIN[:10] / TRAIN / "oxts" / "data"
    (folder / "0000000001.txt").write_text(oxts_line(fields=3))
    (folder / "0000000003.txt").unlink()
    data_set = open_kitti_depth(source)
    assert len(data_set.frames) == 10
    for frame, words in ((1, "0000000001.txt has 3 numbers"), (3, "0000000003.txt does not exist")):
        with refused(words):
            only(data_set, key(TRAIN, "image_02", frame)).load()
    only(open_kitti_depth(source, drop_stationary=False), key(TRAIN, "image_02", 3)).load()


def write_list(folder, name, *rows):
    (folder / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder / name


def test_lists_are_taken_as_they_stand(source, tmp_path):
    still = source / TRAIN[:10] / TRAIN / "oxts" / "data" / "0000000003.txt"
    still.write_text(oxts_line(0.0, 0.0))
    lists = {
        "test": write_list(tmp_path, "te st", f"{TEST[:10]}/{TEST}/image_02/data/0000000001.png"),
        "train": write_list(tmp_path, "train", f"{TRAIN[:10]}/{TRAIN} 3 r", f"{TRAIN} 0 l gt"),
    }
    data_set = open_kitti_depth(source, split_files=lists)
    assert [(frame.key, frame.split) for frame in data_set.frames] == [
        (key(TRAIN, "image_03", 3), "train"),
        (key(TRAIN, "image_02", 0), "train"),
        (key(TEST, "image_02", 1), "test"),
    ]
    assert data_set.frames[0].load().depth["depth_z"].any()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2011_09_26_drive_0009_sync 1 l", "2011_09_26_drive_0009_sync is missing"),
        (f"{TRAIN} 4 l", "there is no image 0000000004 in .*image_02"),
        (f"{TRAIN} 2 r", "has no scan 0000000002"),
    ],
)
def test_rows_without_files_are_named(source, tmp_path, row, words):
    file = write_list(tmp_path, "list.txt", f"{TRAIN} 0 l", row)
    with refused(f"list.txt, line 2: .*{words}"):
        open_kitti_depth(source, split_files={"train": file})


def annotate(root, drive, frames, part="train"):
    folder = root / part / drive / "proj_depth" / "groundtruth" / "image_02"
    folder.mkdir(parents=True)
    for frame in frames:
        saved(folder / f"{frame:010d}.png", counts(*SIZE, frame))
    return folder


def test_annotated_maps_with_the_pictures_of_the_raw_drives(source, tmp_path):
    maps = tmp_path / "data_depth_annotated"
    annotate(maps, TRAIN, (2, 3))
    annotate(maps, TEST, (1, 9), part="val")  # of 9 there is no image
    options = {"depth": "annotated", "annotated": maps}
    data_set = open_kitti_depth(source, **options)
    assert [(frame.key, frame.split) for frame in data_set.frames] == [
        (key(TRAIN, "image_02", 2), "train"),
        (key(TRAIN, "image_02", 3), "train"),
        (key(TEST, "image_02", 1), "test"),
    ]
    record = data_set.frames[1].load()
    np.testing.assert_array_equal(record.image, np.roll(smooth_picture(*SIZE), 3, 1))
    np.testing.assert_array_equal(record.depth["depth_annotated"] * 256, counts(*SIZE, 3))
    small = open_kitti_depth(source, size=(10, 20), **options).frames[1].load()
    wanted = fit_to(record.image, record.depth["depth_annotated"], (10, 20))
    np.testing.assert_array_equal(small.image, wanted[0])
    np.testing.assert_array_equal(small.depth["depth_annotated"], wanted[1])

    rows = [f"{TEST} 0 l nogt", f"{TEST} 1 l gt"]
    listed = open_kitti_depth(
        source, split_files={"test": write_list(tmp_path, "list", *rows)}, **options
    )
    assert keys(listed) == [key(TEST, "image_02", 1)]
    rows[0] = f"{TEST} 0 l"
    with refused("list, line 1: .* has no annotated depth 0000000000"):
        open_kitti_depth(
            source, split_files={"test": write_list(tmp_path, "list", *rows)}, **options
        )


def test_annotated_maps_are_stored_exactly(source, tmp_path):
    import tensorflow_datasets as tfds

    folder = annotate(tmp_path / "maps", TRAIN, (2,))
    values = np.arange(4000, dtype=np.uint16).reshape(SIZE) * 16 + 5
    saved(folder / "0000000002.png", values)
    data_set = open_kitti_depth(
        source, depth="annotated", annotated=tmp_path / "maps", cameras=("image_02",)
    )
    path = prepare(data_set, tmp_path / "out", report=lambda text: None)
    (record,) = stored(tfds.builder_from_directory(path), "train")
    np.testing.assert_array_equal(record["depth_annotated"], values)


def test_scans_are_stored_to_half_a_unit(source, tmp_path):
    import tensorflow_datasets as tfds

    from depthsi.datasets.kitti_depth.kitti_depth_dataset_builder import Builder

    builder = Builder(source=source, data_dir=tmp_path / "out")
    builder.download_and_prepare(report=lambda text: None)
    assert isinstance(builder, tfds.core.GeneratorBasedBuilder)
    data = stored(builder, "test")
    assert len(data) == 4
    frame = open_kitti_depth(source).frames[-1]
    record = data[3]
    assert record["name"].decode() == frame.key
    depth = frame.load().depth["depth_z"]
    np.testing.assert_allclose(record["depth_z"] / 256, depth, atol=1 / 512)
    np.testing.assert_array_equal(record["depth_z"] > 0, depth > 0)


def test_the_command_projects_at_the_size_it_is_given(source, tmp_path):
    import tensorflow_datasets as tfds

    from depthsi.commands.prepare import KittiDepth, prepare

    file = write_list(tmp_path, "list", f"{TEST} 1 r", f"{TEST} 0 r")
    options = KittiDepth(str(source), depth="lidar_x", conflict="nearest", test_list=str(file))
    path = prepare(options, str(tmp_path / "out"), size=(20, 50), on_bad="strict")
    record = stored(tfds.builder_from_directory(path), "test")[0]
    frame = open_kitti_depth(
        source, depth="lidar_x", conflict="nearest", size=(20, 50), split_files={"test": file}
    ).frames[0]
    depth = frame.load().depth["depth_lidar_x"]
    assert record["name"].decode() == frame.key == key(TEST, "image_03", 1)
    np.testing.assert_allclose(record["depth_lidar_x"] / 256, depth, atol=1 / 512)
    np.testing.assert_array_equal(record["depth_lidar_x"] > 0, depth > 0)


def drive_file(source, *parts):
    return source.joinpath(TRAIN[:10], TRAIN, *parts)


def spoil_size(source):
    saved(drive_file(source, "image_02", "data", "0000000000.png"), smooth_picture(40, 99))


def spoil_picture(source):
    file = drive_file(source, "image_02", "data", "0000000000.png")
    file.write_bytes(file.read_bytes()[:-40])


def spoil_scan(source):
    file = drive_file(source, "velodyne_points", "data", "0000000000.bin")
    file.write_bytes(file.read_bytes()[:-1])


def spoil_direction(source):
    points = np.array([[-5, 0, 0, 0]], np.float32)
    drive_file(source, "velodyne_points", "data", "0000000000.bin").write_bytes(points.tobytes())


def spoil_time(source):
    file = drive_file(source, "velodyne_points", "timestamps_start.txt")
    file.write_text("\n" + file.read_text().split("\n", 1)[1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_size, r"0000000000.png has 40x99 pixels, but .*cam_to_cam.txt says 40x100"),
        (spoil_picture, "0000000000.png is damaged or cut short"),
        (spoil_scan, "0000000000.bin has 47999 bytes"),
        (spoil_direction, "0000000000.bin: no point falls into .*0000000000.png"),
        (spoil_time, "timestamps_start.txt, line 1: there is no timestamp"),
    ],
)
def test_one_bad_file_is_named_when_its_frame_is_read(source, spoil, words):
    spoil(source)
    frames = {frame.key: frame for frame in open_kitti_depth(source).frames}
    with refused(words):
        frames[key(TRAIN, "image_02", 0)].load()
    frames[key(TRAIN, "image_02", 1)].load()
    if spoil is spoil_time:  # not needed by the other rule
        nearest = open_kitti_depth(source, conflict="nearest")
        only(nearest, key(TRAIN, "image_02", 0)).load()


def test_maps_of_another_size_are_named(source, tmp_path):
    folder = annotate(tmp_path / "maps", TRAIN, (0,))
    saved(folder / "0000000000.png", counts(41, 100))
    data_set = open_kitti_depth(source, depth="annotated", annotated=tmp_path / "maps")
    with refused(r"0000000000.png has 41x100 pixels, but .*0000000000.png 40x100"):
        data_set.frames[0].load()


def test_what_is_missing_in_the_layout_is_named(source, tmp_path):
    (tmp_path / "empty").mkdir()
    with refused("empty; give the folder that contains 2011_09_26"):
        open_kitti_depth(tmp_path / "empty")
    with refused("none is not a folder"):
        open_kitti_depth(tmp_path / "none")
    with refused("none is not a folder"):
        open_kitti_depth(source, depth="annotated", annotated=tmp_path / "none")
    with refused("No image with depth was found"):
        open_kitti_depth(source, depth="annotated")
    for part, words in (
        ("velodyne_points/timestamps.txt", "timestamps.txt does not exist"),
        ("velodyne_points/data", "velodyne_points/data has no scans"),
        ("image_03/data", "image_03/data has no images"),
        ("oxts/data", "oxts/data does not exist; complete the drive, or keep the images"),
    ):
        path = drive_file(source, part)
        path.rename(tmp_path / path.name)
        with refused(words):
            open_kitti_depth(source)
        (tmp_path / path.name).rename(path)
    calibration = source / TRAIN[:10] / "calib_cam_to_cam.txt"
    calibration.unlink()
    with refused("calib_cam_to_cam.txt does not exist"):
        open_kitti_depth(source)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": "y"}, "The depth 'y' is unknown; choose from z, lidar_x, annotated"),
        ({"conflict": "last"}, "The conflict rule 'last' is unknown"),
        ({"cameras": ("image_00",)}, "The camera 'image_00' is unknown"),
        ({"cameras": ()}, "one or both cameras"),
        ({"cameras": ("image_02", "image_02")}, "each once"),
        ({"size": (0, 5)}, "The size is 0x5"),
        ({"split_files": {"dev": "list"}}, "The split 'dev' is unknown"),
    ],
)
def test_options_are_checked(source, options, words):
    with refused(words):
        open_kitti_depth(source, **options)

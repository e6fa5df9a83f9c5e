"""Videos on the command line: the same maps as of their frames as photos, in mp4s and folders."""

import sys

import numpy as np
import pytest
from clips import add_silence, pictures, write_clip
from PIL import Image
from test_predictor import names, network, run_predict, saved_photo, weights

from depthsi.commands import predict_video
from depthsi.data.formats.video import open_video
from depthsi.errors import DepthsiError
from depthsi.photos import as_rgb
from depthsi.predictor import Predictor
from depthsi.viz.depth_maps import colour_depth, depth_limits

av = pytest.importorskip("av", reason="PyAV, of the extra video, is not installed")

__all__ = ["network", "weights"]  # fixtures


def write_sound(path):
    with av.open(str(path), "w") as container:
        add_silence(container, container.add_stream("aac", rate=8000))


def frames_of(path):
    """RGB and seconds of each frame, by PyAV alone."""
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        return [(each.to_ndarray(format="rgb24"), each.time) for each in container.decode(video=0)]


def by_brightness(_, images, **options):
    """Stands for a network whose maps span more than one of random numbers does."""
    for each in images:
        yield as_rgb(each)[..., 0].astype(np.float32) / 40 + 0.1


@pytest.fixture
def brightness(monkeypatch):
    monkeypatch.setattr(Predictor, "stream", by_brightness)


def predict_clip(weights, *words):
    return run_predict(weights, *words, "--camera", "training")


def test_frames_are_predicted_as_photos_are(weights, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", pictures(6))
    for index, (image, _) in enumerate(frames_of(clip)):
        saved_photo(tmp_path / f"{index}.png", image)
    out = tmp_path / "out"
    photos = [tmp_path / f"{index}.png" for index in range(6)]
    assert predict_clip(weights, *photos, clip, "--out", out, "--save", "png16,npy") == 0
    assert names(out / "clip_png16") == [f"{index:06}.png" for index in range(6)]
    assert names(out / "clip_npy") == [f"{index:06}.npy" for index in range(6)]
    for index in range(6):
        photo = np.load(out / f"{index}_depth.npy")
        frame = np.load(out / "clip_npy" / f"{index:06}.npy")
        np.testing.assert_allclose(frame, photo, rtol=1e-5)  # of another batch
        with Image.open(out / "clip_png16" / f"{index:06}.png") as image:
            np.testing.assert_allclose(np.asarray(image), photo * 1000, atol=0.6)


@pytest.mark.usefixtures("brightness")
def test_a_panel_is_the_default(weights, tmp_path, capsys):
    stamps = [0, 40, 120, 500, 540, 1100]
    clip = write_clip(tmp_path / "clip.mkv", pictures(6), stamps=stamps, sound=True)
    assert predict_clip(weights, clip, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out' / 'clip_panel.mp4'}\n"
    assert names(tmp_path / "out") == ["clip_panel.mp4"]
    found = frames_of(tmp_path / "out" / "clip_panel.mp4")
    with open_video(clip) as video:
        images = [frame.rgb() for frame in video.frames]
    np.testing.assert_allclose([time for _, time in found], np.array(stamps) / 1000)
    maps = list(by_brightness(None, images))
    limits = depth_limits(*maps)
    assert f"from {limits[0]:.3g} m to {limits[1]:.3g} m" in said.err
    for (picture, _), image, depth in zip(found, images, maps, strict=True):
        assert picture.shape == (48, 128, 3)
        expected = np.concatenate([image, colour_depth(depth, limits=limits)], axis=1)
        assert np.abs(picture.astype(int) - expected).mean() < 6  # what H.264 leaves
        wrong = np.concatenate([image, colour_depth(depth)], axis=1)  # a scale of its own
        assert np.abs(picture.astype(int) - wrong).mean() > 6


@pytest.mark.usefixtures("brightness")
def test_the_colours_of_a_video(weights, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", pictures(3, 33, 45))
    words = (weights, clip, "--out", tmp_path / "out", "--save", "colour")
    assert predict_clip(*words, "--limits", "0.5", "30", "--colour-map", "gray") == 0
    assert "colours run" not in capsys.readouterr().err
    with open_video(clip) as video:
        maps = list(by_brightness(None, [frame.rgb() for frame in video.frames]))
    for (picture, _), depth in zip(
        frames_of(tmp_path / "out" / "clip_colour.mp4"), maps, strict=True
    ):
        assert picture.shape == (34, 46, 3)  # H.264 has even sizes
        expected = colour_depth(depth, limits=(0.5, 30), cmap="gray").astype(int)
        assert np.abs(picture[:33, :45] - expected).max() < 8


@pytest.mark.usefixtures("brightness")
def test_photos_and_videos_of_one_command_share_a_scale(weights, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", pictures(3))
    saved_photo(tmp_path / "a.png", np.full((48, 64, 3), 240, np.uint8))
    words = (weights, tmp_path / "a.png", clip, "--save", "colour", "--limits", "shared")
    assert predict_clip(*words, "--out", tmp_path / "out") == 0
    with open_video(clip) as video:
        images = [frame.rgb() for frame in video.frames]
    maps = list(by_brightness(None, [tmp_path / "a.png", *images]))
    limits = depth_limits(maps[0])[0], depth_limits(maps[0])[1]
    limits = min(limits[0], depth_limits(*maps[1:])[0]), max(limits[1], depth_limits(*maps[1:])[1])
    with Image.open(tmp_path / "out" / "a_colour.png") as photo:
        np.testing.assert_array_equal(np.asarray(photo), colour_depth(maps[0], limits=limits))
    picture, _ = frames_of(tmp_path / "out" / "clip_colour.mp4")[0]
    assert np.abs(picture.astype(int) - colour_depth(maps[1], limits=limits)).mean() < 6


@pytest.mark.parametrize("count", [5, 33, 70, 200])
def test_few_frames_all_along_a_video_choose_its_colours(weights, tmp_path, monkeypatch, count):
    seen = []

    def stream(_, images, **options):
        if images := [as_rgb(each) for each in images]:
            seen.append([each[0, 0, 0] for each in images])
        yield from by_brightness(None, images)

    monkeypatch.setattr(Predictor, "stream", stream)
    flat = (np.full((16, 16, 3), 20 + index, np.uint8) for index in range(count))
    clip = write_clip(tmp_path / "clip.mp4", flat)
    assert predict_clip(weights, clip, "--out", tmp_path, "--save", "colour") == 0
    assert len(seen) == 2
    scanned, every = (np.array(each, int) for each in seen)
    assert len(every) == count
    step = 1 if count < 33 else 2 ** int(np.log2((count - 1) // 16))
    np.testing.assert_allclose(scanned, every[::step])
    assert len(scanned) == count if count < 33 else 16 < len(scanned) <= 32


@pytest.mark.usefixtures("brightness")
def test_frames_are_not_collected(weights, tmp_path, monkeypatch):
    made, written, most = [], [], []
    frames = predict_video._frames

    def watched(video):
        for each in frames(video):
            made.append(each)
            most.append(len(made) - len(written))
            yield each

    monkeypatch.setattr(predict_video, "_frames", watched)
    add = predict_video._Outputs.add
    monkeypatch.setattr(
        predict_video._Outputs, "add", lambda *words: (written.append(1), add(*words))
    )
    clip = write_clip(tmp_path / "clip.mp4", pictures(40))
    assert predict_clip(weights, clip, "--out", tmp_path, "--save", "npy") == 0
    assert len(written) == 40
    assert max(most) <= 2


@pytest.mark.parametrize(
    ("turned", "expected"),
    [
        ((-90,), lambda x: np.rot90(x, -1)),
        ((90,), np.rot90),
        ((180,), lambda x: np.rot90(x, 2)),
        ((0, True), lambda x: x[:, ::-1]),
        ((0, False, True), lambda x: x[::-1]),
        ((-90, True), None),
    ],
)
def test_a_video_is_turned_upright(tmp_path, turned, expected):
    image = next(pictures(1))
    image[:16, :16] = 0, 0, 250
    clip = write_clip(tmp_path / "clip.mp4", [image] * 2, turned=turned)
    with open_video(clip) as video:
        found = next(video.frames).rgb()
    if expected is None:  # as FFmpeg's own filters do it
        graph = av.filter.Graph()
        with av.open(str(clip)) as container:
            source = graph.add_buffer(template=container.streams.video[0])
            last = source
            for name, words in (("transpose", "clock"), ("hflip", None)):
                following = graph.add(name, words) if words else graph.add(name)
                last.link_to(following)
                last = following
            sink = graph.add("buffersink")
            last.link_to(sink)
            graph.configure()
            source.push(next(container.decode(video=0)))
            wanted = sink.pull().to_ndarray(format="rgb24")
    else:
        wanted = expected(image)
    assert np.abs(found.astype(int) - wanted).mean() < 4


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def broken_clip(folder, kind):
    """A file of some kind that cannot be predicted, and what is said of it."""
    path = folder / f"bad.{kind.split()[-1]}"
    if kind.startswith("cut"):
        noise = np.random.default_rng(0)
        images = [noise.integers(0, 256, (64, 64, 3)).astype(np.uint8) for _ in range(20)]
        if path.suffix == ".mp4":  # with its index first, which tells of frames that are missing
            plain = write_clip(folder / "plain.mp4", images)
            with (
                av.open(str(plain)) as source,
                av.open(str(path), "w", options={"movflags": "faststart"}) as target,
            ):
                stream = target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = stream
                        target.mux(packet)
            plain.unlink()
        else:
            write_clip(path, images)
        cut(path)
        return path, "cut short"
    if kind == "sound.mp4":
        write_sound(path)
        return path, "no video stream"
    if kind == "sizes ts":
        for name, size in (("a", (48, 64)), ("b", (64, 64))):
            write_clip(folder / f"{name}.ts", pictures(3, *size))
        parts = [folder / "a.ts", folder / "b.ts"]
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        for part in parts:
            part.unlink()
        return path, "changes its size from 48x64 to 64x64"
    text = {
        "random mp4": np.random.default_rng(0).bytes(5000),
        "empty mp4": b"",
        "list mp4": b"ffconcat version 1.0\nfile good.mp4\n",
        "playlist mp4": b"#EXTM3U\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n",
    }
    path.write_bytes(text[kind])
    return path, "is damaged or cut short"


@pytest.mark.usefixtures("brightness")
@pytest.mark.parametrize("save", ["panel", "colour,npy"])
@pytest.mark.parametrize(
    "kind",
    [
        "cut mp4",
        "cut mkv",
        "cut avi",
        "sound.mp4",
        "sizes ts",
        "random mp4",
        "empty mp4",
        "list mp4",
        "playlist mp4",
    ],
)
def test_a_bad_video_is_named_and_leaves_nothing(weights, tmp_path, capsys, kind, save):
    path, said = broken_clip(tmp_path, kind)
    good = write_clip(tmp_path / "good.mp4", pictures(3))
    out = tmp_path / "out"
    words = (weights, path, good, "--out", out, "--save", save)
    endings = {"panel": ["panel.mp4"], "colour,npy": ["colour.mp4", "npy"]}[save]
    for limits in (["each"], ["shared"], ["1", "5"]):
        assert predict_clip(*words, "--limits", *limits) == 1
        err = capsys.readouterr().err
        assert err.count(f"{path}") == 1
        assert said in err
        assert "1 of the files could not be predicted" in err
        assert names(out) == [f"good_{ending}" for ending in endings]


def test_a_video_without_pyav(weights, tmp_path, capsys, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4", pictures(2))
    monkeypatch.setitem(sys.modules, "av", None)
    assert predict_clip(weights, clip, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "needs PyAV: run pip install 'depthsi[video]'" in said
    assert said.count("\n") == 2
    assert names(tmp_path) == ["clip.mp4"]


@pytest.mark.usefixtures("brightness")
def test_one_known_distance_brings_a_video_to_scale(weights, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", pictures(3))
    words = (weights, clip, "--out", tmp_path / "out", "--save", "npy,colour")
    assert predict_clip(*words, "--known", "10,20=2.5") == 0
    said = capsys.readouterr().err
    with open_video(clip) as video:
        maps = list(by_brightness(None, [frame.rgb() for frame in video.frames]))
    factor = 2.5 / maps[0][20, 10]
    assert f"multiplied by {factor:.4g}" in said
    limits = depth_limits(*(depth * factor for depth in maps))
    assert f"from {limits[0]:.3g} m to {limits[1]:.3g} m" in said
    for index, depth in enumerate(maps):
        found = np.load(tmp_path / "out" / "clip_npy" / f"{index:06}.npy")
        np.testing.assert_allclose(found, depth * factor, rtol=1e-5)
    assert predict_clip(*words, "--known", "64,20=2.5") == 2
    assert "--known: The point 64,20 lies outside" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("clip.mp4", "--save", "png16,viewer"), "--save viewer is of photos, but"),
        (("clip.mp4", "other/clip.mp4"), "would overwrite"),
        (("clip.mp4", "other/b.mp4", "--known", "1,1=2"), "one photo or video, but 2"),
    ],
)
def test_what_videos_cannot_have(weights, tmp_path, capsys, words, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert predict_clip(weights, *words, "--out", "out") == 2
    assert said in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.usefixtures("brightness")
def test_a_folder_of_frames_is_replaced_if_it_is_one(weights, tmp_path, capsys):
    out = tmp_path / "out"
    for count in (5, 3):
        clip = write_clip(tmp_path / "clip.mp4", pictures(count))
        assert predict_clip(weights, clip, "--out", out, "--save", "npy") == 0
        assert len(names(out / "clip_npy")) == count
    (out / "clip_npy" / "notes.txt").write_text("mine")
    before = names(out / "clip_npy")
    assert predict_clip(weights, clip, "--out", out, "--save", "npy") == 1
    assert "clip_npy is where frames go, but holds notes.txt" in capsys.readouterr().err
    assert names(out / "clip_npy") == before
    assert names(out) == ["clip_npy"]


@pytest.mark.usefixtures("brightness")
def test_the_focal_length_holds_for_frames(weights, tmp_path, monkeypatch, capsys):
    seen = []

    def stream(_, images, **options):
        for each in images:
            seen.append((each.image.shape[:2], each.focal))
            yield from by_brightness(None, [each])

    monkeypatch.setattr(Predictor, "stream", stream)
    clip = write_clip(tmp_path / "clip.mp4", pictures(2, 32, 1280))
    words = (weights, clip, "--out", tmp_path / "out", "--save", "colour,ply")
    assert run_predict(*words, "--fov", "90") == 0
    assert "unknown" not in capsys.readouterr().err
    assert seen[:2] == [((16, 640), pytest.approx(320))] * 2  # reduced, to choose colours
    assert seen[2:] == [((32, 1280), pytest.approx(640))] * 2
    assert names(tmp_path / "out" / "clip_ply") == ["000000.ply", "000001.ply"]
    assert run_predict(*words) == 0
    assert capsys.readouterr().err.count("The camera of clip.mp4 is unknown") == 1
    assert run_predict(*words, "--focal", "3") == 1
    said = capsys.readouterr().err
    assert said.count("clip.mp4: A focal length of 3 pixels") == 1


@pytest.mark.usefixtures("brightness")
def test_a_folder_stands_for_its_photos_or_else_its_videos(weights, tmp_path):
    folder, out = tmp_path / "trip", tmp_path / "out"
    folder.mkdir()
    write_clip(folder / "clip.MOV", pictures(2))
    (folder / "notes.txt").write_text("neither")
    assert predict_clip(weights, folder, "--out", out) == 0
    assert names(out) == ["clip_panel.mp4"]
    saved_photo(folder / "a.png", np.zeros((48, 64, 3), np.uint8))
    assert predict_clip(weights, folder, "--out", out, "--save", "npy") == 0
    assert names(out) == ["a_depth.npy", "clip_panel.mp4"]


def test_a_picture_of_music_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        stream.disposition = av.stream.Disposition.attached_pic
        container.mux(stream.encode(av.VideoFrame.from_ndarray(next(pictures(1)), "rgb24")))
        container.mux(stream.encode())
    with pytest.raises(DepthsiError, match="no video stream"), open_video(tmp_path / "a.mp4"):
        pass

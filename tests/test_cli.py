"""The command line as a user meets it: the whole chain once, and every mistake in one sentence."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pictures import write_index, write_pairs
from PIL import Image

from depthsi.cli import main

FAST = [
    "--model.width",
    "0.02",
    "--schedule.batch-size",
    "4",
    "--schedule.coarse-samples",
    "8",
    "--schedule.fine-samples",
    "4",
    "--schedule.eval-every",
    "0",
    "--optim.warmup",
    "0",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four training and two test pairs, of two sizes."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    pairs = []
    for i, split in enumerate(["train"] * 4 + ["test"] * 2):
        size = (480, 640) if i % 2 else (240, 320)
        depth = rng.uniform(1, 5) * np.linspace(1, 2, size[0])[:, None] * np.ones(size)
        image = np.repeat((depth * 25)[..., None], 3, -1).clip(0, 255).astype(np.uint8)
        pairs.append((split, image, depth))
    return write_pairs(root, pairs)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    main(["train", "tiny", "--run", str(run), *from_folder(folder)])
    return run


def from_folder(root):
    return ["--data.kind", "folder", "--data.root", str(root), *FAST]


def refusal(capsys, *arguments):
    """What stands on stderr after the command was refused."""
    return failure(capsys, 2, *arguments)


def failure(capsys, code, *arguments):
    """What stands on stderr after the command ended with this exit code."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


@pytest.mark.slow
def test_train_evaluate_predict_info(trained, folder, capsys, tmp_path):
    capsys.readouterr()
    main(["evaluate", str(trained)])
    printed = capsys.readouterr().out
    for words in (
        "step 3: 2 images of split 'test'",
        "crop eigen2014_nyu (rows",
        "no depth caps",
        "mean over images",
        "coarse + fine",
        "mean predictor",
        "Coarse+Fine 0.611",
    ):
        assert words in " ".join(printed.split())
    result = json.loads((trained / "evaluation.json").read_text())
    assert list(result["results"]) == [
        "coarse",
        "coarse + fine",
        "oracle scale",
        "mean predictor",
        "constant",
    ]
    assert result["images"] == 2
    assert {row["pixels"] for row in result["results"].values()} == {2 * 220 * 296}
    assert 0 <= result["results"]["coarse"]["image"]["d1"] <= 1
    with Image.open(trained / "samples" / "test.png") as sheet:
        assert min(sheet.size) > 300

    photo = tmp_path / "my photo.png"
    Image.fromarray(np.full((300, 500, 3), 90, np.uint8)).save(photo)
    main(["predict", str(trained), str(photo), "--out", str(tmp_path / "out")])
    metres = np.load(tmp_path / "out" / "my photo_depth.npy")
    with Image.open(tmp_path / "out" / "my photo_depth.png") as png:
        millimetres = np.asarray(png)
    assert metres.shape == millimetres.shape == (300, 500)
    assert (metres.dtype, millimetres.dtype) == (np.float32, np.uint16)
    np.testing.assert_allclose(millimetres / 1000, metres, atol=6e-4)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "my photo_depth.npy",
        "my photo_depth.png",
        "my photo_panel.png",
    ]

    capsys.readouterr()
    main(["info", str(trained)])
    assert "step 3 of 3" in capsys.readouterr().out
    main(["info"])
    assert "jax" in capsys.readouterr().out


@pytest.mark.slow
def test_crop_and_aggregation_are_named(trained, capsys):
    main(["evaluate", str(trained), "--crop", "nyu_toolbox", "--aggregation", "pixel"])
    printed = capsys.readouterr().out
    assert "crop nyu_toolbox" in printed
    assert "pooled over pixels" in printed


@pytest.mark.slow
def test_a_finished_run_resumes_to_nothing_and_refuses_other_settings(trained, folder, capsys):
    same = ["train", "tiny", "--run", str(trained), *from_folder(folder)]
    main([*same, "--resume"])
    assert "Trained 3 steps" in capsys.readouterr().out
    error = refusal(capsys, *same, "--resume", "--seed", 5)
    assert "started with seed = 0, not 5" in error
    error = refusal(capsys, *same)
    assert "already has another run" in error


def test_help_is_quick_and_touches_no_backend():
    code = (
        "import sys; sys.argv = ['depthsi', 'train', 'nyu', '--help']\n"
        "from depthsi.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "assert 'jax' not in sys.modules, 'help imported jax'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--schedule.coarse-samples" in done.stdout


@pytest.mark.slow
def test_importing_depthsi_initialises_no_backend():
    code = (
        "import depthsi, depthsi.losses, depthsi.models, depthsi.metrics, depthsi.augment, sys\n"
        "import jax._src.xla_bridge as bridge\n"
        "assert not bridge._backends, 'a backend was initialised'\n"
        "for name in ('grain', 'tensorflow_datasets', 'orbax', 'matplotlib', 'tyro'):\n"
        "    assert name not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model.width", "0"], "model.width is 0.0; it must be greater than 0"),
        (["--schedule.batch-size", "6"], "--schedule.batch-size is 6, which 4 devices"),
        (["--loss.lam", "2"], "loss.lam is 2.0"),
        (["--data.kind", "folder"], "needs a directory"),
        (["--data.kind", "folder", "--data.root", "/nowhere"], "/nowhere"),
        (["--model.geometry", "kitti"], "(240, 320)"),
        (["--data.train", "0"], "data.train"),
        (["--augment.scale", "2", "1"], "augment.scale is 2.0 1.0"),
        (["--augment.rotation", "nan"], "augment.rotation is nan"),
        (["--augment.flip", "7"], "augment.flip is 7.0"),
        (["--seed", "-1"], "seed is -1"),
        (["--optim.warmup", "10"], "--optim.warmup is 10 steps, but the stage fine has 10"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_written(
    arguments, words, capsys, tmp_path
):
    run = tmp_path / "run"
    assert words in refusal(capsys, "train", "tiny", "--run", run, *arguments)
    assert not run.exists()


def damaged(rows, root, fault):
    """Breaks one thing of a copy of the folder's index; returns the words the refusal must have."""
    if fault == "truncated image":
        data = (root / "0.jpg").read_bytes()
        (root / "0.jpg").write_bytes(data[: len(data) // 2])
        return ["0.jpg"]
    if fault == "sizes differ":
        rows[0][1] = "1.png"
        return ["0.jpg", "240", "480"]
    if fault == "no valid depth":
        Image.fromarray(np.zeros((240, 320), np.uint16)).save(root / "0.png")
        return ["row 2", "0.jpg"]
    if fault == "missing file":
        rows[2][0] = "9.jpg"
        return ["row 4", "9.jpg"]
    for row in rows:
        row.pop()
    return ["depth_units_per_metre"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    ["truncated image", "sizes differ", "no valid depth", "missing file", "missing column"],
)
def test_bad_data_is_named_and_nothing_is_written(fault, folder, tmp_path, capsys):
    root = tmp_path / "pairs"
    root.mkdir()
    for file in folder.iterdir():
        (root / file.name).write_bytes(file.read_bytes())
    rows = [[f"{i}.jpg", f"{i}.png", "train", 1000] for i in range(4)]
    words = damaged(rows, root, fault)
    header = ("rgb", "depth", "split", "depth_units_per_metre")[: len(rows[0])]
    write_index(root, rows, header)
    run = tmp_path / "run"
    error = refusal(capsys, "train", "tiny", "--run", run, *from_folder(root))
    for word in words:
        assert word in error
    assert not run.exists()


@pytest.mark.slow
def test_mistakes_after_training(trained, folder, capsys, tmp_path):
    assert "no split 'tset'; it has" in refusal(capsys, "evaluate", trained, "--split", "tset")
    assert "is not a run" in refusal(capsys, "evaluate", tmp_path)
    assert "takes 352x1216 pixels" in refusal(capsys, "evaluate", trained, "--crop", "kb")
    assert "does not exist" in failure(capsys, 1, "predict", trained, tmp_path / "no.jpg")
    assert "No photo" in refusal(capsys, "predict", trained)
    (tmp_path / "text.jpg").write_text("not an image")
    out = tmp_path / "out"
    words = failure(capsys, 1, "predict", trained, tmp_path / "text.jpg", "--out", out)
    assert "text.jpg" in words
    assert "1 of the photos could not be predicted" in words
    assert not out.exists()
    out.write_text("a file")
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(photo)
    assert "out: File exists" in refusal(capsys, "predict", trained, photo, "--out", out)


@pytest.mark.slow
def test_a_run_without_checkpoints_is_left_as_it_is(trained, capsys, tmp_path):
    (tmp_path / "config.json").write_bytes((trained / "config.json").read_bytes())
    assert "no checkpoint yet" in refusal(capsys, "evaluate", tmp_path)
    main(["info", str(tmp_path)])
    assert "step 0 of 3" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.slow
def test_without_matplotlib_a_colour_map_is_refused_and_all_else_is_drawn(
    trained, capsys, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    out, photo = tmp_path / "out", tmp_path / "photo.png"
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(photo)
    words = refusal(capsys, "predict", trained, photo, "--out", out, "--colour-map", "magma")
    assert "The colour map 'magma' needs matplotlib: run pip install 'depthsi[plot]'" in words
    assert not out.exists()
    main(["predict", str(trained), str(photo), "--out", str(out)])
    names = ["photo_depth.npy", "photo_depth.png", "photo_panel.png"]
    assert sorted(file.name for file in out.iterdir()) == names
    assert "depthsi[plot]" in refusal(capsys, "info", "rooms", "--out", tmp_path / "info")


@pytest.mark.slow
def test_checkpoint_of_another_architecture(trained, capsys, tmp_path):
    config = json.loads((trained / "config.json").read_text())
    config["model"]["width"] = 0.05
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(config))
    shutil.copytree(trained / "checkpoints", other / "checkpoints")
    assert "another architecture: coarse/conv1/bias" in refusal(capsys, "evaluate", other)
    (other / "config.json").write_text("{")
    assert "config.json cannot be read" in refusal(capsys, "info", other)

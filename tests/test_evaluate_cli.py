"""`depthsi evaluate` as a user meets it: runs, predictions made elsewhere, and every mistake."""

import csv
import json

import numpy as np
import pytest
from pictures import write_index, write_pairs
from PIL import Image
from scipy import io

from depthsi.cli import main
from depthsi.metrics import BOUNDARY_METRICS, METRICS

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
    "1",
    "--optim.warmup",
    "0",
    "--schedule.save-every",
    "1",
    "--data.train",
    "4",
    "--data.val",
    "4",
    "--data.test",
    "4",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    main(["train", "tiny", "--run", str(path), *FAST])
    return path


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Three test pairs of 48x64 and four training pairs, depth in millimetres."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    pairs = []
    for split in ["train"] * 4 + ["test"] * 3:
        slope = np.linspace(1, 2, 48)[:, None] * np.ones(64)
        depth = rng.uniform(1, 5) * slope * rng.uniform(0.7, 1.3, (48, 64))
        pairs.append((split, (depth * 20).clip(0, 255).astype(np.uint8), depth))
    return write_pairs(root, pairs)


def true_depth(root, number):
    with Image.open(root / f"{number}.png") as picture:
        return np.asarray(picture) / 1000


def predictions(root, folder, change, suffix=".npy"):
    """A file for each test image: `change` of the true depth, in metres."""
    folder.mkdir()
    for number in (4, 5, 6):
        depth = change(true_depth(root, number))
        if suffix == ".npy":
            np.save(folder / f"{number}.npy", depth)
        elif suffix == ".mat":
            io.savemat(folder / f"{number}.mat", {"depth": depth})
        else:
            Image.fromarray(np.rint(depth).astype(np.uint16)).save(folder / f"{number}.png")
    return folder


def refusal(capsys, *arguments):
    """What stands on stderr after the command was refused: one sentence, nothing written."""
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *map(str, arguments)])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def evaluated(capsys, *arguments):
    main(["evaluate", *map(str, arguments)])
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_run_leaves_tables_numbers_and_pictures(run, capsys, tmp_path):
    printed = evaluated(capsys, run, "--edges", "--out", tmp_path)
    for words in (
        "run, step 3: 4 images of split 'test'.",
        "Intervals are 95 % bootstrap intervals over images",
        "Protocol eigen2014_nyu: crop eigen2014_nyu (rows 10..230",
        "no depth caps",
        "95 % from",
        "Ground truth: rendered, camera z; the protocol's: depth camera with its holes filled in.",
        "Oracle scale: coarse + fine, each map scaled to the true mean log depth of its image.",
        "edge F",
        "Table 1 of the paper (NYU Depth v2), from its own training and test images, not",
    ):
        assert words in printed
    ours, paper = printed.split("Table 1 of the paper")
    assert "Make3D" not in ours
    assert "mean predictor" not in paper
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == [
        "evaluation.csv",
        "evaluation.json",
        "evaluation.md",
        "evaluation_images.csv",
        "test.png",
    ]
    assert not (run / "evaluation.json").exists()
    alone = json.loads(evaluated(capsys, run, "--edges", "--out", tmp_path, "--json", "-"))
    assert alone == json.loads((tmp_path / "evaluation.json").read_text())

    rows = ["coarse", "coarse + fine", "oracle scale", "mean predictor", "constant"]
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert list(result["results"]) == rows
    assert (result["step"], result["images"], result["split"]) == (3, 4, "test")
    assert result["protocol"]["max_depth"] is None
    values = result["results"]["coarse"]
    assert values["pixels"] == 4 * 220 * 296
    assert list(values["image"]) == [*METRICS, *BOUNDARY_METRICS]
    low, high = values["pixel_intervals"]["rmse"]
    assert low < values["pixel"]["rmse"] < high
    oracle, fine = (result["results"][row]["pixel"] for row in ("oracle scale", "coarse + fine"))
    assert oracle["rmse_log"] == pytest.approx(fine["rmse_log_si"], rel=1e-5)

    with (tmp_path / "evaluation_images.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == [row for row in rows for _ in range(4)]
    assert lines[1]["image"] == "test/000001"
    rmse = np.mean([float(line["rmse"]) for line in lines[:4]])
    assert rmse == pytest.approx(values["image"]["rmse"], rel=1e-6)
    with (tmp_path / "evaluation.csv").open() as file:
        summary = {(r["row"], r["aggregation"], r["metric"]): r for r in csv.DictReader(file)}
    assert len(summary) == 5 * 2 * len(values["image"])
    assert float(summary["coarse", "image", "rmse"]["value"]) == pytest.approx(rmse, rel=1e-6)
    assert float(summary["coarse", "pixel", "rmse"]["low"]) == pytest.approx(low, rel=1e-6)

    text = (tmp_path / "evaluation.md").read_text()
    assert text.index("## Mean over images") < text.index("## Pooled over pixels")
    assert text.index("## Pooled over pixels") < text.index("## Table 1 of the paper")
    assert f"| coarse | {values['image']['d1']:.3f} [" in text
    with Image.open(tmp_path / "samples" / "test.png") as sheet:
        assert min(sheet.size) > 300


@pytest.mark.slow
def test_protocols_of_a_run(run, capsys):
    asked = ("--protocol", "nyu_bts", "--alignment", "median", "--aggregation", "pixel")
    printed = evaluated(capsys, run, *asked)
    assert "Protocol nyu_bts with alignment median, aggregation pixel: crop nyu_toolbox" in printed
    assert "Only where there are predictions, 97.7% of the crop." in printed
    assert "each image scaled to the true median, clamped to 0.001..10 m" in printed
    assert "oracle scale" not in printed
    assert "pooled over pixels" in printed
    assert (run / "evaluation.json").exists()


@pytest.mark.slow
def test_the_mean_with_the_mirror_image_is_a_row_of_its_own(run, capsys, tmp_path):
    printed = evaluated(capsys, run, "--mirrored", "--out", tmp_path)
    assert "With flips: mean log depth of each image and of its mirror image." in printed
    assert "Oracle scale: coarse + fine with flips, each" in printed
    found = json.loads((tmp_path / "evaluation.json").read_text())["results"]
    assert list(found)[1:3] == ["coarse + fine", "coarse + fine with flips"]
    alone, both = list(found.values())[1:3]
    assert alone["image"]["rmse"] != both["image"]["rmse"]


@pytest.mark.slow
def test_a_chosen_checkpoint(run, capsys, tmp_path):
    assert "run, step 1: " in evaluated(capsys, run, "--checkpoint", 1, "--out", tmp_path)
    scores = {}
    for line in (run / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        if values.get("split") == "val":
            scores[values["step"]] = values["rmse_log_si"]
    best = min(scores, key=lambda step: (scores[step], step))
    printed = evaluated(capsys, run, "--checkpoint", "best", "--out", tmp_path)
    assert f"run, step {best}: " in printed
    for wrong in ("7", "bset", "-1"):
        error = refusal(capsys, run, f"--checkpoint={wrong}")
        assert f"no checkpoint of step '{wrong}': choose newest, best or one of 1, 2, 3" in error


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npy", ".mat", ".png"])
def test_predictions_made_elsewhere(suffix, truth, capsys, tmp_path):
    units = ["--units-per-metre", 1000] if suffix == ".png" else []
    factor = 1100 if suffix == ".png" else 1.1
    made = predictions(truth, tmp_path / "made", lambda depth: depth * factor, suffix)
    out = tmp_path / "out"
    printed = evaluated(capsys, made, "--data", truth, "--out", out, *units)
    assert "Predictions made: 3 images of split 'test'." in printed
    assert "(rows 2..46, columns 2..62 of 48x64)" in printed
    result = json.loads((out / "evaluation.json").read_text())
    numbers = result["results"]["predictions"]["image"]
    assert numbers["abs_rel"] == pytest.approx(0.1, abs=1e-3)
    assert numbers["rmse_log"] == pytest.approx(np.log(1.1), abs=1e-3)
    assert numbers["scale_share"] == pytest.approx(1, abs=1e-3)
    assert result["results"]["predictions"]["pixels"] == 3 * 44 * 60


@pytest.mark.slow
def test_the_baselines_of_predictions_are_those_of_a_split(truth, capsys, tmp_path):
    made = predictions(truth, tmp_path / "made", lambda depth: depth)
    out = tmp_path / "out"
    evaluated(capsys, made, "--data", truth, "--out", out, "--baselines", "train")
    results = json.loads((out / "evaluation.json").read_text())["results"]
    assert list(results) == ["predictions", "mean predictor", "constant"]
    logs = np.mean([np.log(true_depth(truth, number)) for number in range(4)], axis=0)
    for row, predicted in (("mean predictor", logs), ("constant", np.full((48, 64), logs.mean()))):
        d = [(predicted - np.log(true_depth(truth, k)))[2:46, 2:62] for k in (4, 5, 6)]
        rmse_log = np.mean([np.sqrt(np.mean(each**2)) for each in d])
        assert results[row]["image"]["rmse_log"] == pytest.approx(rmse_log, rel=1e-5)
    assert results["predictions"]["image"]["rmse"] == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_predictions_for_the_data_of_a_run(run, capsys, tmp_path):
    """A run's own predictions, written out and read back, have the run's numbers."""
    made = tmp_path / "all.npy"
    np.save(made, np.random.default_rng(0).uniform(2, 3, (4, 55, 74)))
    printed = evaluated(capsys, made, "--data", run, "--out", tmp_path / "out")
    assert "of 240x320" in printed
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert result["results"]["predictions"]["pixels"] == 4 * 220 * 296


def test_wrong_units_are_named_and_nothing_is_written(truth, capsys, tmp_path):
    out = tmp_path / "out"
    for name, change, words in (
        ("mm", lambda depth: depth * 1000, "as if they were millimetres"),
        ("inverse", lambda depth: 1 / depth, "inverse depth or disparity"),
        ("holes", lambda depth: np.where(depth > 3, 0, depth), "no usable depth (0, negative"),
        ("small", lambda depth: depth[:20], "20x64 pixels, but its image 48x64"),
    ):
        made = predictions(truth, tmp_path / name, change)
        assert words in refusal(capsys, made, "--data", truth, "--out", out)
    made = predictions(truth, tmp_path / "png", lambda depth: depth * 256, ".png")
    assert "which suggests 256" in refusal(capsys, made, "--data", truth, "--out", out)
    assert not out.exists()
    # a unit that is given is believed, and the doubt stands with the table
    printed = evaluated(capsys, made, "--data", truth, "--out", out, "--units-per-metre", 1000)
    assert "1/3.91 of the true depth" in printed
    assert "give --units-per-metre 256" in printed


@pytest.mark.slow
def test_mistakes(run, truth, capsys, tmp_path):
    made = predictions(truth, tmp_path / "made", lambda depth: depth)
    assert "no config.json. If it has predictions" in refusal(capsys, made)
    assert "no split 'tset'" in refusal(capsys, run, "--data", truth, "--split", "tset")
    weights = run / "weights.safetensors"
    assert "is a network without data" in refusal(capsys, weights)
    assert "without checkpoints: leave" in refusal(capsys, weights, "--checkpoint", "best")
    assert "Did you mean 'nyu_bts'?" in refusal(capsys, run, "--protocol", "nyu-bts")
    assert "Did you mean 'garg'?" in refusal(capsys, run, "--crop", "grag")
    assert "'kb' takes 352x1216" in refusal(capsys, run, "--crop", "kb")
    assert "--alignment" in refusal(capsys, run, "--alignment", "mean")
    assert "seed is -1" in refusal(capsys, run, "--seed", -1)
    with_data = (made, "--data", truth)
    assert "no split 'tset'" in refusal(capsys, *with_data, "--split", "tset")
    assert "352x1216" in refusal(capsys, *with_data, "--protocol", "kitti_benchmark")
    assert "is not a run: leave it out" in refusal(capsys, *with_data, "--mirrored")
    assert "no split 'x'" in refusal(capsys, *with_data, "--baselines", "x")
    assert "/nowhere" in refusal(capsys, made, "--data", "/nowhere")
    (made / "5.npy").unlink()
    assert "no prediction for 1 of 3 images, the first 5.jpg" in refusal(capsys, *with_data)


@pytest.mark.slow
def test_a_split_without_ground_truth(truth, capsys, tmp_path):
    made = predictions(truth, tmp_path / "made", lambda depth: depth)
    root = tmp_path / "blind"
    root.mkdir()
    for number in (4, 5, 6):
        (root / f"{number}.jpg").write_bytes((truth / f"{number}.jpg").read_bytes())
        Image.fromarray(np.zeros((48, 64), np.uint16)).save(root / f"{number}.png")
    write_index(root, [(f"{n}.jpg", f"{n}.png", "test", 1000) for n in (4, 5, 6)])
    assert "no pixel has a valid depth" in refusal(capsys, made, "--data", root)
    caps = ("--protocol", "garg_kitti", "--crop", "none")
    far = tmp_path / "far"
    far.mkdir()
    for number in (4, 5, 6):
        (far / f"{number}.jpg").write_bytes((truth / f"{number}.jpg").read_bytes())
        np.save(far / f"{number}.npy", np.full((48, 64), 90.0))
    write_index(far, [(f"{n}.jpg", f"{n}.npy", "test", "") for n in (4, 5, 6)])
    error = refusal(
        capsys, predictions(truth, tmp_path / "p", lambda d: d + 60), "--data", far, *caps
    )
    assert "no image of the evaluated set has a pixel with known depth" in error

"""What a run would cost: FLOPs against hand counts, memory, and the dry run that prints them."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest
from test_cli import refusal

from depthsi.cli import main
from depthsi.commands import dry_run
from depthsi.config import ComputeConfig, TwoScaleConfig
from depthsi.config_kinds import KINDS
from depthsi.presets import kitti, nyu, tiny
from depthsi.runs import RunDirectory
from depthsi.training.costs import (
    StepMemory,
    as_flops,
    count_flops,
    forward_flops,
    step_flops,
    step_memory,
)
from depthsi.training.parallel import make_mesh
from depthsi.training.stages import make_stages

FLOAT = jnp.float32


def shape(*sizes, dtype=FLOAT):
    return jax.ShapeDtypeStruct(sizes, dtype)


def convolve(image, kernel, stride=1, padding="SAME", groups=1):
    return jax.lax.conv_general_dilated(
        image,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def test_products_and_convolutions_cost_two_flops_per_multiply_add():
    assert count_flops(jnp.matmul, shape(3, 4), shape(4, 5)) == 2 * 3 * 4 * 5
    assert count_flops(jnp.matmul, shape(7, 3, 4), shape(7, 4, 5)) == 7 * 2 * 3 * 4 * 5
    image, kernel = shape(2, 12, 16, 3), shape(5, 5, 3, 8)
    assert count_flops(convolve, image, kernel) == 2 * (2 * 12 * 16 * 8) * (5 * 5 * 3)
    grouped = count_flops(lambda x, k: convolve(x, k, groups=3), image, shape(5, 5, 1, 6))
    assert grouped == 2 * (2 * 12 * 16 * 6) * (5 * 5)
    assert count_flops(jnp.sin, image) == 0


def test_loops_branches_and_calls_count_as_they_run():
    a, product = shape(4, 4), 2 * 4**3

    def loop(x):
        return jax.lax.scan(lambda y, _: (y @ x, None), x, length=10)[0]

    def branch(x):
        return jax.lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x)

    assert count_flops(loop, a) == 10 * product
    assert count_flops(branch, a) == 2 * product
    assert count_flops(jax.jit(lambda x: jax.jit(jnp.matmul)(x, x)), a) == product
    assert count_flops(jax.grad(lambda x: jnp.sum(jax.checkpoint(loop)(x))), a) == 40 * product


def test_the_gradient_of_a_strided_convolution_costs_two_forward_passes():
    image, kernel = shape(2, 32, 32, 3), shape(4, 4, 3, 8)

    def total(image, kernel):
        return jnp.sum(convolve(image, kernel, stride=4, padding="VALID") ** 2)

    forward = 2 * (2 * 8 * 8 * 8) * (4 * 4 * 3)
    assert count_flops(total, image, kernel) == forward
    assert count_flops(jax.grad(total, 1), image, kernel) == 2 * forward  # no input gradient
    assert count_flops(jax.grad(total, (0, 1)), image, kernel) == 3 * forward


# Output height, width and channels of each convolution, its window and its input channels: the
# paper's layers at the sizes of the authors' release (NYU; the first fine layer sees all rows).
COARSE = [
    (56, 75, 96, 11, 3),
    (27, 37, 256, 5, 96),
    (13, 18, 384, 3, 256),
    (13, 18, 384, 3, 384),
    (13, 18, 256, 3, 384),
]
FINE = [(111, 149, 63, 9, 3), (55, 74, 64, 5, 64), (55, 74, 1, 5, 64)]


def by_hand(layers):
    return [2 * h * w * out * k * k * channels for h, w, out, k, channels in layers]


@pytest.mark.slow
def test_the_paper_s_networks_by_hand():
    """And within what performance notes of the same networks measured: 3.1 and 1.35 GFLOP."""
    config = nyu()
    coarse, fine = (forward_flops(config, stage) for stage in make_stages(config))
    full = [2 * 12288 * 4096, 2 * 4096 * 55 * 74]
    assert coarse == sum(by_hand(COARSE)) + sum(full)
    assert fine - coarse == sum(by_hand(FINE))
    assert coarse == pytest.approx(3.1e9, rel=0.01)
    assert fine - coarse == pytest.approx(1.35e9, rel=0.01)


@pytest.mark.slow
def test_a_step_costs_the_trained_part_three_times_and_the_fixed_part_once():
    """But for the input gradient of the first layer, which nobody needs."""
    config = nyu()
    coarse_stage, fine_stage = make_stages(config)
    forward = forward_flops(config, coarse_stage)
    step = step_flops(config, coarse_stage)
    assert step == pytest.approx(3 * forward - by_hand(COARSE)[0], rel=0.01)
    fine = sum(by_hand(FINE))
    step = step_flops(config, fine_stage)
    assert step == pytest.approx(forward + 3 * fine - by_hand(FINE)[0], rel=0.01)


@pytest.mark.slow
def test_how_the_devices_share_a_step_does_not_change_its_flops():
    config = tiny()
    stage = make_stages(config)[0]
    plain = step_flops(config, stage)
    for compute in (ComputeConfig(accumulate=2), ComputeConfig(binding="pmap")):
        assert step_flops(dataclasses.replace(config, compute=compute), stage) == plain
    remat = dataclasses.replace(config, compute=ComputeConfig(remat=True))
    assert step_flops(remat, stage) >= plain


@pytest.fixture(scope="module")
def split_memory():
    """A step of the smallest network on 2 x 2 devices, fc6 and fc7 shared by two."""
    config = dataclasses.replace(nyu(), model=TwoScaleConfig(width=1 / 32))
    config = dataclasses.replace(config, compute=ComputeConfig(model_devices=2))
    mesh = make_mesh(config.schedule.batch_size, config.compute)
    return step_memory(config, make_stages(config)[0], mesh)


@pytest.mark.slow
def test_memory_of_one_device(split_memory):
    """Parameters of width 1/32: 3, 8, 12, 12, 8 channels, 128 units of fc6 divided by two."""
    convs = [
        (11 * 11 * 3 + 1) * 3,
        (25 * 3 + 1) * 8,
        (9 * 8 + 1) * 12,
        (9 * 12 + 1) * 12,
        (9 * 12 + 1) * 8,
    ]
    shared = [(6 * 8 * 8 + 1) * 128 // 2, 128 * 4070 // 2, 4070]
    fine = [(81 * 3 + 1) * 3, (25 * 4 + 1) * 4, 25 * 4 + 1]
    assert split_memory.parameters == 4 * (sum(convs) + sum(shared) + sum(fine))
    momentum = 4 * (sum(convs) + sum(shared))
    assert momentum <= split_memory.optimiser <= momentum + 100  # and a few counters
    assert split_memory.batch == 8 * 240 * 320 * (3 + 4)
    assert split_memory.temporaries > momentum  # gradients at least


def printed(capsys, *arguments):
    capsys.readouterr()
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out


@pytest.fixture
def no_compiling(monkeypatch):
    """The full networks take seconds to compile, and their memory has a test of its own."""
    memory = StepMemory(283_508_684, 283_030_936, 17_203_200, 1_000_000_000)
    monkeypatch.setattr(dry_run, "step_memory", lambda *_: memory)


@pytest.mark.slow
@pytest.mark.usefixtures("no_compiling")
def test_the_paper_s_numbers_reappear(tmp_path, capsys):
    run = tmp_path / "run"
    out = " ".join(printed(capsys, "train", "nyu", "--run", run, "--dry-run").split())
    for words in (
        "two_scale (width 1), geometry nyu A input, output 228x304, 55x74",
        "coarse 70,757,734 parameters fine 119,437 parameters in all 70,877,171 parameters",
        "devices 4 x cpu, mesh of 4 (data) x 1 (model), jit, float32",
        "batch 32 images, 8 on each device",
        "data folder, but its directory is not set yet: set --data.root",
        "stage coarse 62,500 steps, 2,000,000 samples per image 3.10 GFLOP to predict, 9.0",
        "memory 1.58 GB: parameters 283.5 MB, optimiser 283.0 MB, batch 17.2 MB, activations",
        "stage fine 46,875 steps, 1,500,000 samples per image 4.46 GFLOP to predict, 6.6",
    ):
        assert words in out
    assert not run.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_compiling")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kitti"], "in all 90,881,799 parameters"),
        (["nyu", "--data.root", "/nowhere"], "folder /nowhere (not a directory yet), split"),
        (["nyu", "--data.kind", "prepared", "--data.root", "."], "data prepared ., split train; s"),
        (["tiny"], "data 32 rooms, rendered at the start; 8 others for validation"),
        (["tiny", "--schedule.eval-every", "0"], "data 32 rooms, rendered at the start stage"),
        (
            ["tiny", "--data.endless"],
            "a new room in each sample, rendered on the devices; 8 others",
        ),
        (["tiny", "--data.resident"], "32 rooms, rendered at the start, kept in device memory; 8"),
        (["tiny", "--model.kind", "unet"], "unet (medium), geometry nyu A"),
        (["tiny", "--compute.accumulate", "2"], "2 on each device in 2 parts"),
    ],
)
def test_what_a_dry_run_says_of_other_settings(arguments, words, tmp_path, capsys):
    out = printed(capsys, "train", *arguments, "--run", tmp_path / "run", "--dry-run")
    assert words in " ".join(out.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("no_compiling")
def test_unknown_temporaries_are_not_made_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dry_run, "step_memory", lambda *_: StepMemory(10**6, 2 * 10**6, 0, None))
    out = printed(capsys, "train", "tiny", "--run", tmp_path, "--dry-run")
    assert "parameters 1.0 MB, optimiser 2.0 MB, batch 0.0 MB; activations are unknown\n" in out


@pytest.mark.slow
@pytest.mark.usefixtures("no_compiling")
def test_a_dry_run_refuses_what_a_training_would(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    start = ["train", "tiny", "--run", tmp_path, "--dry-run"]
    assert "already has another run" in refusal(capsys, *start)
    assert "is not a run" in refusal(capsys, *start, "--resume")
    start[3] = tmp_path / "new"
    assert "batch-size is 6, which 4" in refusal(capsys, *start, "--schedule.batch-size", 6)
    assert "nowhere" in refusal(capsys, *start, "--init.weights", "nowhere")
    RunDirectory(start[3]).create(tiny())
    assert "20 steps, 160 samples" in printed(capsys, *start, "--resume")
    assert [path.name for path in start[3].iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (3.104e9, "3.10 GFLOP"),
        (31.24e6, "31.2 MFLOP"),
        (1.2e8, "0.12 GFLOP"),
        (2e12, "2000.00 GFLOP"),
    ],
)
def test_flops_in_words(count, words):
    assert as_flops(count) == words


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two_scale", "unet"])
def test_info_of_a_run_counts_parameters_and_flops(kind, tmp_path, capsys):
    size = {} if kind == "two_scale" else {"size": "small"}
    model = KINDS["model"][kind](geometry="kitti", **size)
    config = dataclasses.replace(kitti(), model=model)
    RunDirectory(tmp_path).create(config)
    out = printed(capsys, "info", tmp_path)
    assert [line for line in out.splitlines() if line.startswith("stage")] == [
        f"stage {stage.name}: steps {stage.start + 1} to {stage.end}; per image"
        f" {forward_flops(config, stage) / 1e9:.2f} GFLOP to predict,"
        f" {step_flops(config, stage) / 1e9:.2f} GFLOP to train on"
        for stage in make_stages(config)
    ]
    if kind == "two_scale":
        assert "70,757,734" not in out
        assert "4.29 GFLOP to predict" in out
    assert json.loads((tmp_path / "config.json").read_text())["model"]["kind"] == kind

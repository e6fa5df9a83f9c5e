"""Reading a compiled program's exchanges, and the table of programs compiled for TPUs."""

import importlib.metadata
import itertools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from depthsi.config import ComputeConfig, Config
from depthsi.errors import DepthsiError
from depthsi.presets import from_scratch
from experiments.benchmarks import compile_tpu
from experiments.benchmarks.compile_tpu import Arguments, Case, compile_step
from experiments.benchmarks.exchanges import Exchange, array_bytes, exchanges
from experiments.benchmarks.scale_model import CONVOLUTIONS, FC6, FC7, sent_bytes

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments"

# As the compilers for TPUs, GPUs and CPUs write them, shortened.
PROGRAM = """\
HloModule jit_step, is_scheduled=true

%add.5 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %add = f32[]{:T(128)} add(%a, %b)
}

%body.7 (p: (s32[], bf16[8,2])) -> (s32[], bf16[8,2]) {
  %moved = bf16[8,2]{1,0} collective-permute(%x), channel_id=6, source_target_pairs={{0,1},{1,0}}
}

%all-reduce-scatter.1 (input.1: bf16[64,10]) -> bf16[32,10] {
  %all-reduce.34 = bf16[64,10]{1,0:T(8,128)(2,1)} all-reduce(%input.1), channel_id=7, \
replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add.5
}

%beside.1 (param_0: bf16[2,6]) -> bf16[16,6] {
  %all-gather.17 = bf16[16,6]{1,0} all-gather(%param_0), channel_id=19, replica_groups=[1,8]<=[8]
}

%beside.2 (param_0: bf16[2,6]) -> bf16[16,6] {
  %all-gather.19 = bf16[16,6]{1,0} all-gather(%param_0), channel_id=19, replica_groups=[1,8]<=[8]
}

ENTRY %main.1 (x: f32[4], /*index=5*/y: u8[2]) -> (f32[], f32[4]) {
  %all-reduce.1 = f32[]{:T(128)} all-reduce(%f), channel_id=1, replica_groups=mesh['axis_0'=4] \
{'axis_0'}, use_global_device_ids=true, to_apply=%add.5, metadata={op_name="all-gather(f32[9])"}
  %all-reduce.2 = (f32[96]{0:T(128)S(1)}, bf16[3,2]{1,0:T(4,128)S(1)}, /*index=5*/pred[7]{0}) \
all-reduce(%g, %h, /*index=5*/%i), replica_groups=mesh['data'=2,'model'=4], \
device_ids=([2,4]T(1,0)) {'model'}, to_apply=%add.5
  %ags = (f32[2,3]{1,0}, f32[8,3]{1,0}) all-gather-start(f32[2,3]{1,0} %y), channel_id=3, \
replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}
  %agt = (f32[1]{0}, f32[8]{0}) all-gather-start(%z), channel_id=4, replica_groups={}
  %agd = f32[8,3]{1,0} all-gather-done((f32[2,3]{1,0}, f32[8,3]{1,0:T(8,128)}) %ags)
  %age = f32[8]{0} all-gather-done(%agt)
  %rs = bf16[5]{0} reduce-scatter(bf16[20]{0} %z), replica_groups=[2,4]<=[8], dimensions={0}
  %a1 = (s4[3]{0}, s4[3]{0}) all-to-all(%u, %v), replica_groups={}
  %a2 = (s4[3]{0}, s4[3]{0}) all-to-all(%u, %v), replica_groups={}
  %alone = f32[100]{0} all-gather(%w), replica_groups=mesh['data'=8,'model'=1] {'model'}
  %loop = (s32[], bf16[8,2]{1,0}) while(%tuple), condition=%cond.6, body=%body.7
  ROOT %fusion = f32[64]{0} fusion(%all-reduce.1), kind=kLoop, calls=%all-reduce-like, \
metadata={op_name="jit(step)/psum all-reduce(x)"}
}
"""


def test_every_exchange_of_a_program_is_found_once():
    assert exchanges(PROGRAM, 8) == [
        Exchange("collective-permute", 8, 32, looped=True),
        Exchange("reduce-scatter", 2, 1280),
        Exchange("all-gather", 8, 192),
        Exchange("all-reduce", 4, 4),
        Exchange("all-reduce", 4, 384 + 12 + 7),
        Exchange("all-gather", 4, 96),
        Exchange("all-gather", 8, 32),
        Exchange("reduce-scatter", 4, 40),
        Exchange("all-to-all", 8, 4),
        Exchange("all-to-all", 8, 4),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f32[]", 4),
        ("bf16[12288,4096]{1,0:T(8,128)(2,1)}", 2 * 12288 * 4096),
        ("pred[5]", 5),
        ("u8[3,3]", 9),
        ("s4[3]", 2),
        ("f8e4m3fn[10]", 10),
        ("c64[2]", 16),
        ("(s32[2]{0}, f64[0,3]{1,0}, token[])", 8),
    ],
)
def test_bytes_of_a_type(text, expected):
    assert array_bytes(text) == expected


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("all-reduce", 150),  # each of four parts goes three steps round, and three again
        ("all-gather", 75),
        ("reduce-scatter", 75),
        ("all-to-all", 75),
        ("collective-permute", 100),
    ],
)
def test_bytes_sent_round_a_ring_of_four(kind, sent):
    assert Exchange(kind, 4, 100).sent == pytest.approx(sent)


@pytest.mark.slow
def test_a_program_compiled_here_is_read():
    """Two parts of a product are added up: one all-reduce of its 3 x 5 numbers, among 2 of 4."""
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("data", "model"))
    shards = [NamedSharding(mesh, PartitionSpec(*s)) for s in ((None, "model"), ("model", None))]
    product = jax.jit(
        jnp.matmul, in_shardings=shards, out_shardings=NamedSharding(mesh, PartitionSpec())
    )
    text = product.lower(jnp.ones((3, 4)), jnp.ones((4, 5))).compile().as_text()
    assert text is not None
    assert exchanges(text, 4) == [Exchange("all-reduce", 2, 60)]


@pytest.mark.slow
def test_groups_exchange_activations_and_not_weights():
    """2 x 2 devices, and so many images that the compiler alone would gather the weights."""
    compute = ComputeConfig(model_devices=2)
    config = Config(model=from_scratch(width=0.0625), compute=compute)
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("data", "model"))
    compiled = compile_step(config, Case("cpu", "coarse", 2, 256), mesh, "cpu")
    text = compiled.as_text()
    assert text is not None
    among = [each for each in exchanges(text, 4) if each.group == 2]
    images, features, units, pixels = 2 * 256, 6 * 8 * 16, 256, 55 * 74  # of a group, in float32
    gathered = sorted(each.payload for each in among if each.kind == "all-gather")
    assert gathered[-2:] == [4 * images * features, 4 * images * pixels]
    halves = 4 * (features * units + units + units * pixels) // 2
    added = 4 * images * (features + pixels) + halves
    rest = sum(each.payload for each in among) - sum(gathered[-2:]) - added
    assert 0 <= rest < 20_000  # norms, losses, biases


def row(**changes):
    return {
        "devices": 4,
        "flops": 2.5e9,
        "argument_bytes": 7e6,
        "output_bytes": 5e6,
        "reused_bytes": 4e6,
        "temporary_bytes": 3e6,
        "program_bytes": 1e6,
        "needed_bytes": 12e6,
        "memory_bytes": 16e9,
        "fits": True,
        "seconds": 1,
        "exchanges": [
            {"kind": "all-reduce", "group": 4, "payload": 2_000_000, "looped": False},
            {"kind": "all-reduce", "group": 4, "payload": 4_000_000, "looped": False},
        ],
    } | changes


def test_what_is_there_is_kept_and_the_rest_compiled_in_order(tmp_path, monkeypatch):
    cases = [Case("v5e:2x2", "coarse", 1, 32), Case("v5e:2x2", "fine", 2, 32)]
    cases.append(Case("v4:2x2x2", "fine", 2, 32))
    asked = []

    def compile_case(case):
        asked.append(case)
        return row() if case.stage == "coarse" else {"fits": False, "refused": "too large"}

    versions = {"jax": "1", "libtpu": "2"}
    monkeypatch.setattr(compile_tpu, "CASES", cases)
    monkeypatch.setattr(compile_tpu, "compile_case", compile_case)
    monkeypatch.setattr(compile_tpu, "installed_versions", lambda: versions)
    out = tmp_path / "new" / "table"
    compile_tpu.main(Arguments(only="v4", out=str(out)))
    compile_tpu.main(Arguments(only="v5e", out=str(out)))
    compile_tpu.main(Arguments(out=str(out)))
    assert asked == [cases[2], cases[0], cases[1]]
    rows = json.loads(out.with_suffix(".json").read_text())["rows"]
    assert list(rows) == [case.title for case in cases]

    lines = out.with_suffix(".md").read_text().splitlines()
    beginning = "| v5e:2x2 | coarse | copies | 32 | "
    (numbers, listed) = [line for line in lines if line.startswith(beginning)]
    assert numbers == beginning + "2.5 | 7 | 3 | 5 | 0.01 of 16 | yes | 9.0 |"
    assert listed == beginning + "2 all-reduce among 4, 6.00 MB |"
    (refused,) = [line for line in lines if line.startswith("| v5e:2x2 | fine | split in 2 | 32")]
    assert "no: too large" in refused

    versions["libtpu"] = "3"
    compile_tpu.main(Arguments(only="v5e", out=str(out)))
    assert asked[3:] == cases[:2]


def test_the_committed_table_is_of_the_committed_numbers():
    saved = json.loads((EXPERIMENTS / "results" / "compile_tpu.json").read_text())
    table = (EXPERIMENTS / "results" / "compile_tpu.md").read_text()
    assert compile_tpu.report(saved) == table
    assert list(saved["rows"]) == [case.title for case in compile_tpu.CASES]

    quoted = (ROOT / "docs" / "launch.md").read_text()
    for layers, images in itertools.product(("copies", "split in 16"), (32, 4)):
        row = saved["rows"][f"v5e:16x16 | coarse | {layers} | {images}"]
        sent = sum(Exchange(**each).sent for each in row["exchanges"])
        numbers = f"{row['flops'] / 1e9:.1f} | {row['needed_bytes'] / 1e9:.2f} | {sent / 1e6:.1f} |"
        assert f"| {layers} | {images} | {numbers}" in quoted


def test_the_arithmetic_behind_the_choice_of_the_sharding():
    """Gradients of copies: convolutions and fc6 in bfloat16, fc7 in float32 (paper, Figure 1)."""
    saved = json.loads((EXPERIMENTS / "results" / "compile_tpu.json").read_text())["rows"]
    gradients = 2 * (CONVOLUTIONS + FC6) + 4 * FC7
    copies = saved["v5e:16x16 | coarse | copies | 32"]["exchanges"]
    assert sum(each["payload"] for each in copies) == pytest.approx(gradients, abs=100)
    split = saved["v5e:16x16 | coarse | split in 16 | 32"]["exchanges"]
    sent = sum(Exchange(**each).sent for each in split)
    assert sent == pytest.approx(sent_bytes(256, 16, 32)[0], rel=0.002)


def test_no_compiler_for_tpus_is_one_sentence(tmp_path, monkeypatch):
    def version(name):
        if name == "libtpu":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(DepthsiError, match=r"not installed: run pip install 'depthsi\[tpu\]'"):
        compile_tpu.main(Arguments(out=str(tmp_path / "table")))
    assert not list(tmp_path.iterdir())

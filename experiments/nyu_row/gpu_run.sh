#!/usr/bin/env bash
# The row of NYU Depth v2, for both kinds of network, in one short visit to a machine with a GPU.
#
# Question:  what do minutes of a large GPU make of the 719 labelled pairs and of procedural rooms?
# Command:   once, where the data is (git ignores build/: what is in it has to be brought along):
#              python -m experiments.nyu_row.pack_pairs pack ../shared/data/nyu_labelled build/nyu_pairs.npz
#              pip download --no-deps --only-binary=:all: --python-version 3.12 -d build/wheels \
#                flax==0.12.8 optax==0.2.8 orbax-checkpoint==0.12.8 \
#                tyro==1.0.17 docstring-parser typeguard
#            there, with the repository, build/nyu_pairs.npz (51 MiB) and build/wheels (3 MiB):
#              OUT="$OUT" bash experiments/nyu_row/gpu_run.sh
#            or, for measurements without training, or what of either would be run:
#              OUT="$OUT" MINUTES=0 bash experiments/nyu_row/gpu_run.sh --benchmarks
#              DRY=1 bash experiments/nyu_row/gpu_run.sh --benchmarks
#            A kind alone gets more done: KINDS=two_scale, another time KINDS=unet.
# Time:      MINUTES for the trainings of all KINDS together; evaluations, start and packing come on
#            top, about a minute for each kind (an estimate, not measured). FAST=1 tries everything
#            out with tiny networks on a CPU, in two idle minutes.
# Result:    in $OUT, at most six files: results.tar.gz (row.json, settings, metrics.jsonl,
#            evaluations, pictures, the log), tries.json with the numbers on val, and the weights as
#            float16 in parts of 15 MiB, KIND.npz.00, .01 ... None has been brought back yet.
#
# Parts that lie in build/start (KIND.npz.00 ...) begin the next visit's trainings. With them, pack
# less: --splits train val gives a file of 32 MiB.
#
# Variables: MINUTES (7), KINDS ("two_scale unet"), PAIRS (build/nyu_pairs.npz), OUT (runs/gpu_out),
# RUNS (runs/gpu), NAME (of the try, appended to the kind), ROW ("--width 0.5 --seed 1 ...": more
# words for nyu_row.py), WEIGHTS_OF (nyu, or rooms), WEIGHTS_MIB (44, of all kinds together),
# BENCH_SECONDS (150, for each benchmark), PYTHON (python3), FOLDER (for the unpacked pairs), WHEELS
# (build/wheels).
set -euo pipefail
cd "$(dirname "$0")/.."

FAST=${FAST:-0} DRY=${DRY:-0} PYTHON=${PYTHON:-python3} KINDS=${KINDS:-two_scale unet}
PAIRS=${PAIRS:-build/nyu_pairs.npz} OUT=${OUT:-runs/gpu_out}
RUNS=${RUNS:-runs/gpu} NAME=${NAME:-} ROW=${ROW:-} BENCH_SECONDS=${BENCH_SECONDS:-150}
WEIGHTS_OF=${WEIGHTS_OF:-nyu} WEIGHTS_MIB=${WEIGHTS_MIB:-44}
MINUTES=${MINUTES:-$([ "$FAST" = 1 ] && echo 60 || echo 7)}
FOLDER=${FOLDER:-build/$(basename "$PAIRS" .npz)} WHEELS=${WHEELS:-build/wheels} BENCHMARKS=0
sizes=(--sizes gpu --shorten) step=(--width 1 --batch 64) scaling=(--batch 64 --rounds 10)
losses=(--frames 256 --rounds 20) data=(--batch 256 --width 1 --calls 20)
if [ "$FAST" = 1 ]; then
  sizes=(--sizes tiny --precision bfloat16) step=(--width 0.0625 --batch 4 --rounds 1)
  scaling=(--width 0.0625 --batch 4 --devices 1 --rounds 1 --saves 1 --starts 1)
  losses=(--frames 1 --rounds 1) data=(--batch 4 --width 0.0625 --calls 1)
fi
for word in "$@"; do
  case $word in
    --benchmarks) BENCHMARKS=1 ;;
    *)
      echo "gpu_run: $word is unknown; the only word is --benchmarks, see the script's head." >&2
      exit 2
      ;;
  esac
done

say() { printf '+ %s\n' "$*"; }
run() { say "$@"; [ "$DRY" = 1 ] || "$@"; }
each() { # an equal part of $1 for each kind
  awk -v total="$1" -v kinds="$(wc -w <<<"$KINDS")" 'BEGIN { printf "%.3g", total / kinds }'
}

site() { # wheels brought along, in front of what the machine has
  if compgen -G "$WHEELS/*.whl" >/dev/null; then
    run "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --upgrade \
      --target build/site "$WHEELS"/*.whl
    export PYTHONPATH=$PWD/build/site:$PWD
  else
    export PYTHONPATH=$PWD
  fi
  export PYTHONUNBUFFERED=1
  # evaluations compile the same programs over and over
  if [ "$FAST" != 1 ]; then export JAX_COMPILATION_CACHE_DIR=$PWD/build/jax_cache; fi
}

check() { # says what is there, and fails before any time is spent
  run env FAST="$FAST" "$PYTHON" -c '
import importlib.metadata as metadata, os
import jax
for name in ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "pillow", "matplotlib"):
    print(name, metadata.version(name))
print("devices:", jax.devices())
if jax.default_backend() == "cpu" and os.environ["FAST"] != "1":
    raise SystemExit("gpu_run: jax sees no GPU here; FAST=1 tries everything out on a CPU.")
import depthsi.commands.evaluate, depthsi.commands.train, depthsi.viz.depth_maps'
}

start_of() { # joins the parts brought along; names the file, or nothing
  if [ -e "build/start/$1.npz.00" ]; then
    mkdir -p "$RUNS"
    cat "build/start/$1.npz".[0-9][0-9] >"$RUNS/$1.start.npz"
    echo "--start $RUNS/$1.start.npz"
  fi
}

row() { # $1: kind of network
  local name=$1$NAME
  # shellcheck disable=SC2046,SC2086  # ROW and start_of are words, not one word
  run "$PYTHON" -m experiments.nyu_row.run "${sizes[@]}" --kind "$1" --root "$FOLDER" \
    --run "$RUNS/$name" --minutes "$(each "$MINUTES")" $(start_of "$1") $ROW &&
    run "$PYTHON" -m experiments.nyu_row.small_weights "$RUNS/$name/$WEIGHTS_OF" "$RUNS/$1.npz" \
      --most-mib "$(each "$WEIGHTS_MIB")" &&
    run split -d -b 15M "$RUNS/$1.npz" "$OUT/$1.npz."
}

benchmark() { # $1: its name; the rest: its arguments
  local name=$1
  shift
  run timeout "$BENCH_SECONDS" "$PYTHON" "experiments/benchmarks/$name.py" "$@" \
    --out "$RUNS/benchmark_$name" || echo "gpu_run: the benchmark $name did not end well."
}

benchmarks() { # those whose libraries are there
  if [ "$DRY" != 1 ] && ! "$PYTHON" -c 'import tyro' 2>/dev/null; then
    echo "gpu_run: no benchmarks, since tyro is not there: bring build/wheels, see the head."
    return
  fi
  benchmark step "${step[@]}"
  benchmark scaling "${scaling[@]}"
  benchmark losses "${losses[@]}"
  if [ "$DRY" = 1 ] || "$PYTHON" -c 'import cv2, grain, torch' 2>/dev/null; then
    benchmark data "${data[@]}"
  else
    echo "gpu_run: the benchmark data is left out: it needs grain, OpenCV and PyTorch."
  fi
}

bundle() { # whatever there is by now, also after a failure
  [ "$DRY" = 1 ] && return
  mkdir -p "$OUT" "$RUNS"
  [ ! -e "$RUNS/tries.json" ] || cp "$RUNS/tries.json" "$OUT/"
  tar -czf "$OUT/.results.tmp" --exclude=checkpoints --exclude=pairs --exclude='*.np[yz]' \
    --exclude='val_best/samples' --exclude=.lock -C "$RUNS" .
  mv "$OUT/.results.tmp" "$OUT/results.tar.gz"
  ls -l "$OUT"
}

main() {
  local status=0
  trap bundle EXIT
  [ "$DRY" = 1 ] || mkdir -p "$OUT" "$RUNS"
  site
  check
  if [ "$MINUTES" != 0 ]; then
    run "$PYTHON" -m experiments.nyu_row.pack_pairs unpack "$PAIRS" "$FOLDER"
    for kind in $KINDS; do
      row "$kind" || status=1 # the other kinds may do better
      bundle
    done
  fi
  if [ "$BENCHMARKS" = 1 ]; then benchmarks; fi
  return "$status"
}

if [ "$DRY" = 1 ]; then
  main
else
  mkdir -p "$RUNS"
  main 2>&1 | tee "$RUNS/gpu_run.log"
fi

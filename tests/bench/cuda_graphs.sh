#!/bin/sh
# What CUDA graphs and the vision graph bring on an NVIDIA GPU: agreement with the recorded values
# first, then speed at full size with random weights, with CUDA graphs and without.
#
#   tests/bench/cuda_graphs.sh DROPLEAF WORK [ROUNDS]
#
# DROPLEAF is the program; ONNX Runtime for CUDA stands in $DROPLEAF_DATA/lib/cuda. WORK is a folder
# with 20 GB; a checkpoint that is there from an earlier run is used again. ROUNDS (default 1) is how
# often each measurement is made: medians are taken within one. Builds nothing; needs python3 with
# numpy. What is printed goes to $OUT too (a folder; default: WORK). About 4 minutes.
set -u
program=$1
work=$2
rounds=${3:-1}
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
values="$here/../data"
out=${OUT:-$work}
mkdir -p "$work" "$out"
failed=0
step() {
    name=$1
    shift
    began=$(date +%s)
    "$@" > "$out/$name.txt" 2>&1
    code=$?
    echo "== $name: $(($(date +%s) - began)) s, exit $code"
    [ $code -eq 0 ] || { tail -n 15 "$out/$name.txt"; failed=1; }
}

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
for checkpoint in tiny-deepseek-ocr tiny-reader; do
    step "import-$checkpoint" "$program" model import "$values/$checkpoint" --force
    step "verify-$checkpoint" "$program" model verify "$checkpoint" --reference "$values/$checkpoint" --device cuda
done
[ -f "$work/full/config.json" ] || step checkpoint python3 "$here/random_checkpoint.py" "$work/full"
step import-full "$program" model import "$work/full" --force

printf '[deepseek]\ncuda_graphs = true\n' > "$work/with.toml"
printf '[deepseek]\ncuda_graphs = false\n' > "$work/without.toml"
for round in $(seq "$rounds"); do
    step "bench-with-$round" "$program" --config "$work/with.toml" model bench full --device cuda --pages 256
    step "bench-without-$round" "$program" --config "$work/without.toml" model bench full --device cuda --pages 0
done

# Rows of the bench's table are "sequences, ms a step, tokens/s, ...".
rows() { awk '/^ +[0-9]+ +[0-9.]+ +[0-9]+ /{ print $1, $2, $3 }' "$1"; }
for round in $(seq "$rounds"); do
    echo
    echo "round $round: sequences, ms and tokens/s with CUDA graphs, ms and tokens/s without"
    rows "$out/bench-with-$round.txt" > "$work/a"
    rows "$out/bench-without-$round.txt" > "$work/b"
    paste -d ' ' "$work/a" "$work/b" | awk '{ printf "%9s %9s %8s %9s %8s\n", $1, $2, $3, $5, $6 }'
    grep -E "recorded|without CUDA graphs|a view|an A4 page|pages/s|device memory" "$out/bench-with-$round.txt"
done
grep -h "CUDA graphs cannot be used" "$out"/bench-with-*.txt && failed=1
exit $failed

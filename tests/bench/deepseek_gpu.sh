#!/bin/sh
# The DeepSeek-OCR engine on an NVIDIA GPU: agreement with the recorded values, then speed at full
# size with random weights.
#
#   tests/bench/deepseek_gpu.sh DROPLEAF WORK
#
# DROPLEAF is the program; ONNX Runtime for CUDA stands in $DROPLEAF_DATA/lib/cuda. WORK is an empty
# folder with 20 GB. Builds nothing; needs python3 with numpy. What is printed goes to $OUT too (a
# folder; default: WORK).
set -u
program=$1
work=$2
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
values="$here/../data"
out=${OUT:-$work}
mkdir -p "$work"
failed=0
step() {
    name=$1
    shift
    echo "== $name"
    "$@" > "$out/$name.txt" 2>&1
    code=$?
    tail -n 60 "$out/$name.txt"
    [ $code -eq 0 ] || { echo "FAILED with $code: $name"; failed=1; }
}

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
for checkpoint in tiny-deepseek-ocr tiny-reader; do
    step "import-$checkpoint" "$program" model import "$values/$checkpoint" --force
    for cache in bfloat16 int8; do
        step "verify-$checkpoint-$cache" "$program" model verify "$checkpoint" --reference "$values/$checkpoint" --device cuda --cache $cache
    done
done
step checkpoint python3 "$here/random_checkpoint.py" "$work/full"
step import-memory python3 "$here/import_memory.py" "$program" "$work/full" --data "$work"
step import-full "$program" model import "$work/full" --force
for cache in bfloat16 int8; do
    step "bench-$cache" "$program" model bench full --device cuda --cache $cache
done
exit $failed

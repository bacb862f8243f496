#!/usr/bin/env python3
"""Compares the CUDA kernels of the vision towers with plain arithmetic and times them.

    kernels.py

Needs an NVIDIA GPU, torch and cupy. Inputs are drawn anew with each run, outputs are poisoned; the error
is that of the norm of all differences, relative; one above 5e-3 (bfloat16 rounds by 2e-3) is a fault.
Builds nothing: the translations in the tree are loaded as the program loads them.
"""

import math
import pathlib
import sys
import time
import warnings

import cupy
import torch

KERNELS = pathlib.Path(__file__).resolve().parents[2] / "src/engine/session/operators/kernels"
WORST = 5e-3
QUERIES, THREADS = 128, 128  # of a block of attention
# Keys of a tile, by kernel; else 64.
KEYS = {"relative_attention_14": 80, "relative_attention_40": 80}
faults = []
random = torch.Generator(device="cuda").manual_seed(int(time.time()))


def draw(*shape, scale=1.0):
    return torch.randn(*shape, generator=random, device="cuda") * scale


def pointer(tensor):
    return cupy.uint64(tensor.data_ptr())


def launch(kernel, grid, block, arguments, shared=0):
    with cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream):
        kernel(grid, block, arguments, shared_mem=shared)


def microseconds(run, times=9, of=10):
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(of):
            run()
    graph.replay()
    taken = []
    for _ in range(times):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        graph.replay()
        ended.record()
        ended.synchronize()
        taken.append(began.elapsed_time(ended) / of * 1e3)
    return sorted(taken)[times // 2]


def told(what, found, expected, run, work, unit):
    error = ((found.double() - expected.double()).norm() / expected.double().norm()).item()
    if not error < WORST:
        faults.append(what)
    took = microseconds(run)
    print(f"{what:52} error {error:.1e}  {took:8.1f} us  {work / took / 1e6:7.2f} {unit}", flush=True)


def poison(*shape):
    return torch.full(shape, float("nan"), device="cuda", dtype=torch.bfloat16)


def module(name):
    return cupy.RawModule(path=str(KERNELS / f"{name}.ptx"))


def norm(rows, width):
    product, bias, stream = draw(rows, width).bfloat16(), draw(width), draw(rows, width, scale=3)
    scale, shift, normed = draw(width), draw(width), poison(rows, width)
    total = torch.full((rows, width), float("nan"), device="cuda")
    kernel, threads = module("norm").get_function("layer_norm"), (width // 8 + 31) // 32 * 32
    arguments = [*map(pointer, (product, bias, stream, scale, shift, normed, total)),
                 cupy.uint32(width), cupy.float32(1e-6)]
    run = lambda: launch(kernel, (rows,), (threads,), tuple(arguments))
    run()
    added = stream.double() + product.double() + bias
    expected = torch.nn.functional.layer_norm(added, (width,), scale.double(), shift.double(), 1e-6)
    if not torch.allclose(total.double(), added, rtol=1e-5, atol=1e-5):
        faults.append(f"sum of norm {rows} x {width}")
    told(f"layer_norm {rows} x {width}", normed, expected, run, rows * width * 12, "TB/s")


def gelu(name, function, rows, width):
    x, bias, out = draw(rows, width, scale=2).bfloat16(), draw(width), poison(rows, width)
    kernel, eights = module("gelu").get_function(name), rows * width // 8
    arguments = (*map(pointer, (x, bias, out)), cupy.uint32(eights), cupy.uint32(width // 8))
    run = lambda: launch(kernel, ((eights + 255) // 256,), (256,), arguments)
    run()
    told(f"{name} {rows} x {width}", out, function(x.double() + bias), run, rows * width * 4, "TB/s")


def neighbours(views, side, channels, stride):
    x, along = draw(views, side * side, channels), (side - 1) // stride + 1
    out = torch.full((views, along * along, 9 * channels), float("nan"), device="cuda")
    kernel = module("neighbours").get_function("neighbours")
    arguments = (pointer(x), pointer(out), *map(cupy.uint32, (side, along, stride, channels // 4)))
    run = lambda: launch(kernel, (views * along * along,), (192,), arguments)
    run()
    maps = x.transpose(1, 2).reshape(views, channels, side, side)
    rows = torch.nn.functional.unfold(maps, 3, padding=1, stride=stride)
    rows = rows.view(views, channels, 9, -1).permute(0, 3, 2, 1).reshape(out.shape)
    bytes_ = (x.numel() + out.numel()) * 4
    told(f"neighbours {views} x {side}^2 x {channels} / {stride}", out, rows, run, bytes_, "TB/s")


def plain(qkv, bias, rows, columns, grid, side, heads, dim):
    """Attention in 32 bits; with `grid`, in windows of `side` tokens of a padded view."""
    views, _, width = qkv.shape[0], qkv.shape[1], heads * dim
    parts = list(qkv.float().split(width, 2))
    if grid:
        along = (grid + side - 1) // side
        beyond = along * side - grid

        def cut(x):
            x = torch.nn.functional.pad(x.view(views, grid, grid, width), (0, 0, 0, beyond, 0, beyond))
            x = x.view(views, along, side, along, side, width).permute(0, 1, 3, 2, 4, 5)
            return x.reshape(-1, side * side, width)

        parts = [cut(x) for x in parts]
    parts[0] = (parts[0] + bias).bfloat16().float()
    q, k, v = (x.view(x.shape[0], -1, heads, dim).transpose(1, 2) for x in parts)
    out = torch.empty_like(q)
    for i in range(q.shape[0]):
        scores = q[i] @ k[i].transpose(-1, -2) / math.sqrt(dim)
        if grid:
            at = torch.arange(side, device="cuda")
            between = at[:, None] - at[None, :] + side - 1
            square = q[i].view(heads, side, side, dim)
            by_row = torch.einsum("hyxd,yvd->hyxv", square, rows.float()[between])
            by_column = torch.einsum("hyxd,xud->hyxu", square, columns.float()[between])
            scores = scores.view(heads, side, side, side, side)
            scores = (scores + by_row[..., :, None] + by_column[..., None, :]).flatten(3).flatten(1, 2)
        out[i] = scores.softmax(-1) @ v[i]
    out = out.transpose(1, 2).reshape(q.shape[0], -1, width)
    if grid:
        out = out.view(views, along, along, side, side, width).permute(0, 1, 3, 2, 4, 5)
        out = out.reshape(views, along * side, along * side, width)[:, :grid, :grid]
        out = out.reshape(views, grid * grid, width)
    return out


def attention(name, views, heads, dim, tokens=0, grid=0, side=0):
    width, tokens = heads * dim, grid * grid or tokens
    qkv, bias, out = draw(views, tokens, 3 * width).bfloat16(), draw(width, scale=0.3), poison(views, tokens, width)
    kernel, keys = module(f"attention_{dim}").get_function(name), KEYS.get(name, 64)
    rows = columns = None
    shared, square, count = 4 * keys * (dim + 8) * 2, tokens, views
    numbers, tables = (cupy.uint32(tokens), cupy.uint32(heads)), ()
    if grid:
        rows, columns = (draw(2 * side - 1, dim, scale=0.1).bfloat16() for _ in range(2))
        tables = (pointer(rows), pointer(columns))
        square, count = side * side, views * ((grid + side - 1) // side) ** 2
        shared += 2 * QUERIES * ((side + 7) // 16 * 16 + 8) * 2
        numbers = tuple(map(cupy.uint32, (heads, grid, side, (2**32 + side - 1) // side)))
    kernel.max_dynamic_shared_size_bytes = shared
    blocks = ((square + QUERIES - 1) // QUERIES, heads, count)
    arguments = (pointer(qkv), pointer(bias), *tables, pointer(out), *numbers)
    run = lambda: launch(kernel, blocks, (THREADS,), arguments, shared)
    run()
    expected = plain(qkv, bias, rows, columns, grid, side, heads, dim)
    what = f"{name} {views} x {tokens}, {heads} x {dim}" + (f", squares of {side}" if grid else "")
    told(what, out, expected, run, 4 * count * heads * square * square * dim, "TFLOP/s")


def main():
    warnings.filterwarnings("ignore")
    torch.backends.cuda.matmul.allow_tf32 = False
    print(torch.cuda.get_device_name())
    for shape in [(16384, 768), (2424, 1024), (77, 64), (5, 8)]:
        norm(*shape)
    for shape in [(16384, 3072), (2424, 4096), (77, 64)]:
        gelu("bias_gelu", torch.nn.functional.gelu, *shape)
        gelu("bias_quick_gelu", lambda x: x * torch.sigmoid(1.702 * x), *shape)
    for shape in [(4, 64, 256, 1), (24, 40, 256, 2), (4, 32, 512, 2), (2, 5, 4, 2)]:
        neighbours(*shape)
    for dim, heads in [(64, 12), (16, 4)]:
        for grid, side in [(64, 64), (40, 40), (32, 32), (80, 80), (64, 14), (40, 14), (6, 2), (10, 14)]:
            special = f"_{side}" if dim == 64 and (side == 14 or side == grid in (40, 64)) else ""
            attention(f"relative_attention{special}", 2, heads, dim, grid=grid, side=side)
        for tokens in (1, 101, 257):
            attention("attention", 3, heads, dim, tokens=tokens)
    sys.exit(f"wrong: {', '.join(faults)}" if faults else None)


main()

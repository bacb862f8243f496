#!/usr/bin/env python3
"""A DeepSeek-OCR checkpoint of full size with random weights, for benches: it reads nothing.

    random_checkpoint.py DIR [--shards N] [--seed S]

Writes config.json (without the keys that the published file leaves to their defaults),
tokenizer.json (129,280 tokens: bytes, made-up words, the special ones), 2,710 bfloat16 tensors of
6,672,212,480 bytes in N shards, and their index. Needs numpy. Weights are drawn so that a layer
keeps the scale of what it is given: sign, mantissa and lowest exponent bit are random, the rest of
the exponent comes from the number of inputs. Memory: one chunk.
"""
import argparse
import json
import math
import pathlib
import struct

import numpy

CHUNK = 8 << 20  # elements
LAYERS, HIDDEN, VOCABULARY = 12, 1280, 129_280
EXPERTS, EXPERT_WIDTH, SHARED_WIDTH, DENSE_WIDTH = 64, 896, 1792, 6848
SAM_LAYERS, SAM_WIDTH, SAM_HEADS, SAM_GLOBAL, SAM_WINDOW, SAM_NECK = 12, 768, 12, [2, 5, 8, 11], 14, 256
CLIP_LAYERS, CLIP_WIDTH, CLIP_HEADS = 24, 1024, 16
DOWNSAMPLE = [512, 1024]
TENSORS, BYTES = 2_710, 6_672_212_480
ONE, ZERO = "one", "zero"


def linear(name, outputs, *inputs):
    """A weight whose outputs have the scale of its inputs."""
    return name + ".weight", (outputs, *inputs), math.prod(inputs) ** -0.5


def norm(name, width):
    yield name + ".weight", (width,), ONE
    yield name + ".bias", (width,), ZERO


def biased(name, outputs, *inputs):
    yield linear(name, outputs, *inputs)
    yield name + ".bias", (outputs,), ZERO


def mlp(name, width):
    yield linear(name + ".gate_proj", width, HIDDEN)
    yield linear(name + ".up_proj", width, HIDDEN)
    yield linear(name + ".down_proj", HIDDEN, width)


def decoder():
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN), 1.0
    yield "model.image_newline", (HIDDEN,), 1.0
    yield "model.view_seperator", (HIDDEN,), 1.0
    for i in range(LAYERS):
        layer = f"model.layers.{i}"
        yield layer + ".input_layernorm.weight", (HIDDEN,), ONE
        for part in "qkvo":
            yield linear(f"{layer}.self_attn.{part}_proj", HIDDEN, HIDDEN)
        yield layer + ".post_attention_layernorm.weight", (HIDDEN,), ONE
        if i == 0:
            yield from mlp(layer + ".mlp", DENSE_WIDTH)
            continue
        yield linear(layer + ".mlp.gate", EXPERTS, HIDDEN)
        for expert in range(EXPERTS):
            yield from mlp(f"{layer}.mlp.experts.{expert}", EXPERT_WIDTH)
        yield from mlp(layer + ".mlp.shared_experts", SHARED_WIDTH)
    yield "model.norm.weight", (HIDDEN,), ONE
    yield linear("lm_head", VOCABULARY, HIDDEN)


def sam():
    tower, head = "model.sam_model", SAM_WIDTH // SAM_HEADS
    yield tower + ".pos_embed", (1, 64, 64, SAM_WIDTH), 0.1
    yield from biased(tower + ".patch_embed.proj", SAM_WIDTH, 3, 16, 16)
    for i in range(SAM_LAYERS):
        block = f"{tower}.blocks.{i}"
        side = 64 if i in SAM_GLOBAL else SAM_WINDOW
        yield from norm(block + ".norm1", SAM_WIDTH)
        yield from biased(block + ".attn.qkv", 3 * SAM_WIDTH, SAM_WIDTH)
        yield from biased(block + ".attn.proj", SAM_WIDTH, SAM_WIDTH)
        yield block + ".attn.rel_pos_h", (2 * side - 1, head), 0.1
        yield block + ".attn.rel_pos_w", (2 * side - 1, head), 0.1
        yield from norm(block + ".norm2", SAM_WIDTH)
        yield from biased(block + ".mlp.lin1", 4 * SAM_WIDTH, SAM_WIDTH)
        yield from biased(block + ".mlp.lin2", SAM_WIDTH, 4 * SAM_WIDTH)
    yield linear(tower + ".neck.0", SAM_NECK, SAM_WIDTH, 1, 1)
    yield from norm(tower + ".neck.1", SAM_NECK)
    yield linear(tower + ".neck.2", SAM_NECK, SAM_NECK, 3, 3)
    yield from norm(tower + ".neck.3", SAM_NECK)
    yield linear(tower + ".net_2", DOWNSAMPLE[0], SAM_NECK, 3, 3)
    yield linear(tower + ".net_3", DOWNSAMPLE[1], DOWNSAMPLE[0], 3, 3)


def clip():
    tower = "model.vision_model"
    yield tower + ".embeddings.class_embedding", (CLIP_WIDTH,), 1.0
    yield linear(tower + ".embeddings.patch_embedding", CLIP_WIDTH, 3, 14, 14)
    yield tower + ".embeddings.position_embedding.weight", (257, CLIP_WIDTH), 0.1
    yield from norm(tower + ".pre_layrnorm", CLIP_WIDTH)
    for i in range(CLIP_LAYERS):
        layer = f"{tower}.transformer.layers.{i}"
        yield from norm(layer + ".layer_norm1", CLIP_WIDTH)
        yield from biased(layer + ".self_attn.qkv_proj", 3 * CLIP_WIDTH, CLIP_WIDTH)
        yield from biased(layer + ".self_attn.out_proj", CLIP_WIDTH, CLIP_WIDTH)
        yield from norm(layer + ".layer_norm2", CLIP_WIDTH)
        yield from biased(layer + ".mlp.fc1", 4 * CLIP_WIDTH, CLIP_WIDTH)
        yield from biased(layer + ".mlp.fc2", CLIP_WIDTH, 4 * CLIP_WIDTH)
    yield from biased("model.projector.layers", HIDDEN, 2 * CLIP_WIDTH)


def chunks(rng, count, scale):
    """`count` bfloat16 numbers as their 16 bits, in chunks."""
    if scale in (ONE, ZERO):
        yield numpy.full(count, 0x3F80 if scale == ONE else 0, "<u2")
        return
    # Magnitudes fill [2^e, 2^(e+2)), whose root mean square is 2^e * sqrt(35 / 6).
    exponent = 127 + round(math.log2(scale / math.sqrt(35 / 6)))
    while count:
        now = min(count, CHUNK)
        bits = numpy.frombuffer(rng.bytes(2 * now), "<u2") & numpy.uint16(0x80FF)
        bits += numpy.uint16(exponent << 7)
        yield bits
        count -= now


def shards(tensors, number):
    """The tensors in order, in `number` runs of about the same size."""
    total, done, runs = sum(math.prod(t[1]) for t in tensors), 0, [[] for _ in range(number)]
    for tensor in tensors:
        runs[min(number - 1, done * number // total)].append(tensor)
        done += math.prod(tensor[1])
    return runs


def write_shard(path, tensors, rng):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in tensors:
        end = at + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape, scale in tensors:
            for bits in chunks(rng, math.prod(shape), scale):
                file.write(bits)


def config():
    language = {
        "bos_token_id": 0, "eos_token_id": 1, "first_k_dense_replace": 1, "hidden_size": HIDDEN,
        "intermediate_size": DENSE_WIDTH, "kv_lora_rank": None, "max_position_embeddings": 8192,
        "moe_intermediate_size": EXPERT_WIDTH, "n_group": 1, "n_routed_experts": EXPERTS, "n_shared_experts": 2,
        "num_attention_heads": 10, "num_experts_per_tok": 6, "num_hidden_layers": LAYERS,
        "num_key_value_heads": 10, "q_lora_rank": None, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0,
        "topk_group": 1, "topk_method": "greedy", "use_mla": False, "v_head_dim": 0, "vocab_size": VOCABULARY,
    }
    towers = {
        "clip-l-14-224": {"heads": CLIP_HEADS, "image_size": 224, "layers": CLIP_LAYERS, "patch_size": 14, "width": CLIP_WIDTH},
        "sam_vit_b": {"downsample_channels": DOWNSAMPLE, "global_attn_indexes": SAM_GLOBAL, "heads": SAM_HEADS, "layers": SAM_LAYERS, "width": SAM_WIDTH},
    }
    return {
        "architectures": ["DeepseekOCRForCausalLM"], "candidate_resolutions": [[1024, 1024]],
        "global_view_pos": "head", "model_type": "deepseek_vl_v2", "tile_tag": "2D", "torch_dtype": "bfloat16",
        "language_config": {**language, "architectures": ["DeepseekV2ForCausalLM"], "torch_dtype": "bfloat16"},
        "projector_config": {"input_dim": 2 * CLIP_WIDTH, "model_type": "mlp_projector", "n_embed": HIDDEN, "projector_type": "linear"},
        "vision_config": {"image_size": 1024, "mlp_ratio": 3.7362, "model_name": "deeplip_b_l", "model_type": "vision", "width": towers},
        **language,
    }


def tokenizer():
    """Bytes, made-up words that no merge ever makes, and the special tokens."""
    vocabulary = {"<｜begin▁of▁sentence｜>": 0, "<｜end▁of▁sentence｜>": 1, "<｜▁pad▁｜>": 2}
    # Byte-level BPE writes bytes that do not print as characters from U+0100 on.
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printing]
    for character in [chr(b) for b in printing] + [chr(256 + i) for i in range(len(others))]:
        vocabulary[character] = len(vocabulary)
    image = 128_815
    while len(vocabulary) < image:
        vocabulary[f"Ġw{len(vocabulary):05x}"] = len(vocabulary)
    marks = ["<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>"]
    words = ["<td>", "</td>", "<tr>", "</tr>", "<|User|>", "<|Assistant|>"]
    words += [f"<｜place▁holder▁no▁{i}｜>" for i in range(VOCABULARY - image - len(marks) - len(words))]
    added = [(i, token, True) for token, i in list(vocabulary.items())[:3]]
    added += [(image + i, token, i < len(marks)) for i, token in enumerate(marks + words)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": token, **flags, "special": special} for i, token, special in added],
        "normalizer": None, "pre_tokenizer": {**byte_level, "add_prefix_space": False}, "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocabulary, "merges": [],
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tensors = [*decoder(), *sam(), *clip()]
    size = sum(2 * math.prod(shape) for _, shape, _ in tensors)
    assert (len(tensors), size) == (TENSORS, BYTES), (len(tensors), size)
    args.folder.mkdir(parents=True)
    rng = numpy.random.Generator(numpy.random.SFC64(args.seed))
    weight_map = {}
    for i, shard in enumerate(shards(tensors, args.shards), 1):
        name = f"model-{i:05}-of-{args.shards:06}.safetensors"
        write_shard(args.folder / name, shard, rng)
        weight_map.update((tensor, name) for tensor, _, _ in shard)
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    for name, value in [("model.safetensors.index.json", index), ("config.json", config()), ("tokenizer.json", tokenizer())]:
        (args.folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1))


main()

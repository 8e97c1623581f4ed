#!/usr/bin/env python3
"""Trains `shakespeare`: a small Llama-architecture language model with a key-value cache, on tinyshakespeare.

    /usr/bin/python3 models/shakespeare/train.py --out models/shakespeare/model.onnx
    /usr/bin/python3 models/shakespeare/quantise.py models/shakespeare

Needs Debian's python3-torch python3-onnx python3-numpy libopenblas0-pthread. One thread, fixed seeds and a fixed
number of steps: the same machine gives the same weights. Shape and tokenizer are read from config.json and
tokenizer.json beside this file. Prints the validation loss (last tenth of the text) as it goes; the text is small
enough to be learned by heart, so the weights kept are those of the best validation.
"""
import argparse
import copy
import json
import os
import re
import time
from functools import lru_cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEED = 20260601
STEPS = 2600
TOKENS = 2048  # per step
LENGTHS = (128, 256, 256, 512)  # of the training windows, in turn
PEAK_RATE, FLOOR, WARMUP = 3e-3, 0.03, 100
DROPOUT = 0.15
AVERAGE = 0.995  # of the running mean of the weights, which is what is kept
CHECK_EVERY = 200
WINDOW = 256  # tokens a validation window holds


class Tokenizer:
    """Byte-level BPE as `tokenizer.json` states it, for ASCII text."""

    pieces = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")

    def __init__(self, path):
        model = json.loads(path.read_text())["model"]
        self.ids = model["vocab"]
        merges = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
        self.rank = {tuple(pair): rank for rank, pair in enumerate(merges)}
        self.encode_piece = lru_cache(maxsize=None)(self.encode_piece)

    def encode_piece(self, piece):
        symbols = [chr(code + 256) if code <= 32 else chr(code) for code in piece.encode("ascii")]
        while True:
            pairs = [(self.rank.get(pair, 1 << 30), at) for at, pair in enumerate(zip(symbols, symbols[1:]))]
            best, at = min(pairs, default=(1 << 30, 0))
            if best == 1 << 30:
                return [self.ids[symbol] for symbol in symbols]
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]

    def encode(self, text):
        return [token for piece in self.pieces.findall(text) for token in self.encode_piece(piece)]


class Norm(nn.Module):
    def __init__(self, size, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.epsilon))


def rotate(x, cosine, sine):
    half = x.shape[-1] // 2
    return x * cosine + torch.cat([-x[..., half:], x[..., :half]], -1) * sine


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        size, inner = config["hidden_size"], config["intermediate_size"]
        self.heads, self.kv_heads, self.width = (config[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        self.norm1, self.norm2 = (Norm(size, config["rms_norm_eps"]) for _ in range(2))
        self.q = nn.Linear(size, self.heads * self.width, bias=False)
        self.k = nn.Linear(size, self.kv_heads * self.width, bias=False)
        self.v = nn.Linear(size, self.kv_heads * self.width, bias=False)
        self.o = nn.Linear(self.heads * self.width, size, bias=False)
        self.gate = nn.Linear(size, inner, bias=False)
        self.up = nn.Linear(size, inner, bias=False)
        self.down = nn.Linear(inner, size, bias=False)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, x, cosine, sine, bias, past):
        batch, length, _ = x.shape
        h = self.norm1(x)
        q = rotate(self.q(h).view(batch, length, self.heads, self.width).transpose(1, 2), cosine, sine)
        k = rotate(self.k(h).view(batch, length, self.kv_heads, self.width).transpose(1, 2), cosine, sine)
        v = self.v(h).view(batch, length, self.kv_heads, self.width).transpose(1, 2)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        # The query heads of one key head are laid one after another: no copy of keys or values.
        group = self.heads // self.kv_heads
        scores = (q.reshape(batch, self.kv_heads, group * length, self.width) @ k.transpose(2, 3)) * self.width**-0.5
        weights = (scores.view(batch, self.kv_heads, group, length, -1) + bias).softmax(-1)
        mixed = weights.view(batch, self.kv_heads, group * length, -1) @ v
        mixed = mixed.view(batch, self.heads, length, self.width).transpose(1, 2).reshape(batch, length, -1)
        x = x + self.drop(self.o(mixed))
        h = self.norm2(x)
        return x + self.drop(self.down(F.silu(self.gate(h)) * self.up(h))), k, v


class Llama(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = Norm(config["hidden_size"], config["rms_norm_eps"])
        self.drop = nn.Dropout(DROPOUT)
        width, positions = config["head_dim"], config["max_position_embeddings"]
        frequency = config["rope_theta"] ** (-torch.arange(0, width, 2).float() / width)
        angle = torch.outer(torch.arange(positions).float(), frequency).repeat(1, 2)
        self.register_buffer("cosine", angle.cos())
        self.register_buffer("sine", angle.sin())
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                deep = name.endswith(("o.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 if "embedding" in name else (0.4 if deep else 1.0) * weight.shape[1] ** -0.5)

    def forward(self, input_ids, attention_mask, position_ids, *past):
        """What is exported: `past` holds key and value of each layer; returns logits, then the new keys and values."""
        length, total = input_ids.shape[1], attention_mask.shape[1]
        seen = torch.arange(total)[None, :] <= (torch.arange(length) + (total - length))[:, None]
        allowed = seen.float()[None, None, None] * attention_mask[:, None, None, None].float()
        pairs = [past[2 * n : 2 * n + 2] for n in range(len(self.layers))]
        return self.run(input_ids, position_ids, (1 - allowed) * -10000.0, pairs)

    def run(self, input_ids, position_ids, bias, past):
        cosine, sine = self.cosine[position_ids].unsqueeze(1), self.sine[position_ids].unsqueeze(1)
        x = self.drop(self.embedding(input_ids))
        present = []
        for layer, pair in zip(self.layers, past):
            x, k, v = layer(x, cosine, sine, bias, pair)
            present += [k, v]
        return (self.norm(x) @ self.embedding.weight.t(), *present)

    def loss(self, windows):
        """Mean nats per token of windows of `length + 1` tokens."""
        length = windows.shape[1] - 1
        bias = torch.full((length, length), -10000.0).triu(1)
        logits = self.run(windows[:, :-1], torch.arange(length)[None], bias, [None] * len(self.layers))[0]
        return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def validate(model, tokens, characters):
    """Nats per token and per character of consecutive windows; each starts without memory of the one before."""
    windows = tokens[: (len(tokens) - 1) // WINDOW * WINDOW + 1]
    rows = torch.stack([windows[i : i + WINDOW + 1] for i in range(0, len(windows) - 1, WINDOW)])
    model.eval()
    per_token = sum(model.loss(part).item() * len(part) for part in rows.split(16)) / len(rows)
    model.train()
    return per_token, per_token * len(tokens) / characters


def train(config, text, tokenizer, steps):
    cut = int(len(text) * 0.9)
    tokens, validation = (torch.tensor(tokenizer.encode(part)) for part in (text[:cut], text[cut:]))
    torch.manual_seed(SEED)
    model = Llama(config)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokens)} + {len(validation)} tokens", flush=True)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    rate = lambda step: min(1, (step + 1) / WARMUP) * (FLOOR + (1 - FLOOR) * (1 + np.cos(np.pi * step / steps)) / 2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    average, best, started, total = copy.deepcopy(model), (float("inf"), None, 0), time.time(), 0.0
    for step in range(1, steps + 1):
        length = LENGTHS[step % len(LENGTHS)]
        starts = torch.randint(len(tokens) - length, (TOKENS // length,)).tolist()
        loss = model.loss(torch.stack([tokens[at : at + length + 1] for at in starts]))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += loss.item()
        with torch.no_grad():
            keep = min(AVERAGE, step / (step + 10))
            for mean, value in zip(average.parameters(), model.parameters()):
                mean.lerp_(value, 1 - keep)
        if step % CHECK_EVERY == 0 or step == steps:
            per_token, per_character = validate(average, validation, len(text) - cut)
            if per_token < best[0]:
                best = (per_token, copy.deepcopy(average), step)
            print(f"step {step}/{steps}  train {total / ((step - 1) % CHECK_EVERY + 1):.4f}  validation {per_token:.4f} nats/token"
                  f"  {per_character:.4f} nats/character  {time.time() - started:.0f} s", flush=True)
            total = 0.0
    print(f"kept: step {best[2]}")
    return best[1].eval()


def export(model, path):
    config = model.config
    kinds = [f"{n}.{kind}" for n in range(config["num_hidden_layers"]) for kind in ("key", "value")]
    past = [torch.zeros(2, config["num_key_value_heads"], 3, config["head_dim"]) for _ in kinds]
    inputs = (torch.zeros(2, 4, dtype=torch.int64), torch.ones(2, 7, dtype=torch.int64), torch.arange(3, 7).repeat(2, 1), *past)
    axes = {
        "input_ids": {0: "batch_size", 1: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        "position_ids": {0: "batch_size", 1: "sequence_length"},
        "logits": {0: "batch_size", 1: "sequence_length"},
        **{f"past_key_values.{kind}": {0: "batch_size", 2: "past_sequence_length"} for kind in kinds},
        **{f"present.{kind}": {0: "batch_size", 2: "total_sequence_length"} for kind in kinds},
    }
    torch.onnx.export(
        model, inputs, str(path), opset_version=14, dynamic_axes=axes,
        input_names=["input_ids", "attention_mask", "position_ids", *(f"past_key_values.{kind}" for kind in kinds)],
        output_names=["logits", *(f"present.{kind}" for kind in kinds)],
    )
    onnx.checker.check_model(onnx.load(str(path)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=ROOT / "../shared/data/sets")
    arguments.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    arguments.add_argument("--steps", type=int, default=STEPS)
    options = arguments.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    config = json.loads((HERE / "config.json").read_text())
    text = (options.data / "tinyshakespeare/input.txt").read_text()
    export(train(config, text, Tokenizer(HERE / "tokenizer.json"), options.steps), options.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Trains `langid`: which of 75 languages a text is in, from its first 128 UTF-8 bytes.

    /usr/bin/python3 models/langid/train.py --out models/langid

Needs Debian's python3-torch python3-onnx python3-numpy libopenblas0-pthread. One thread, fixed seeds and a fixed
number of steps: the same machine gives the same weights. Writes model.onnx and labels.json, and prints the accuracy on
the held-out tenth of the sentences, for the first 128 and the first 40 bytes, and the pairs most often confused.
`--split FILE` only writes the held-out sentences, for measure.mjs.
"""
import argparse
import gzip
import json
import os
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
SEED = 20260601
STEPS = 7000
BATCH = 128
PEAK_RATE = 3e-3
BYTES = 128  # length of the input
SHORTEST = 20  # of the random crops
PAD = 256
DROPPED_BYTES = 0.03
LABEL_SMOOTHING = 0.05


def load(path):
    """Sentences as bytes, their label numbers and the labels, sorted; every repeated sentence is taken once."""
    lines = dict.fromkeys(gzip.decompress(path.read_bytes()).decode().strip("\n").split("\n"))
    pairs = [line.split("\t", 1) for line in lines]
    labels = sorted({language for language, _ in pairs})
    number = {language: index for index, language in enumerate(labels)}
    return [text.encode() for _, text in pairs], np.array([number[language] for language, _ in pairs]), labels


def encode(texts, length):
    """The first `length` bytes of each text, padded with 256."""
    ids = np.full((len(texts), length), PAD, np.int64)
    for row, text in enumerate(texts):
        head = text[:length]
        ids[row, : len(head)] = np.frombuffer(head, np.uint8)
    return torch.from_numpy(ids)


class Langid(nn.Module):
    """Byte embedding, three convolutions, max and mean over the text. Padding is masked: it never changes the answer."""

    def __init__(self, labels):
        super().__init__()
        self.embedding = nn.Embedding(PAD + 1, 48, padding_idx=PAD)
        self.conv1 = nn.Conv1d(48, 128, 5, padding=2)
        self.conv2 = nn.Conv1d(128, 192, 5, stride=2, padding=2)
        self.conv3 = nn.Conv1d(192, 256, 3, stride=2, padding=1)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(512, labels)
        is_text = torch.ones(PAD + 1, 1)
        is_text[PAD] = 0
        self.register_buffer("is_text", is_text)

    def forward(self, input_ids):
        mask = F.embedding(input_ids, self.is_text).transpose(1, 2)
        half, quarter = mask[:, :, ::2], mask[:, :, ::4]
        x = self.embedding(input_ids).transpose(1, 2)
        x = F.relu(self.conv1(x)) * mask
        x = F.relu(self.conv2(x)) * half
        x = F.relu(self.conv3(x)) * quarter
        mean = x.sum(2) / (quarter.sum(2) + 1e-6)
        return self.head(self.drop(torch.cat([x.amax(2), mean], 1)))


def crop(texts, random):
    """One batch of random crops: from the start or from anywhere, of one longest length, some bytes blanked."""
    longest = BYTES if random.random() < 0.25 else int(random.integers(SHORTEST, BYTES + 1))
    pieces = []
    for text in texts:
        spare = len(text) - longest
        start = int(random.integers(0, spare + 1)) if spare > 0 and random.random() < 0.5 else 0
        pieces.append(text[start : start + longest])
    ids = encode(pieces, -(-longest // 4) * 4)
    ids[torch.from_numpy(random.random(ids.shape) < DROPPED_BYTES)] = PAD
    return ids


def train(texts, targets, labels, steps):
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    model = Langid(labels)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps, pct_start=0.05)
    started, order = time.time(), []
    for step in range(1, steps + 1):
        if len(order) < BATCH:
            order = random.permutation(len(texts))
        rows, order = order[:BATCH], order[BATCH:]
        logits = model(crop([texts[row] for row in rows], random))
        loss = F.cross_entropy(logits, torch.from_numpy(targets[rows]), label_smoothing=LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 0:
            print(f"step {step}/{steps}  loss {loss.item():.4f}  {time.time() - started:.0f} s", flush=True)
    return model.eval()


@torch.no_grad()
def predict(model, texts, length):
    """The most likely label of the first `length` bytes of every text, at the exported input length."""
    cut = [text[:length] for text in texts]
    return torch.cat([model(encode(cut[i : i + 500], BYTES)).argmax(1) for i in range(0, len(cut), 500)]).numpy()


def export(model, path):
    torch.onnx.export(
        model, torch.zeros(2, BYTES, dtype=torch.int64), str(path), opset_version=14, input_names=["input_ids"],
        output_names=["logits"], dynamic_axes={"input_ids": {0: "batch_size"}, "logits": {0: "batch_size"}},
    )
    onnx.checker.check_model(onnx.load(str(path)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=ROOT / "../shared/data/sets")
    task = arguments.add_mutually_exclusive_group(required=True)
    task.add_argument("--out", type=Path, help="the folder to write to")
    task.add_argument("--split", type=Path, help="the file to write the held-out sentences to")
    arguments.add_argument("--steps", type=int, default=STEPS)
    options = arguments.parse_args()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    texts, targets, labels = load(options.data / "langid/sentences.tsv.gz")
    order = np.random.default_rng(SEED).permutation(len(texts))
    held_out, kept = order[: len(order) // 10], order[len(order) // 10 :]
    if options.split:
        lines = (labels[targets[row]].encode() + b"\t" + texts[row] + b"\n" for row in held_out)
        options.split.write_bytes(b"".join(lines))
        return
    model = train([texts[row] for row in kept], targets[kept], len(labels), options.steps)

    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(kept)} sentences trained on")
    test = [texts[row] for row in held_out]
    for length in (BYTES, 40):
        guess = predict(model, test, length)
        print(f"accuracy on {len(test)} held-out sentences, first {length} bytes: {(guess == targets[held_out]).mean():.4%}")
        wrong = guess != targets[held_out]
        pairs = Counter(zip(targets[held_out][wrong], guess[wrong]))
        print("  most confused: " + ", ".join(f"{labels[a]} as {labels[b]} {n}" for (a, b), n in pairs.most_common(8)))
    options.out.mkdir(parents=True, exist_ok=True)
    export(model, options.out / "model.onnx")
    (options.out / "labels.json").write_text(json.dumps(labels) + "\n")


if __name__ == "__main__":
    main()

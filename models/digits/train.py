#!/usr/bin/env python3
"""Trains `digits`: a 36,000-parameter convolutional network for 28x28 handwritten digits (MNIST).

    /usr/bin/python3 models/digits/train.py --out models/digits/model.onnx

Needs Debian's python3-torch python3-onnx python3-numpy libopenblas0-pthread. One thread, fixed seed and a fixed
number of steps: the same machine gives the same weights. Prints the accuracy on the 10,000 test images.
"""
import argparse
import gzip
import os
import time
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
STEPS = 2500
BATCH = 128
PEAK_RATE = 4e-3
MEAN, DEVIATION = 0.1307, 0.3081  # of the pixels of the training images
LABEL_SMOOTHING = 0.05


def read_idx(path):
    """An idx.gz file as a NumPy array of bytes."""
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(folder, split):
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz").astype(np.float32) / 255
    labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz").astype(np.int64)
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels)


def convolution(channels_in, channels_out):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()
    )


class Digits(nn.Module):
    """Pixels 0-1 in, ten logits out; the normalisation is part of the graph."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            convolution(1, 16), convolution(16, 16), nn.MaxPool2d(2),
            convolution(16, 32), convolution(32, 32), nn.MaxPool2d(2),
            convolution(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, image):
        return self.head(self.features((image - MEAN) / DEVIATION))


def jitter(images):
    """Random rotation, scale, slant and shift, so that digits drawn by a mouse are not new to the network."""
    count = len(images)
    uniform = lambda reach: (torch.rand(count) * 2 - 1) * reach
    angle, scale, slant = uniform(0.2), 1 + uniform(0.12), uniform(0.15)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [cosine, slant - sine, uniform(0.12), sine, cosine, uniform(0.12)]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def accuracy(model, images, labels):
    model.eval()
    hits = sum((model(images[i : i + 500]).argmax(1) == labels[i : i + 500]).sum().item() for i in range(0, len(images), 500))
    model.train()
    return hits / len(images)


def batches(count, generator):
    """Endless epochs of shuffled indices."""
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % BATCH].view(-1, BATCH)


def train(images, labels, steps):
    torch.manual_seed(SEED)
    model = Digits()
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps, pct_start=0.2)
    started, chosen = time.time(), batches(len(images), torch.Generator().manual_seed(SEED))
    for step in range(1, steps + 1):
        rows = next(chosen)
        loss = F.cross_entropy(model(jitter(images[rows])), labels[rows], label_smoothing=LABEL_SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 250 == 0:
            print(f"step {step}/{steps}  loss {loss.item():.4f}  {time.time() - started:.0f} s", flush=True)
    return model.eval()


def export(model, path):
    torch.onnx.export(
        model, torch.zeros(2, 1, 28, 28), str(path), opset_version=14, input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "batch_size"}, "logits": {0: "batch_size"}},
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
    model = train(*load(options.data / "mnist", "train"), options.steps)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters, test accuracy {accuracy(model, *load(options.data / 'mnist', 't10k')):.4%} of 10,000")
    export(model, options.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Trains `sentences`: embeddings of sentences and short passages, 128 numbers each, in which near texts lie near.

    pip install tokenizers==0.23.2
    /usr/bin/python3 models/sentences/train.py --tokenizer        # tokenizer.json, a minute
    /usr/bin/python3 models/sentences/train.py --out models/sentences/model.onnx
    /usr/bin/python3 models/sentences/train.py --tasks tasks.json  # what measure.mjs asks of it, from held-out text

Needs Debian's python3-torch python3-onnx python3-numpy libopenblas0-pthread, and the `tokenizers` package; the tasks numpy
alone. One thread, fixed seeds and a fixed number of steps: the same machine gives the same weights. It learns from pairs that
it makes: two crops of one sentence, or two neighbouring places of the play, must find each other among the other pairs of the
batch, most of them of the same language.
"""
import argparse
import gzip
import json
import math
import os
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SEED = 20261121
STEPS = 1200
PAIRS = 64  # per step
GROUP = 16  # of them in one language
PLAY_EVERY = 3  # every third step is of the play
PEAK_RATE, FLOOR, WARMUP = 2e-3, 0.02, 60
TEMPERATURE = 0.06
DROPOUT = 0.1
LONGEST = 24  # tokens of a crop
AVERAGE = 0.99  # of the running mean of the weights, which is what is kept


def read(data):
    """Sentences by language, and the lines of the play: what is learned from, and the held-out tenth of each."""
    lines = dict.fromkeys(gzip.decompress((data / "langid/sentences.tsv.gz").read_bytes()).decode().strip("\n").split("\n"))
    languages = {}
    for line in lines:
        language, text = line.split("\t", 1)
        languages.setdefault(language, []).append(text)
    random = np.random.default_rng(SEED)
    seen, held = {}, {}
    for language, texts in sorted(languages.items()):
        order = random.permutation(len(texts))
        cut = len(texts) // 10
        held[language] = [texts[at] for at in order[:cut]]
        seen[language] = [texts[at] for at in order[cut:]]
    play = [line for line in (data / "tinyshakespeare/input.txt").read_text().split("\n") if line and not line.endswith(":")]
    cut = len(play) * 9 // 10
    return seen, held, play[:cut], play[cut:]


def learn_tokenizer(seen, play):
    """Byte-level BPE over lower-cased text; every text begins with <s>."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.NFKC(), tokenizers.normalizers.Lowercase()])
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=json.loads((HERE / "config.json").read_text())["vocab_size"],
        special_tokens=["<s>", "<pad>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for texts in seen.values() for text in texts] + play, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(HERE / "tokenizer.json"), pretty=False)


def units(text):
    """Words; characters where a script writes no spaces between them."""
    words = text.split()
    return (words, " ") if len(words) * 12 > len(text) else (list(text), "")


def typo(word, random):
    if len(word) < 3:
        return word
    at = int(random.integers(1, len(word) - 1))
    return word[:at] + word[at + 1 :] if random.random() < 0.5 else word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]


def crop(text, random):
    """A stretch of the text, or some of its words; a few of them misspelt."""
    parts, joint = units(text)
    count = max(1, int(round(len(parts) * random.uniform(0.3, 0.8))))
    if random.random() < 0.35:
        few = max(1, min(count, int(round(len(parts) * random.uniform(0.2, 0.5)))))
        chosen = [parts[at] for at in sorted(random.choice(len(parts), few, replace=False))]
    else:
        start = int(random.integers(0, len(parts) - count + 1))
        chosen = parts[start : start + count]
    if random.random() < 0.3:
        chosen = [typo(part, random) if random.random() < 0.2 else part for part in chosen]
    return joint.join(chosen)


def sentence_pairs(seen, random):
    languages = random.choice(sorted(seen), PAIRS // GROUP, replace=False)
    texts = [seen[language][at] for language in languages for at in random.choice(len(seen[language]), GROUP, replace=False)]
    return [(crop(text, random), crop(text, random)) for text in texts]


def play_pairs(play, random):
    """A place of the play and what stands beside it, or around it."""
    pairs = []
    for start in random.choice(len(play) // 8 - 1, PAIRS, replace=False) * 8 + int(random.integers(0, 8)):
        before, after = int(random.integers(1, 4)), int(random.integers(1, 5))
        query, near = " ".join(play[start : start + before]), " ".join(play[start + before : start + before + after])
        if random.random() < 0.5:
            near = query + " " + near
        if random.random() < 0.5:
            query = crop(query, random)
        pairs.append((query, near) if random.random() < 0.5 else (near, query))
    return pairs


def build(config):
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Norm(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(size))

        def forward(self, x):
            return self.weight * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + config["rms_norm_eps"]))

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            size, inner = config["hidden_size"], config["intermediate_size"]
            self.heads, self.width = config["num_attention_heads"], config["head_dim"]
            self.norm1, self.norm2 = Norm(size), Norm(size)
            self.qkv = nn.Linear(size, 3 * size, bias=False)
            self.o = nn.Linear(size, size, bias=False)
            self.gate, self.up = nn.Linear(size, inner, bias=False), nn.Linear(size, inner, bias=False)
            self.down = nn.Linear(inner, size, bias=False)
            self.drop = nn.Dropout(DROPOUT)
            # At first the sum of the words' own vectors is all there is.
            nn.init.zeros_(self.o.weight)
            nn.init.zeros_(self.down.weight)

        def forward(self, x, cosine, sine, bias):
            batch, length, size = x.shape
            q, k, v = self.qkv(self.norm1(x)).reshape(batch, length, 3, self.heads, self.width).permute(2, 0, 3, 1, 4).unbind(0)
            half = self.width // 2
            turn = lambda t: t * cosine + torch.cat([-t[..., half:], t[..., :half]], -1) * sine
            scores = turn(q) @ turn(k).transpose(2, 3) / math.sqrt(self.width) + bias
            x = x + self.drop(self.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, size)))
            h = self.norm2(x)
            return x + self.drop(self.down(F.silu(self.gate(h)) * self.up(h)))

    class Encoder(nn.Module):
        """Hidden states of every token; their mean over the attention mask, normalised, is the embedding."""

        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(config["vocab_size"], config["hidden_size"])
            self.layers = nn.ModuleList(Layer() for _ in range(config["num_hidden_layers"]))
            self.drop = nn.Dropout(DROPOUT)
            width, longest = config["head_dim"], config["max_position_embeddings"]
            angles = torch.outer(torch.arange(longest), config["rope_theta"] ** (-torch.arange(0, width, 2) / width))
            angles = torch.cat([angles, angles], 1)
            self.register_buffer("cosine", angles.cos())
            self.register_buffer("sine", angles.sin())

        def forward(self, input_ids, attention_mask):
            length = input_ids.shape[1]
            bias = (1 - attention_mask[:, None, None, :].float()) * -10000.0
            x = self.drop(self.embedding(input_ids))
            for layer in self.layers:
                x = layer(x, self.cosine[:length], self.sine[:length], bias)
            return x

    return Encoder()


def train(config, seen, play, steps):
    import copy

    import tokenizers
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    tokenizer = tokenizers.Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding(pad_id=config["pad_token_id"], pad_token="<pad>")
    model = build(config)

    # Rare words say more: a vector's length begins as the word's inverse document frequency.
    texts = [text for group in seen.values() for text in group] + [" ".join(play[at : at + 2]) for at in range(0, len(play), 2)]
    documents = Counter(token for encoding in tokenizer.encode_batch(texts) for token in set(encoding.ids))
    rarity = torch.tensor([math.log(len(texts) / (1 + documents[token])) for token in range(config["vocab_size"])]).clamp(0.1)
    with torch.no_grad():
        model.embedding.weight.mul_((rarity / rarity.mean())[:, None])
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(texts)} texts", flush=True)

    decayed = [p for name, p in model.named_parameters() if p.dim() > 1 and "embedding" not in name]
    plain = [p for name, p in model.named_parameters() if p.dim() <= 1 or "embedding" in name]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98))
    rate = lambda step: min(1, (step + 1) / WARMUP) * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * step / steps)) / 2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    average, started, totals = copy.deepcopy(model), time.time(), [[], []]

    def embed(pairs, side):
        encodings = tokenizer.encode_batch([pair[side] for pair in pairs])
        ids = torch.tensor([encoding.ids for encoding in encodings])
        mask = torch.tensor([encoding.attention_mask for encoding in encodings])
        states = model(ids, mask)
        return F.normalize((states * mask[:, :, None]).sum(1), dim=1)

    for step in range(1, steps + 1):
        of_play = step % PLAY_EVERY == 0
        pairs = play_pairs(play, random) if of_play else sentence_pairs(seen, random)
        scores = embed(pairs, 0) @ embed(pairs, 1).T / TEMPERATURE
        right = torch.arange(len(pairs))
        loss = (F.cross_entropy(scores, right) + F.cross_entropy(scores.T, right)) / 2
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        totals[of_play].append(loss.item())
        with torch.no_grad():
            keep = min(AVERAGE, step / (step + 10))
            for mean, value in zip(average.parameters(), model.parameters()):
                mean.lerp_(value, 1 - keep)
        if step % 100 == 0:
            means = [sum(values) / max(1, len(values)) for values in totals]
            print(f"step {step}/{steps}  loss: sentences {means[0]:.4f}, play {means[1]:.4f}  {time.time() - started:.0f} s", flush=True)
            totals = [[], []]
    return average.eval()


def export(model, path):
    import onnx
    import torch

    inputs = (torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, dtype=torch.int64))
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in ("input_ids", "attention_mask", "last_hidden_state")}
    torch.onnx.export(
        model, inputs, str(path), opset_version=14, dynamic_axes=axes,
        input_names=["input_ids", "attention_mask"], output_names=["last_hidden_state"],
    )
    onnx.checker.check_model(onnx.load(str(path)))


def tasks(held, play):
    """Queries, each with the place of its answer among the candidates, all from text that nothing was learned from."""
    random = np.random.default_rng(SEED + 1)
    every = [(language, text) for language, texts in held.items() for text in texts]
    all_texts = [text for _, text in every]

    def halves(text):
        parts, joint = units(text)
        middle = len(parts) // 2
        return joint.join(parts[:middle]), joint.join(parts[middle:])

    def keywords(text):
        parts, joint = units(text)
        return joint.join(parts[at] for at in sorted(random.choice(len(parts), min(len(parts), 3 if joint else 6), replace=False)))

    def misspelt(text):
        parts, joint = units(text)
        return joint.join(typo(part, random) for part in parts) if joint else text[1::2]

    sample = sorted(random.choice(len(every), 1500, replace=False))
    passages = [" ".join(play[at : at + 2]) for at in range(0, len(play) - 1, 2)]
    groups = {
        language: {"queries": [halves(text)[0] for text in texts], "candidates": [halves(text)[1] for text in texts]}
        for language, texts in held.items()
    }
    return {
        "halves": groups,
        "keywords": {"queries": [keywords(all_texts[at]) for at in sample], "answers": [int(at) for at in sample]},
        "misspelt": {"queries": [misspelt(all_texts[at]) for at in sample], "answers": [int(at) for at in sample]},
        "sentences": [{"language": language, "text": text} for language, text in every],
        "passages": passages,
        "learned": [text for texts in read(ROOT / "../shared/data/sets")[0].values() for text in texts[::10]],
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=ROOT / "../shared/data/sets")
    arguments.add_argument("--out", type=Path, help="the ONNX file to write")
    arguments.add_argument("--tokenizer", action="store_true", help="learn tokenizer.json anew")
    arguments.add_argument("--tasks", type=Path, help="write the measuring tasks")
    arguments.add_argument("--steps", type=int, default=STEPS)
    options = arguments.parse_args()

    seen, held, play, held_play = read(options.data)
    if options.tokenizer:
        learn_tokenizer(seen, play)
    if options.tasks:
        options.tasks.write_text(json.dumps(tasks(held, held_play), ensure_ascii=False))
    if options.out:
        config = json.loads((HERE / "config.json").read_text())
        export(train(config, seen, play, options.steps), options.out)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes oracle.json: what the reference implementation of tokenizers (Hugging Face's, in Rust) makes of two texts.

    pip install tokenizers==0.23.2
    python3 server/text/oracle.py > server/text/oracle.json

For each tokenizer of ../shared/data/tokenizers: number and SHA-256 (little-endian int32) of the ids of all of tinyshakespeare,
as one text without special tokens, and of every tenth sentence of each language of langid, one after another with them.
"""
import gzip
import hashlib
import json
import struct
from pathlib import Path

import tokenizers

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "../shared/data"


def digest(ids):
    return {"count": len(ids), "sha256": hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()}


def main():
    play = (DATA / "sets/tinyshakespeare/input.txt").read_text()
    languages = {}
    for line in gzip.decompress((DATA / "sets/langid/sentences.tsv.gz").read_bytes()).decode().strip("\n").split("\n"):
        language, text = line.split("\t", 1)
        languages.setdefault(language, []).append(text)
    report = {"source": f"tokenizers {tokenizers.__version__} (Rust)", "tokenizers": {}}
    files = {path.name: path for path in sorted((DATA / "tokenizers").iterdir())}
    files["shakespeare"] = ROOT / "models/shakespeare"
    for name, folder in files.items():
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        report["tokenizers"][name] = {
            "play": digest(tokenizer.encode(play, add_special_tokens=False).ids),
            "languages": {
                language: digest([token for one in tokenizer.encode_batch(texts[::10]) for token in one.ids])
                for language, texts in sorted(languages.items())
            },
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

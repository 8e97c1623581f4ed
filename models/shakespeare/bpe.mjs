// Byte-level BPE as tokenizer.json states it, for the ASCII text of this model's measurement and example only.
import { readFileSync } from "node:fs";

const pieces = /'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+/g;

/** A function from text to token ids. */
export function readTokenizer(url) {
  const { vocab, merges } = JSON.parse(readFileSync(url, "utf8")).model;
  const rank = new Map(merges.map((merge, order) => [merge, order]));
  const known = new Map();

  function encodePiece(piece) {
    const symbols = Array.from(piece, (c) => (c <= " " ? String.fromCharCode(c.charCodeAt(0) + 256) : c));
    for (;;) {
      let [best, at] = [Number.POSITIVE_INFINITY, -1];
      for (let index = 0; index + 1 < symbols.length; index++) {
        const order = rank.get(`${symbols[index]} ${symbols[index + 1]}`) ?? Number.POSITIVE_INFINITY;
        if (order < best) [best, at] = [order, index];
      }
      if (at < 0) return symbols.map((symbol) => vocab[symbol]);
      symbols.splice(at, 2, symbols[at] + symbols[at + 1]);
    }
  }

  return (text) =>
    text.match(pieces).flatMap((piece) => {
      if (!known.has(piece)) known.set(piece, encodePiece(piece));
      return known.get(piece);
    });
}

/** Empty key-value cache: name and shape of each tensor the first call gives the model. */
export function emptyCache(config, batch) {
  return Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    ["key", "value"].map((kind) => ({
      name: `past_key_values.${layer}.${kind}`,
      shape: [batch, config.num_key_value_heads, 0, config.head_dim],
    })),
  ).flat();
}

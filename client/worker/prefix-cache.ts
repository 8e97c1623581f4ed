import type { Cache, DecoderSession } from "./decoder-session.ts";

/**
 * Caches of texts that were run lately. Who goes on from one (the next stretch of a check, a conversation's next turn, a text
 * that another miner began) runs only what is new.
 */
export interface PrefixCache {
  /** A copy of the longest beginning of this text that is kept, of at most `most` tokens; null where none is worth it. */
  take(text: Int32Array, most: number): { cache: Cache; length: number } | null;
  /** Takes over a cache of one row, as wide as the text. */
  put(text: Int32Array, cache: Cache): void;
}

/** Running a few tokens is cheaper than copying their cache. */
const WORTH_IT = 8;

/** @param tokens most that are kept, in all texts */
export function createPrefixCache(session: DecoderSession, tokens: number): PrefixCache {
  /** Least recently used first. */
  const kept: { text: Int32Array; cache: Cache }[] = [];
  const held = () => kept.reduce((sum, { text }) => sum + text.length, 0);

  return {
    take(text, most) {
      let best: (typeof kept)[number] | null = null;
      let length = WORTH_IT - 1;
      for (const one of kept) {
        const common = Math.min(commonLength(one.text, text), most);
        if (common > length) [best, length] = [one, common];
      }
      if (!best) return null;
      kept.push(...kept.splice(kept.indexOf(best), 1));
      return { cache: session.arrange([{ cache: best.cache, row: 0, from: 0, length, at: 0 }], length), length };
    },

    put(text, cache) {
      // What begins another kept text, or begins with one, is kept once: the longer.
      const [longer] = kept.filter((one) => commonLength(one.text, text) === text.length);
      if (longer || text.length > tokens) return session.release(cache);
      for (const one of kept.filter((short) => commonLength(short.text, text) === short.text.length)) {
        kept.splice(kept.indexOf(one), 1);
        session.release(one.cache);
      }
      kept.push({ text, cache });
      while (held() > tokens) session.release((kept.shift() as (typeof kept)[number]).cache);
    },
  };
}

function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

import type { TextPart } from "../../gateway/gateway.ts";
import type { ModelText } from "../../text/model-text.ts";

/** A token as `logprobs` shows it. */
export interface TokenView {
  text: string;
  bytes: number[];
  logProbability: number;
  top: Omit<TokenView, "top" | "at">[];
  /** Where its text begins in the answer. */
  at: number;
}

/** Keeps the log-probabilities of tokens until their text is let go: of a stop string nothing is told either. */
export class TokenTrack {
  readonly #text: ModelText;
  #waiting: { token: TokenView; end: number }[] = [];
  #decoded = 0;
  #released = 0;

  constructor(text: ModelText) {
    this.#text = text;
  }

  /** `added`: how much text the decoder gave for the part's token `index`. */
  add(part: TextPart, index: number, added: number): void {
    const at = this.#decoded;
    this.#decoded += added;
    const token = part.tokens[index] as number;
    const top = part.top[index] ?? [];
    this.#waiting.push({
      token: {
        ...this.#view(token, part.logProbabilities[index] ?? 0),
        top: top.map((one) => this.#view(one.token, one.logProbability)),
        at,
      },
      end: this.#decoded,
    });
  }

  /** The tokens whose text has been let go, all or in part, once `length` more characters are. */
  release(length: number): TokenView[] {
    this.#released += length;
    const kept = this.#waiting.findIndex(({ token, end }) => token.at >= this.#released && end > this.#released);
    return this.#waiting.splice(0, kept < 0 ? this.#waiting.length : kept).map(({ token }) => token);
  }

  #view(token: number, logProbability: number): Omit<TokenView, "top" | "at"> {
    const bytes = this.#text.bytesOf(token);
    return { text: new TextDecoder().decode(bytes), bytes: [...bytes], logProbability };
  }
}

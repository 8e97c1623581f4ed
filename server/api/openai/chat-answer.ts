import { randomBytes } from "node:crypto";
import type { ChatChunk, ChatLogprobs, ChatReply } from "../../../shared/openai-api.ts";
import type { Choice, ChoiceEnd, Progress } from "./choice.ts";
import type { TokenView } from "./token-track.ts";

type Delta = ChatChunk["choices"][number]["delta"];
type Logprobs = ChatLogprobs["content"];

/** One answer as it grows: told in deltas, and whole at the end. */
export class ChatAnswer {
  #text = "";
  #calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] = [];
  #logprobs: Logprobs = [];
  #opened = false;

  opening(): Delta {
    if (this.#opened) return {};
    this.#opened = true;
    return { role: "assistant", content: "" };
  }

  add({ pieces, tokens }: Progress): { delta: Delta; logprobs: ChatLogprobs | null }[] {
    const told: Logprobs = tokens.map(logprobOf);
    this.#logprobs.push(...told);
    const deltas = pieces.map((piece) => this.#add(piece));
    // Tokens without text of their own, such as half a character, come with the next text.
    if (deltas.length === 0 && told.length > 0) deltas.push({ content: "" });
    return deltas.map((delta, index) => {
      const role = this.#opened ? {} : { role: "assistant" as const };
      this.#opened = true;
      return { delta: { ...role, ...delta }, logprobs: index === 0 && told.length > 0 ? { content: told } : null };
    });
  }

  #add(piece: Progress["pieces"][number]): Delta {
    if (piece.kind === "text") {
      this.#text += piece.text;
      return { content: piece.text };
    }
    if (piece.kind === "call") {
      const id = `call_${randomBytes(18).toString("base64url")}`;
      this.#calls.push({ id, type: "function", function: { name: piece.name, arguments: "" } });
      const call = { index: this.#calls.length - 1, id, type: "function" as const };
      return { tool_calls: [{ ...call, function: { name: piece.name, arguments: "" } }] };
    }
    const call = this.#calls.at(-1);
    if (call) call.function.arguments += piece.text;
    return { tool_calls: [{ index: this.#calls.length - 1, function: { arguments: piece.text } }] };
  }

  choice(index: number, { finish }: ChoiceEnd, { logprobs }: Choice): ChatReply["choices"][number] {
    const hasCalls = this.#calls.length > 0;
    return {
      index,
      message: {
        role: "assistant",
        content: hasCalls && this.#text === "" ? null : this.#text,
        refusal: null,
        ...(hasCalls ? { tool_calls: this.#calls } : {}),
      },
      logprobs: logprobs ? { content: this.#logprobs } : null,
      finish_reason: finish,
    };
  }
}

function logprobOf({ text, bytes, logProbability, top }: TokenView): Logprobs[number] {
  return {
    token: text,
    logprob: logProbability,
    bytes,
    top_logprobs: top.map((one) => ({ token: one.text, logprob: one.logProbability, bytes: one.bytes })),
  };
}

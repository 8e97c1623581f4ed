import { randomBytes } from "node:crypto";
import type { ChatChunk, ResponseItem, ResponsesReply } from "../../../shared/openai-api.ts";

/** An event of a Responses stream; its `sequence_number` is given when it is sent. */
export interface ResponseEvent {
  type: string;
  [field: string]: unknown;
}

type Message = Extract<ResponseItem, { type: "message" }>;
type Called = Extract<ResponseItem, { type: "function_call" }>;

export const newItemId = (prefix: string): string => `${prefix}_${randomBytes(18).toString("base64url")}`;

const textPart = (text: string): Message["content"][number] => ({
  type: "output_text",
  text,
  annotations: [],
  logprobs: [],
});

/** Builds the output items of a response from a chat's chunks, and tells each step as an event. */
export class ResponseOutput {
  readonly items: ResponseItem[] = [];
  readonly #tell: (event: ResponseEvent) => boolean;
  #goesOn = true;

  constructor(tell: (event: ResponseEvent) => boolean) {
    this.#tell = tell;
  }

  begin(reply: ResponsesReply): void {
    this.#event("response.created", { response: reply });
    this.#event("response.in_progress", { response: reply });
  }

  /** False: the caller has enough. */
  add({ choices }: ChatChunk): boolean {
    const delta = choices[0]?.delta ?? {};
    if (delta.content) this.#addText(delta.content);
    for (const call of delta.tool_calls ?? []) {
      if (call.id !== undefined) this.#open(newCall(call.id, call.function.name ?? ""));
      if (call.function.arguments !== "") this.#addArguments(call.function.arguments);
    }
    return this.#goesOn;
  }

  /** Closes what is open; an answer without text is an empty message. */
  end(status: "completed" | "incomplete"): void {
    if (this.items.length === 0) this.#open(newMessage());
    this.#close(status);
  }

  finish(reply: ResponsesReply): void {
    this.#event(`response.${reply.status}`, { response: reply });
  }

  #addText(delta: string): void {
    if (this.items.at(-1)?.type !== "message") this.#open(newMessage());
    const item = this.items.at(-1) as Message;
    (item.content[0] as Message["content"][number]).text += delta;
    this.#event("response.output_text.delta", { ...this.#place(), content_index: 0, delta, logprobs: [] });
  }

  #addArguments(delta: string): void {
    (this.items.at(-1) as Called).arguments += delta;
    this.#event("response.function_call_arguments.delta", { ...this.#place(), delta });
  }

  #open(item: ResponseItem): void {
    this.#close("completed");
    this.items.push(item);
    const output_index = this.items.length - 1;
    const shown = item.type === "message" ? { ...item, content: [] } : item;
    this.#event("response.output_item.added", { output_index, item: { ...shown } });
    if (item.type !== "message") return;
    this.#event("response.content_part.added", { ...this.#place(), content_index: 0, part: textPart("") });
  }

  #close(status: "completed" | "incomplete"): void {
    const item = this.items.at(-1);
    if (item?.status !== "in_progress") return;
    item.status = status;
    const place = this.#place();
    if (item.type === "message") {
      const part = item.content[0] as Message["content"][number];
      this.#event("response.output_text.done", { ...place, content_index: 0, text: part.text, logprobs: [] });
      this.#event("response.content_part.done", { ...place, content_index: 0, part });
    } else {
      const done = { name: item.name, arguments: item.arguments };
      this.#event("response.function_call_arguments.done", { ...place, ...done });
    }
    this.#event("response.output_item.done", { output_index: place.output_index, item });
  }

  #place(): { item_id: string; output_index: number } {
    return { item_id: this.items.at(-1)?.id ?? "", output_index: this.items.length - 1 };
  }

  #event(type: string, fields: Record<string, unknown>): void {
    this.#goesOn = this.#tell({ type, ...fields }) && this.#goesOn;
  }
}

const newMessage = (): Message => ({
  type: "message",
  id: newItemId("msg"),
  status: "in_progress",
  role: "assistant",
  content: [textPart("")],
});

const newCall = (callId: string, name: string): Called => ({
  type: "function_call",
  id: newItemId("fc"),
  status: "in_progress",
  call_id: callId,
  name,
  arguments: "",
});

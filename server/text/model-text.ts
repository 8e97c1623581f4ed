import type { TabgridError } from "../../shared/errors.ts";
import type { Result } from "../../shared/result.ts";

/** What a chat template is given. */
export interface ChatMessage {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content: string;
  name?: string;
  toolCalls?: { id: string; name: string; arguments: string }[];
  toolCallId?: string;
}

export interface ChatTool {
  name: string;
  description?: string;
  parameters?: Record<string, unknown>;
}

/** Between people's text and a model's tokens: its tokenizer and its chat template. */
export interface ModelText {
  contextLength: number;
  /** Any of them ends a text. */
  eos: readonly number[];
  /**
   * A plain prompt; special tokens in it count as text unless `special` says otherwise. Of a text that cannot fit the
   * context, so many tokens at least that this shows.
   * @throws TabgridFailure where the model's own tokenizer fails or takes too long
   */
  encode(text: string, options?: { special?: boolean; addSpecial?: boolean }): Int32Array<ArrayBuffer>;
  /**
   * The prompt of a conversation, ready for the assistant's turn; without a template a plain one is used. Special tokens
   * in messages and tools count as text.
   */
  encodeChat(
    messages: readonly ChatMessage[],
    tools: readonly ChatTool[],
  ): Result<Int32Array<ArrayBuffer>, TabgridError>;
  /**
   * Whether the model's own template knows tools; where not, `encodeChat` describes them in the system message, with calls
   * as `<tool_call>{"name", "arguments"}</tool_call>`.
   */
  templateKnowsTools: boolean;
  /**
   * Text of a stream of tokens that continues the prompt: holds back what may still change (half a character), gives it at
   * `end`; special tokens are left out.
   */
  decoder(): { push(tokens: ArrayLike<number>): string; end(): string };
  /** Bytes of one token, as `logprobs` shows them. */
  bytesOf(token: number): Uint8Array;
}

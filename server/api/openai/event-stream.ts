import type { Response } from "express";
import { failure, type TabgridError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { openAiError, sendError } from "../error-reply.ts";

/**
 * Server-sent events. The response begins with the first event, so that an error before it still has its status; where
 * that takes long, with a comment that says it lives. A reader who falls too far behind is told so, and its generation
 * ends.
 */
export class EventStream {
  readonly #response: Response;
  readonly #timer: NodeJS.Timeout;
  #quiet = true;
  #behind = false;

  constructor(response: Response, pingMs: number = limits.streamPingMs) {
    this.#response = response;
    this.#timer = setInterval(() => {
      if (this.#quiet) this.#write(": ping\n\n");
      this.#quiet = true;
    }, pingMs);
    response.once("close", () => clearInterval(this.#timer));
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  /** False: the reader is gone, or more than the bound behind. */
  send(data: unknown, event?: string): boolean {
    this.#quiet = false;
    const name = event === undefined ? "" : `event: ${event}\n`;
    this.#write(`${name}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
    this.#behind ||= this.#response.writableLength > limits.streamBacklogBytes;
    return !this.#behind && !this.#response.destroyed;
  }

  /** Ends the stream with what `last` sends, or with why it was cut short. */
  end(last: () => void): void {
    clearInterval(this.#timer);
    if (this.#behind) return this.fail(failure("cancelled", behind));
    last();
    this.#response.end();
  }

  /** Before the first event as any error; after it as an event that OpenAI's clients throw. */
  fail(
    error: TabgridError,
    asEvent: (error: ReturnType<typeof openAiError>) => void = (body) => this.send(body),
  ): void {
    clearInterval(this.#timer);
    if (!this.begun) return sendError(this.#response, "/v1", error);
    this.#response.locals.incomplete = true;
    asEvent(openAiError(error));
    this.#response.end();
  }

  #write(text: string): void {
    if (this.#response.destroyed) return;
    if (!this.begun) {
      // `no-transform` keeps the compressor from holding events back.
      const headers = { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" };
      this.#response.status(200).set(headers).set("x-accel-buffering", "no").flushHeaders();
    }
    this.#response.write(text);
  }
}

const behind = `the reader fell more than ${limits.streamBacklogBytes} bytes behind`;

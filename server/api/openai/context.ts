import type { Request, Response } from "express";
import type { TabgridError } from "../../../shared/errors.ts";
import type { CustomerId } from "../../../shared/ids.ts";
import type { ChatChunk, ChatReply, ChatRequest } from "../../../shared/openai-api.ts";
import type { Result } from "../../../shared/result.ts";
import type { Clock } from "../../../shared/time.ts";
import type { Gateway } from "../../gateway/gateway.ts";
import type { TokenLimit } from "../rate-limit.ts";
import type { TextJob } from "./text-handler.ts";

/** What every part of this surface works with. */
export interface OpenAiContext {
  gateway: Gateway;
  clock: Clock;
  /** Answers calls of `agent:NAME`, and null to all others; left out where there are no agents. */
  agents?: (
    call: Omit<Call<ChatRequest>, "signal">,
  ) => Promise<Result<TextJob<ChatReply, ChatChunk>, TabgridError>> | null;
}

/** One request, from a socket or from a line of a batch. */
export interface Call<Body> {
  customer: CustomerId;
  body: Body;
  signal: AbortSignal;
  /** Batch work: done when nobody waits, at the batch price. */
  preemptible?: boolean;
}

/** For handlers of HTTP requests. */
export interface HttpContext extends OpenAiContext {
  tokens: TokenLimit;
}

export type Handle = (request: Request, response: Response) => Promise<void>;

/** Unix seconds. */
export const secondsOf = (millis: number): number => Math.floor(millis / 1000);

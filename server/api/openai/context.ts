import type { Request, Response } from "express";
import type { CustomerId } from "../../../shared/ids.ts";
import type { Clock } from "../../../shared/time.ts";
import type { Gateway } from "../../gateway.ts";
import type { TokenLimit } from "../rate-limit.ts";

/** What every part of this surface works with. */
export interface OpenAiContext {
  gateway: Gateway;
  clock: Clock;
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

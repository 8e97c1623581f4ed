import { isIPv6 } from "node:net";
import type { Request, Response } from "express";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import type { Principal } from "./auth.ts";

export interface RateLimits {
  /** Requests a minute of one API key, wherever it is used. */
  perKey: number;
  /** Requests a minute of one address without a known key (IPv6: one /64), guesses at keys among them. */
  perAddress: number;
  /** Tokens a minute of one API key, prompts and the most that is asked to be generated. */
  tokensPerKey?: number;
  /** A minute, unless a test is in a hurry. */
  windowSeconds?: number;
}

export const defaultRateLimits: RateLimits = { perKey: 120_000, perAddress: 36_000, tokensPerKey: 100_000_000 };

const WINDOW_SECONDS = 60;

export type RateLimit = (principal: Principal | null, request: Request, response: Response) => Promise<void>;

/** Counts a request, says on the response what is left, and throws `rate-limited` when nothing is. */
export function rateLimit(limits: RateLimits): RateLimit {
  const duration = limits.windowSeconds ?? WINDOW_SECONDS;
  const limiters = {
    key: new RateLimiterMemory({ points: limits.perKey, duration }),
    address: new RateLimiterMemory({ points: limits.perAddress, duration }),
  };
  return async (principal, request, response) => {
    if (principal?.kind === "operator") return;
    const kind = principal ? "key" : "address";
    const counted = await limiters[kind].consume(principal ? principal.key : network(request.ip)).catch((refused) => {
      if (refused instanceof RateLimiterRes) return refused;
      throw refused;
    });
    const points = limiters[kind].points;
    const left = Math.max(0, counted.remainingPoints);
    const resetSeconds = counted.msBeforeNext / 1000;
    response.set({
      "x-ratelimit-limit-requests": String(points),
      "x-ratelimit-remaining-requests": String(left),
      "x-ratelimit-reset-requests": `${resetSeconds.toFixed(3)}s`,
      "ratelimit-policy": `"${kind}";q=${points};w=${duration}`,
      ratelimit: `"${kind}";r=${left};t=${Math.ceil(resetSeconds)}`,
    });
    if (counted.consumedPoints > points) {
      const expected = `at most ${points} requests a minute for each ${kind}`;
      throw new TabgridFailure(failure("rate-limited", `expected ${expected}`, { expected, retryAfter: resetSeconds }));
    }
  };
}

/** Counts the tokens of texts beside the requests. */
export interface TokenLimit {
  /** Sets tokens aside, says on the response what is left, and throws `rate-limited` when there are not as many. */
  take(response: Response, tokens: number): Promise<void>;
  /** Gives back what was not used. */
  giveBack(response: Response, tokens: number): Promise<void>;
}

export function tokenLimit({
  tokensPerKey: points = defaultRateLimits.tokensPerKey as number,
}: RateLimits): TokenLimit {
  const limiter = new RateLimiterMemory({ points, duration: WINDOW_SECONDS });
  const keyOf = (response: Response): string | null => {
    const principal = response.locals.principal as Principal | null;
    return principal?.kind === "customer" ? principal.key : null;
  };
  return {
    async take(response, tokens) {
      const key = keyOf(response);
      if (key === null) return;
      const counted = await limiter.consume(key, tokens).catch((refused) => {
        if (refused instanceof RateLimiterRes) return refused;
        throw refused;
      });
      const isRefused = counted.consumedPoints > points;
      if (isRefused) await limiter.reward(key, tokens);
      const left = Math.max(0, points - counted.consumedPoints + (isRefused ? tokens : 0));
      const resetSeconds = counted.msBeforeNext / 1000;
      response.set({
        "x-ratelimit-limit-tokens": String(points),
        "x-ratelimit-remaining-tokens": String(left),
        "x-ratelimit-reset-tokens": `${resetSeconds.toFixed(3)}s`,
      });
      if (!isRefused) return;
      const expected = `at most ${points} tokens a minute for each key`;
      const message = `expected ${expected}, of which ${left} are left, but ${tokens} were asked for`;
      const detail = { expected, got: String(tokens), retryAfter: resetSeconds };
      throw new TabgridFailure(failure("rate-limited", message, detail));
    },
    async giveBack(response, tokens) {
      const key = keyOf(response);
      if (key !== null && tokens > 0) await limiter.reward(key, tokens);
    },
  };
}

/** One IPv6 user has a whole /64 to send from. */
function network(address = ""): string {
  if (!isIPv6(address) || address.includes(".")) return address;
  const [head = "", tail = ""] = address.split("::");
  const front = head.split(":");
  const back = tail === "" ? [] : tail.split(":");
  const groups = address.includes("::")
    ? [...front, ...Array<string>(Math.max(0, 8 - front.length - back.length)).fill("0"), ...back]
    : front;
  return groups.slice(0, 4).join(":");
}

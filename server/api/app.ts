import { randomBytes } from "node:crypto";
import compression from "compression";
import express, { type Express } from "express";
import helmet from "helmet";
import type { Logger } from "pino";
import { failure, TabgridFailure } from "../../shared/errors.ts";
import type { Clock } from "../../shared/time.ts";
import type { AgentDesk } from "../agents/desk.ts";
import type { Config } from "../config.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { IdempotencyStore } from "../store/idempotency-store.ts";
import type { WebhookDesk } from "../webhooks/desk.ts";
import { agents } from "./agents.ts";
import type { Keys } from "./auth.ts";
import { cases } from "./cases.ts";
import { earnings } from "./earnings.ts";
import { economy } from "./economy.ts";
import { type Endpoint, mount } from "./endpoint.ts";
import { epochs } from "./epochs.ts";
import { errorHandler } from "./error-reply.ts";
import { idempotency } from "./idempotency.ts";
import { ledger } from "./ledger.ts";
import { mcp } from "./mcp.ts";
import { minerFiles } from "./miner-files.ts";
import { network } from "./network.ts";
import { openInference } from "./open-inference.ts";
import type { OpenAi } from "./openai/openai.ts";
import { ops } from "./ops.ts";
import { payouts } from "./payouts.ts";
import { type RateLimits, rateLimit, tokenLimit } from "./rate-limit.ts";
import { registration } from "./registration.ts";
import { staticPages } from "./static.ts";
import { webhooks } from "./webhooks.ts";

export interface ApiConfig extends Pick<Config, "trustProxy"> {
  /** Of Tabgrid. */
  version: string;
  /** The built pages, `dist/client`; null serves none. */
  clientDir: string | null;
  rateLimits: RateLimits;
  log: Pick<Logger, "error">;
}

export interface ApiParts {
  gateway: Gateway;
  openAi: OpenAi;
  /** Left out, the hub has no webhooks. */
  webhooks?: WebhookDesk;
  /** Left out, the hub has no agents. */
  agents?: AgentDesk;
  replies: IdempotencyStore;
  clock: Clock;
  keys: Keys;
  config: ApiConfig;
}

/** The HTTP face of the hub. Every endpoint is a row in one of the lists below; everything else follows from the rows. */
export function createApi(parts: ApiParts): Express {
  const { gateway, openAi, webhooks: desk, agents: agentDesk, replies, clock, keys, config } = parts;
  const app = express();
  app.disable("x-powered-by");
  app.set("trust proxy", config.trustProxy);
  app.set("query parser", "simple");
  // Files bring their own; hashing every answer would only cost.
  app.disable("etag");
  app.use((_request, response, next) => {
    response.set("x-request-id", `req_${randomBytes(16).toString("base64url")}`);
    next();
  });
  app.use(securityHeaders());
  if (config.clientDir !== null) app.use(staticPages(config.clientDir));
  app.use(compression());
  const endpoints: Endpoint[] = [
    ...openInference(gateway, config.version),
    ...openAi.endpoints(tokenLimit(config.rateLimits)),
    ...network(gateway),
    ...registration(gateway),
    ...ledger(gateway),
    ...cases(gateway),
    ...economy(gateway),
    ...(desk ? webhooks(desk) : []),
    ...(agentDesk ? agents(agentDesk) : []),
    ...mcp(openAi.context, agentDesk ?? null, config.version),
    ...epochs(gateway),
    ...payouts(gateway),
    ...earnings(gateway),
    ...minerFiles(gateway),
    ...ops(gateway, config.version, () => endpoints),
  ];
  mount(app, endpoints, { keys, limit: rateLimit(config.rateLimits), once: idempotency(replies, clock) });
  app.use((request) => {
    const got = `${request.method} ${request.path.slice(0, 200)}`;
    throw new TabgridFailure(
      failure("not-found", `nothing lies at ${got}; /docs lists what does`, { field: "path", got }),
    );
  });
  app.use(errorHandler(config.log));
  return app;
}

/** Isolation is on every response: without it a page gets no wasm threads, and a worker script dies without a word. */
function securityHeaders() {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'", "'wasm-unsafe-eval'"],
        workerSrc: ["'self'", "blob:"],
        connectSrc: ["'self'", "ws:", "wss:"],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", "data:"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    crossOriginOpenerPolicy: { policy: "same-origin" },
    crossOriginEmbedderPolicy: { policy: "require-corp" },
    crossOriginResourcePolicy: { policy: "same-origin" },
    // A hub on localhost or on a private network has no certificate; where there is one, its proxy says this.
    strictTransportSecurity: false,
  });
}

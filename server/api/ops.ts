import { z } from "zod";
import { healthSchema, problemSchema, readinessSchema } from "../../shared/api.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { docsPage } from "./docs-page.ts";
import type { Endpoint } from "./endpoint.ts";
import { openApi } from "./openapi.ts";

const tag = "Operations";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };

/** Health, metrics, and the API's own description. `all` is asked late, so that it may include these. */
export function ops(gateway: Gateway, version: string, all: () => readonly Endpoint[]): Endpoint[] {
  let document: ReturnType<typeof openApi> | null = null;
  const describe = () => {
    document ??= openApi(all(), version);
    return document;
  };
  return [
    {
      method: "get",
      path: "/healthz",
      tag,
      summary: "The process answers",
      access: "open",
      replies: { 200: { description: "alive", schema: healthSchema } },
      handle: (_request, response) => void response.json({ status: "ok" } satisfies z.input<typeof healthSchema>),
    },
    {
      method: "get",
      path: "/readyz",
      tag,
      summary: "Each thing that the hub depends on",
      access: "open",
      replies: {
        200: { description: "ready", schema: readinessSchema },
        503: { description: "not ready", schema: readinessSchema },
      },
      handle: async (_request, response) => {
        const found = Object.entries(await gateway.readiness());
        const isReady = found.every(([, problem]) => problem === null);
        response.status(isReady ? 200 : 503).json({
          status: isReady ? "ready" : "unready",
          dependencies: Object.fromEntries(found.map(([name, problem]) => [name, problem ?? "ok"])),
        } satisfies z.input<typeof readinessSchema>);
      },
    },
    {
      method: "get",
      path: "/metrics",
      tag,
      summary: "Prometheus text",
      access: "operator",
      replies: { 200: { description: "metrics", type: "text/plain" }, 401: problem, 403: problem },
      handle: async (_request, response) => {
        const text = await gateway.metrics();
        response.set("content-type", "text/plain; version=0.0.4; charset=utf-8").send(text);
      },
    },
    {
      method: "get",
      path: "/openapi.json",
      tag,
      summary: "This API as OpenAPI 3.1",
      access: "open",
      replies: { 200: { description: "document", schema: z.record(z.string(), z.unknown()) } },
      handle: (_request, response) => void response.json(describe()),
    },
    {
      method: "get",
      path: "/docs",
      tag,
      summary: "This API as a page",
      access: "open",
      replies: { 200: { description: "page", type: "text/html" } },
      handle: (_request, response) => void response.type("html").send(docsPage(describe())),
    },
  ];
}

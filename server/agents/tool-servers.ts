import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { AgentRequest } from "../../shared/agent-api.ts";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { ChatTool } from "../text/model-text.ts";
import { guardedFetch } from "./guarded-fetch.ts";

/** The tools of an agent: those of its MCP servers (protocol 2025-06-18, streamable HTTP), while one request lasts. */
export interface ToolServers {
  tools: ChatTool[];
  has(name: string): boolean;
  /** Never fails: what went wrong is told to the model, which may try otherwise. */
  call(name: string, argumentsText: string, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

type Servers = AgentRequest["tools"];

export async function connectTools(
  servers: Servers,
  loopback: boolean,
  signal: AbortSignal,
): Promise<Result<ToolServers, TabgridError>> {
  const clients: Client[] = [];
  const known = new Map<string, { client: Client; name: string; tool: ChatTool }>();
  const close = async () => {
    await Promise.all(clients.map((client) => client.close().catch(() => {})));
  };
  for (const { server_label: label, server_url, allowed_tools, headers } of servers) {
    const client = new Client({ name: "tabgrid", version: "1" });
    clients.push(client);
    const transport = new StreamableHTTPClientTransport(new URL(server_url), {
      fetch: guardedFetch(loopback, limits.agentToolBytes),
      requestInit: { headers: headers ?? {} },
    });
    const bounds = { timeout: limits.agentToolMs, signal };
    try {
      await client.connect(transport as never, bounds);
      const { tools } = await client.listTools({}, bounds);
      for (const { name, description, inputSchema } of tools) {
        if (allowed_tools && !allowed_tools.includes(name)) continue;
        const shown = `${label}_${name.replaceAll(/[^A-Za-z0-9_-]/g, "_")}`.slice(0, 64);
        if (known.size >= limits.toolsMax || known.has(shown)) continue;
        const about = description ? { description: description.slice(0, 1_024) } : {};
        const tool = { name: shown, ...about, parameters: inputSchema as Record<string, unknown> };
        known.set(shown, { client, name, tool });
      }
    } catch (error) {
      await close();
      const message = `the agent's tool server ${label} did not answer: ${(error as Error).message.slice(0, 200)}`;
      return err(failure("execution-failed", message, { field: "tools" }));
    }
  }
  return ok({
    tools: [...known.values()].map(({ tool }) => tool),
    has: (name) => known.has(name),
    async call(name, argumentsText, signal) {
      const found = known.get(name);
      if (!found) return `error: there is no tool ${name}`;
      try {
        const given = JSON.parse(argumentsText === "" ? "{}" : argumentsText) as Record<string, unknown>;
        const bounds = { timeout: limits.agentToolMs, signal };
        const said = await found.client.callTool({ name: found.name, arguments: given }, undefined, bounds);
        const parts = (said.content ?? []) as { type: string; text?: string }[];
        const text = parts.map((part) => part.text ?? `[${part.type}]`).join("\n");
        return `${said.isError ? "error: " : ""}${text}`.slice(0, limits.agentToolChars);
      } catch (error) {
        return `error: ${(error as Error).message.slice(0, 500)}`;
      }
    },
    close,
  });
}

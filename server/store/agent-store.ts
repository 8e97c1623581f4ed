import { sql } from "kysely";
import type { AgentRequest } from "../../shared/agent-api.ts";
import type { CustomerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import type { Millis } from "../../shared/time.ts";
import type { Shelf } from "./shelf.ts";
import type { Tables } from "./tables.ts";

export interface AgentRecord {
  customer: CustomerId;
  name: string;
  settings: Omit<AgentRequest, "name" | "knowledge">;
  knowledge: { model: string; texts: number; passages: number } | null;
  /** Of model and texts, hex: unchanged knowledge is not embedded again. */
  knowledgeHash: string | null;
  createdAt: Millis;
  updatedAt: Millis;
}

export interface Passage {
  title: string | null;
  text: string;
  /** Of length one. */
  vector: Float32Array<ArrayBuffer>;
}

export interface AgentUsage {
  requests: number;
  promptTokens: number;
  completionTokens: number;
  toolCalls: number;
  cost: Nano;
}

export interface AgentStore {
  /** False where the customer has one of that name. */
  create(agent: AgentRecord, passages: readonly Passage[]): Promise<boolean>;
  /** `passages` null keeps those that are there. */
  replace(agent: AgentRecord, passages: readonly Passage[] | null): Promise<void>;
  get(customer: CustomerId, name: string): Promise<AgentRecord | null>;
  /** By name. */
  of(customer: CustomerId): Promise<AgentRecord[]>;
  /** False where there is none. Its usage stays. */
  remove(customer: CustomerId, name: string): Promise<boolean>;
  passages(customer: CustomerId, name: string): Promise<Passage[]>;
  addUsage(customer: CustomerId, name: string, day: string, used: AgentUsage): Promise<void>;
  /** Newest day first. */
  usage(customer: CustomerId, name: string, days: number): Promise<(AgentUsage & { day: string })[]>;
}

const replaceAgent = `on conflict (customer, name) do update set ${["settings", "knowledge_hash", "updated_at"]
  .map((column) => `${column} = excluded.${column}`)
  .join(", ")}`;
const addToUsage = `on conflict (customer, name, day) do update set ${[
  "requests",
  "prompt_tokens",
  "completion_tokens",
  "tool_calls",
  "cost",
]
  .map((column) => `${column} = agent_usage.${column} + excluded.${column}`)
  .join(", ")}`;

export function sqlAgents({ read, write, insertRows }: Shelf): AgentStore {
  const passageRows = ({ customer, name }: AgentRecord, passages: readonly Passage[]) =>
    passages.map(({ title, text, vector }, position) => {
      const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
      return { customer, name, position: BigInt(position), title, body: text, vector: bytes.toString("base64") };
    });
  return {
    create: (agent, passages) =>
      write(async (trx) => {
        const { rows } = await sql`
          select 1 from agents where customer = ${agent.customer} and name = ${agent.name}`.execute(trx);
        if (rows.length > 0) return false;
        await insertRows(trx, "agents", [row(agent)]);
        await insertRows(trx, "agent_passages", passageRows(agent, passages));
        return true;
      }),

    replace: (agent, passages) =>
      write(async (trx) => {
        await insertRows(trx, "agents", [row(agent)], replaceAgent);
        if (!passages) return;
        const { customer, name } = agent;
        await sql`delete from agent_passages where customer = ${customer} and name = ${name}`.execute(trx);
        await insertRows(trx, "agent_passages", passageRows(agent, passages));
      }),

    get: (customer, name) =>
      read(async (db) => {
        const query = db.selectFrom("agents").selectAll().where("customer", "=", customer).where("name", "=", name);
        const found = await query.executeTakeFirst();
        return found ? record(found) : null;
      }),

    of: (customer) =>
      read(async (db) => {
        const query = db.selectFrom("agents").selectAll().where("customer", "=", customer).orderBy("name");
        return (await query.execute()).map(record);
      }),

    remove: (customer, name) =>
      write(async (trx) => {
        await sql`delete from agent_passages where customer = ${customer} and name = ${name}`.execute(trx);
        const query = trx.deleteFrom("agents").where("customer", "=", customer).where("name", "=", name);
        return (await query.executeTakeFirst()).numDeletedRows > 0n;
      }),

    passages: (customer, name) =>
      read(async (db) => {
        const query = db.selectFrom("agent_passages").selectAll().where("customer", "=", customer);
        const rows = await query.where("name", "=", name).orderBy("position").execute();
        return rows.map(({ title, body, vector }) => {
          const bytes = Uint8Array.from(Buffer.from(vector, "base64"));
          return { title, text: body, vector: new Float32Array(bytes.buffer) };
        });
      }),

    addUsage: (customer, name, day, { requests, promptTokens, completionTokens, toolCalls, cost }) =>
      write((trx) => {
        const counts = { requests: BigInt(requests), tool_calls: BigInt(toolCalls), cost };
        const tokens = { prompt_tokens: BigInt(promptTokens), completion_tokens: BigInt(completionTokens) };
        return insertRows(trx, "agent_usage", [{ customer, name, day, ...counts, ...tokens }], addToUsage);
      }),

    usage: (customer, name, days) =>
      read(async (db) => {
        const query = db.selectFrom("agent_usage").selectAll().where("customer", "=", customer);
        const rows = await query.where("name", "=", name).orderBy("day", "desc").limit(days).execute();
        return rows.map((used) => ({
          day: used.day,
          requests: Number(used.requests),
          promptTokens: Number(used.prompt_tokens),
          completionTokens: Number(used.completion_tokens),
          toolCalls: Number(used.tool_calls),
          cost: used.cost,
        }));
      }),
  };
}

const row = ({ customer, name, settings, knowledge, knowledgeHash, createdAt, updatedAt }: AgentRecord) => ({
  customer,
  name,
  settings: JSON.stringify({ settings, knowledge }),
  knowledge_hash: knowledgeHash,
  created_at: BigInt(createdAt),
  updated_at: BigInt(updatedAt),
});

function record(found: Tables["agents"]): AgentRecord {
  const { settings, knowledge } = JSON.parse(found.settings) as Pick<AgentRecord, "settings" | "knowledge">;
  return {
    customer: found.customer as CustomerId,
    name: found.name,
    settings,
    knowledge,
    knowledgeHash: found.knowledge_hash,
    createdAt: Number(found.created_at),
    updatedAt: Number(found.updated_at),
  };
}

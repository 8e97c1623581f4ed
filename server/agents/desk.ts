import { createHash } from "node:crypto";
import type { AgentRequest } from "../../shared/agent-api.ts";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CustomerId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Call, OpenAiContext } from "../api/openai/context.ts";
import { answerEmbedding, unit } from "../api/openai/embeddings.ts";
import { findModel } from "../api/openai/parameters.ts";
import type { AgentRecord, AgentStore, AgentUsage, Passage } from "../store/agent-store.ts";
import { checkUrl } from "../webhooks/addresses.ts";
import { cutPassages } from "./knowledge.ts";

/** Agents that customers deploy: what they are, what they know, what they cost. */
export interface AgentDeskParts extends OpenAiContext {
  store: AgentStore;
  /** Lets tool servers be on this machine itself, over plain HTTP: for tests. */
  loopback: boolean;
}

const USAGE_DAYS = 90;
/** Inputs of one embedding request: small, so that a long list is not lost to one refusal. */
const LOT = 256;

export class AgentDesk {
  readonly #parts: AgentDeskParts;

  constructor(parts: AgentDeskParts) {
    this.#parts = parts;
  }

  get loopback(): boolean {
    return this.#parts.loopback;
  }

  async create(
    customer: CustomerId,
    asked: AgentRequest,
    signal: AbortSignal,
  ): Promise<Result<AgentRecord, TabgridError>> {
    const { store } = this.#parts;
    const exists = () => err(failure("agent-exists", `you have an agent ${asked.name}`, { field: "name" }));
    // Before anything is paid for.
    if (await store.get(customer, asked.name)) return exists();
    if ((await store.of(customer)).length >= limits.agentsMax) {
      const expected = `at most ${limits.agentsMax} agents`;
      return err(failure("wrong-state", `expected ${expected}`, { field: "agents", expected }));
    }
    const made = await this.#make(customer, asked, null, signal);
    if (!made.ok) return made;
    const { agent, passages } = made.value;
    return (await store.create(agent, passages ?? [])) ? ok(agent) : exists();
  }

  async change(
    before: AgentRecord,
    asked: AgentRequest,
    signal: AbortSignal,
  ): Promise<Result<AgentRecord, TabgridError>> {
    if (asked.name !== before.name) {
      const detail = { field: "name", expected: before.name, got: asked.name };
      return err(failure("invalid-request", `name: expected ${before.name}, got ${asked.name}`, detail));
    }
    const made = await this.#make(before.customer, asked, before, signal);
    if (!made.ok) return made;
    await this.#parts.store.replace(made.value.agent, made.value.passages);
    return ok(made.value.agent);
  }

  list = (customer: CustomerId): Promise<AgentRecord[]> => this.#parts.store.of(customer);
  passages = ({ customer, name }: AgentRecord): Promise<Passage[]> => this.#parts.store.passages(customer, name);
  usage = ({ customer, name }: AgentRecord) => this.#parts.store.usage(customer, name, USAGE_DAYS);

  async remove({ customer, name }: AgentRecord): Promise<void> {
    await this.#parts.store.remove(customer, name);
  }

  /** `NAME` is the caller's own, `OWNER/NAME` anybody's that is public. */
  async find(caller: CustomerId, asked: string): Promise<Result<AgentRecord, TabgridError>> {
    const [owner, name] = asked.includes("/") ? (asked.split("/", 2) as [CustomerId, string]) : [caller, asked];
    const agent = await this.#parts.store.get(owner, name);
    if (agent && (agent.customer === caller || agent.settings.public)) return ok(agent);
    return err(failure("unknown-agent", `no agent ${asked}`, { field: "agent", got: asked }));
  }

  async addUsage({ customer, name }: AgentRecord, used: AgentUsage): Promise<void> {
    const day = new Date(this.#parts.clock.now()).toISOString().slice(0, 10);
    await this.#parts.store.addUsage(customer, name, day, used);
  }

  async #make(
    customer: CustomerId,
    { name, knowledge, ...settings }: AgentRequest,
    before: AgentRecord | null,
    signal: AbortSignal,
  ): Promise<Result<{ agent: AgentRecord; passages: Passage[] | null }, TabgridError>> {
    const { gateway, clock, loopback } = this.#parts;
    const model = findModel(gateway, settings.model, "text-generation", "generates text");
    if (!model.ok) return model;
    for (const [index, { server_url }] of settings.tools.entries()) {
      const url = checkUrl(server_url, loopback);
      if (url.ok) continue;
      const field = `tools[${index}].server_url`;
      return err({ ...url.error, field, message: url.error.message.replace(/^url/, field) });
    }
    const tools = settings.tools.map((tool) => {
      if (tool.headers !== undefined) return tool;
      const kept = before?.settings.tools.find((one) => one.server_url === tool.server_url);
      return { ...tool, headers: kept?.headers ?? null };
    });
    const given = knowledge ? createHash("sha256").update(JSON.stringify(knowledge)).digest("hex") : null;
    const hash = knowledge === undefined ? (before?.knowledgeHash ?? null) : given;
    const isKept = before !== null && before.knowledgeHash === hash;
    const passages = isKept ? ok(null) : await this.#embed(customer, knowledge ?? null, signal);
    if (!passages.ok) return passages;
    const count = passages.value?.length ?? before?.knowledge?.passages ?? 0;
    const known = knowledge ? { model: knowledge.model, texts: knowledge.texts.length, passages: count } : null;
    const at = clock.now();
    const agent: AgentRecord = {
      customer,
      name,
      settings: { ...settings, tools },
      knowledge: knowledge === undefined ? (before?.knowledge ?? null) : known,
      knowledgeHash: hash,
      createdAt: before?.createdAt ?? at,
      updatedAt: at,
    };
    return ok({ agent, passages: passages.value });
  }

  async #embed(
    customer: CustomerId,
    knowledge: (AgentRequest["knowledge"] & object) | null,
    signal: AbortSignal,
  ): Promise<Result<Passage[], TabgridError>> {
    if (!knowledge) return ok([]);
    const { gateway } = this.#parts;
    const within = (error: TabgridError): TabgridError => ({ ...error, field: `knowledge.${error.field ?? "model"}` });
    const model = findModel(gateway, knowledge.model, "embedding", "makes embeddings");
    if (!model.ok) return err(within(model.error));
    const { manifest } = model.value;
    const text = await gateway.modelText(manifest.id, manifest.version);
    if (!text.ok) return text;
    const contextLength = manifest.embedding?.contextLength ?? text.value.contextLength;
    const cut = cutPassages(knowledge.texts, text.value, contextLength);
    const passages: Passage[] = [];
    for (let from = 0; from < cut.length; from += LOT) {
      const lot = cut.slice(from, from + LOT);
      const input = lot.map((one) => one.text);
      const vectors = await this.embed({ customer, signal }, knowledge.model, input);
      if (!vectors.ok) return err(within(vectors.error));
      for (const [index, one] of lot.entries()) {
        passages.push({ ...one, vector: vectors.value.vectors[index] as Float32Array<ArrayBuffer> });
      }
    }
    return ok(passages);
  }

  /** At the cost of its customer. */
  async embed(call: Omit<Call<unknown>, "body">, model: string, input: string[]) {
    const body = { model, input, encoding_format: "float" as const };
    const reply = await answerEmbedding(this.#parts, { ...call, body });
    if (!reply.ok) return reply;
    const vectors = reply.value.data.map(({ embedding }) => unit(Float32Array.from(embedding as number[])));
    return ok({ vectors, receipts: reply.value.tabgrid });
  }
}

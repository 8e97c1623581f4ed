import { failure, type TabgridError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import type { ChatChunk, ChatReply, ChatRequest, ChatRequestMessage, Receipts } from "../../shared/openai-api.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { newChatId, plainText, prepareChat } from "../api/openai/chat.ts";
import { type Call, type OpenAiContext, secondsOf } from "../api/openai/context.ts";
import type { TextJob } from "../api/openai/text-handler.ts";
import { microText, nanoOf } from "../api/price-text.ts";
import type { AgentRecord } from "../store/agent-store.ts";
import type { AgentDesk } from "./desk.ts";
import { nearest, questionOf, tellPassages } from "./knowledge.ts";
import { connectTools, type ToolServers } from "./tool-servers.ts";

/**
 * An agent answers a conversation:
 *
 *   recall   the passages nearest to the question join its instructions
 *   ask      its model answers, or calls tools
 *   call     where all calls are of the agent's own servers they are made, and `ask` comes again with what they said
 *   answer   anything else goes to the caller: a text, or calls of functions that the caller brought
 *
 * In the last round the model is told of no server, so that it must answer.
 */
export const agentPrefix = "agent:";

type AgentCall = Omit<Call<ChatRequest>, "signal">;

/** The price of its first round without passages and tools stands for the price of all. */
export async function prepareAgentChat(
  context: OpenAiContext,
  desk: AgentDesk,
  call: AgentCall,
): Promise<Result<TextJob<ChatReply, ChatChunk>, TabgridError>> {
  const { body, customer } = call;
  const found = await desk.find(customer, body.model.slice(agentPrefix.length));
  if (!found.ok) return err({ ...found.error, field: "model" });
  if ((body.n ?? 1) > 1) {
    const detail = { field: "n", expected: "1, as an agent gives one answer", got: String(body.n) };
    return err(failure("unsupported-parameter", `n: expected ${detail.expected}, got ${detail.got}`, detail));
  }
  const first = await prepareChat(context, { ...call, body: roundOf(found.value, body, "", [], null) });
  if (!first.ok) return first;
  return ok({
    choices: first.value.choices,
    run: (signal, onChunk) => new AgentRun(context, desk, found.value, call, signal, onChunk).run(),
  });
}

/** What the agent's model is asked. */
function roundOf(
  { settings }: AgentRecord,
  body: ChatRequest,
  known: string,
  since: readonly ChatRequestMessage[],
  servers: ToolServers | null,
): ChatRequest {
  const { max_tokens, max_completion_tokens, stream_options: _, stream: __, dry_run: ___, ...asked } = body;
  const told = [settings.instructions, known].filter((text) => text !== "").join("\n\n");
  const opening: ChatRequestMessage[] = told === "" ? [] : [{ role: "system", content: told }];
  const own = (servers?.tools ?? []).map((tool) => ({ type: "function" as const, function: tool }));
  const tools = [...own, ...(body.tools ?? [])];
  return {
    ...asked,
    model: settings.model,
    messages: [...opening, ...body.messages, ...since],
    temperature: body.temperature ?? settings.temperature,
    top_p: body.top_p ?? settings.top_p,
    top_k: body.top_k ?? settings.top_k,
    presence_penalty: body.presence_penalty ?? settings.presence_penalty,
    frequency_penalty: body.frequency_penalty ?? settings.frequency_penalty,
    service_level: body.service_level ?? settings.service_level,
    max_completion_tokens: max_completion_tokens ?? max_tokens ?? settings.max_tokens,
    tools: tools.length > 0 ? tools : null,
    // A choice that forces a call would force one in every round.
    tool_choice: since.length > 0 || tools.length === 0 ? null : body.tool_choice,
  };
}

type Choice = ChatReply["choices"][number];

class AgentRun {
  readonly #context: OpenAiContext;
  readonly #desk: AgentDesk;
  readonly #agent: AgentRecord;
  readonly #call: AgentCall;
  readonly #signal: AbortSignal;
  readonly #onChunk: ((chunk: ChatChunk) => boolean) | null;
  readonly #head: { id: string; created: number; model: string };
  readonly #receipts: Receipts["answers"] = [];
  #cost = 0n;
  #usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  #toolCalls = 0;
  #text = "";
  #logprobs: NonNullable<Choice["logprobs"]>["content"] = [];
  #opened = false;

  constructor(
    context: OpenAiContext,
    desk: AgentDesk,
    agent: AgentRecord,
    call: AgentCall,
    signal: AbortSignal,
    onChunk: ((chunk: ChatChunk) => boolean) | null,
  ) {
    this.#context = context;
    this.#desk = desk;
    this.#agent = agent;
    this.#call = call;
    this.#signal = signal;
    this.#onChunk = onChunk;
    this.#head = { id: newChatId(), created: secondsOf(context.clock.now()), model: call.body.model };
  }

  async run(): Promise<Result<ChatReply, TabgridError>> {
    const { settings } = this.#agent;
    const servers =
      settings.tools.length > 0 ? await connectTools(settings.tools, this.#desk.loopback, this.#signal) : null;
    if (servers && !servers.ok) return servers;
    try {
      const known = await this.#recall();
      return known.ok ? await this.#converse(known.value, servers?.value ?? null) : known;
    } finally {
      await servers?.value.close();
      // Also of a conversation that broke off: what was answered was paid.
      await this.#desk.addUsage(this.#agent, {
        requests: 1,
        promptTokens: this.#usage.prompt_tokens,
        completionTokens: this.#usage.completion_tokens,
        toolCalls: this.#toolCalls,
        cost: this.#cost,
      });
    }
  }

  async #recall(): Promise<Result<string, TabgridError>> {
    const { knowledge, settings } = this.#agent;
    const { body } = this.#call;
    const said = body.messages.map(({ role, content }) => ({ role, content: plainText(content) }));
    const question = questionOf(said);
    if (!knowledge || question.trim() === "") return ok("");
    const { gateway } = this.#context;
    const [embedder, model] = [knowledge.model, settings.model].map((id) => gateway.model(...versionOf(id)));
    const facts = embedder?.manifest.embedding;
    if (!embedder || !facts || !model) return ok(""); // its models are gone: the chat itself will say so
    const tokens = await gateway.modelText(embedder.manifest.id, embedder.manifest.version);
    const text = await gateway.modelText(model.manifest.id, model.manifest.version);
    if (!tokens.ok) return tokens;
    if (!text.ok) return text;
    let asked = question;
    while (tokens.value.encode(asked, { addSpecial: true }).length > facts.contextLength) {
      asked = asked.slice(Math.ceil(asked.length / 4)); // its end says best what is wanted
    }
    const call = { ...this.#call, signal: this.#signal };
    const vector = await this.#desk.embed(call, knowledge.model, [asked]);
    if (!vector.ok) return vector;
    this.#pay(vector.value.receipts);
    const passages = await this.#desk.passages(this.#agent);
    return ok(tellPassages(nearest(passages, vector.value.vectors[0] as Float32Array), text.value));
  }

  async #converse(known: string, servers: ToolServers | null): Promise<Result<ChatReply, TabgridError>> {
    const since: ChatRequestMessage[] = [];
    for (let round = 1; ; round++) {
      const offered = round < limits.agentRounds ? servers : null;
      const body = roundOf(this.#agent, this.#call.body, known, since, offered);
      const job = await prepareChat(this.#context, { ...this.#call, body });
      if (!job.ok) return job;
      const answered = await job.value.run(this.#signal, this.#onChunk && ((chunk) => this.#relay(chunk)));
      if (!answered.ok) return answered;
      const choice = this.#take(answered.value);
      const calls = choice.message.tool_calls ?? [];
      const own = calls.filter((call) => offered?.has(call.function.name));
      if (!offered || own.length === 0 || own.length < calls.length || choice.finish_reason === "length") {
        const others = calls.filter((call) => !own.includes(call));
        return ok(this.#end(choice, others));
      }
      since.push({ role: "assistant", content: choice.message.content, tool_calls: own });
      for (const { id, function: called } of own) {
        this.#toolCalls++;
        const content = await offered.call(called.name, called.arguments, this.#signal);
        since.push({ role: "tool", tool_call_id: id, content });
      }
    }
  }

  #pay({ price, answers }: Receipts): void {
    this.#cost += nanoOf(price);
    this.#receipts.push(...answers.map((answer) => ({ ...answer, index: 0 })));
  }

  #take({ choices, usage, tabgrid }: ChatReply): Choice {
    this.#pay(tabgrid);
    this.#usage.prompt_tokens += usage.prompt_tokens;
    this.#usage.completion_tokens += usage.completion_tokens;
    this.#usage.total_tokens += usage.total_tokens;
    const choice = choices[0] as Choice;
    this.#text += choice.message.content ?? "";
    this.#logprobs.push(...(choice.logprobs?.content ?? []));
    return choice;
  }

  /** Text goes on at once; calls wait until it is known whose they are. */
  #relay({ choices: [choice] }: ChatChunk): boolean {
    const content = choice?.delta.content;
    if (!choice || content === undefined || (content === "" && !choice.logprobs)) return true;
    return this.#send({ content }, choice.logprobs);
  }

  #send(
    delta: ChatChunk["choices"][number]["delta"],
    logprobs: ChatChunk["choices"][number]["logprobs"],
    end: { finish: Choice["finish_reason"]; tabgrid: Receipts } | null = null,
  ): boolean {
    const role = this.#opened ? {} : { role: "assistant" as const };
    this.#opened = true;
    const usage = this.#call.body.stream_options?.include_usage ? { usage: null } : {};
    const choice = { index: 0, delta: { ...role, ...delta }, logprobs, finish_reason: end?.finish ?? null };
    const tabgrid = end ? { tabgrid: end.tabgrid } : {};
    return (
      this.#onChunk?.({
        ...this.#head,
        object: "chat.completion.chunk",
        choices: [choice],
        ...usage,
        ...tabgrid,
      }) ?? true
    );
  }

  #end({ finish_reason, logprobs }: Choice, calls: NonNullable<Choice["message"]["tool_calls"]>): ChatReply {
    const finish = finish_reason === "tool_calls" && calls.length === 0 ? "stop" : finish_reason;
    const tabgrid: Receipts = { price: microText(this.#cost), answers: this.#receipts };
    if (calls.length > 0) this.#send({ tool_calls: calls.map((call, index) => ({ index, ...call })) }, null);
    this.#send({}, null, { finish, tabgrid });
    if (this.#call.body.stream_options?.include_usage) {
      this.#onChunk?.({ ...this.#head, object: "chat.completion.chunk", choices: [], usage: this.#usage });
    }
    return {
      ...this.#head,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: calls.length > 0 && this.#text === "" ? null : this.#text,
            refusal: null,
            ...(calls.length > 0 ? { tool_calls: calls } : {}),
          },
          logprobs: logprobs ? { content: this.#logprobs } : null,
          finish_reason: finish,
        },
      ],
      usage: this.#usage,
      tabgrid,
    };
  }
}

const versionOf = (asked: string): [string, string | undefined] => {
  const [id = "", version] = asked.split("@");
  return [id, version];
};

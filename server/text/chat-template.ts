import { Template } from "@huggingface/jinja";
import { bounded } from "./bounded.ts";
import type { ChatMessage, ChatTool } from "./model-text.ts";

/**
 * A conversation as the text that a model was trained to go on from: by the model's own Jinja template, or by a plain one.
 * Templates come from strangers: their size, time and output are bounded, and what they throw is the caller's to report.
 */
export interface ChatTemplate {
  /** The model's own, not the plain one. */
  own: boolean;
  knowsTools: boolean;
  /** @throws Error, in the template's words, where it refuses the conversation, or takes too long or too much */
  render(messages: readonly ChatMessage[], tools: readonly ChatTool[]): string;
}

const SOURCE_CHARS = 256 * 1024;
const RENDERED_CHARS = 8 * 1024 * 1024;
const RENDER_MS = 1_000;

/**
 * @param source Jinja; several by name (`default`, `tool_use`); or null: the plain template
 * @param tokens what the template may name, `bos_token` and such
 * @throws Error where the source does not parse
 */
export function chatTemplate(
  source: string | Readonly<Record<string, string>> | null,
  tokens: Readonly<Record<string, string>>,
): ChatTemplate {
  if (source === null) return { own: false, knowsTools: false, render: plain };
  const named = typeof source === "string" ? { default: source } : source;
  const parsed = new Map(Object.entries(named).map(([name, text]) => [name, parse(text)]));
  const usual = parsed.get("default") ?? [...parsed.values()][0];
  if (!usual) return { own: false, knowsTools: false, render: plain };
  const forTools = parsed.get("tool_use") ?? usual;
  const knowsTools = Object.values(named).some((text) => /\btools\b/.test(text));

  const renderOnce = (messages: readonly ChatMessage[], tools: readonly ChatTool[]): string => {
    const template = knowsTools && tools.length > 0 ? forTools : usual;
    const values: Record<string, unknown> = {
      ...tokens,
      messages: messages.map((message) => (knowsTools ? asJinja(message) : withoutTools(message))),
      add_generation_prompt: true,
    };
    if (knowsTools && tools.length > 0) {
      values.tools = tools.map((tool) => ({ type: "function", function: { ...tool } }));
    }
    const text = bounded(RENDER_MS, "the chat template", () => template.render(values));
    if (text.length > RENDERED_CHARS) throw new Error(`the chat template made more than ${RENDERED_CHARS} characters`);
    return text;
  };

  return {
    own: true,
    knowsTools,
    render(messages, tools) {
      const told = knowsTools ? messages : withToolsTold(messages, tools);
      try {
        return renderOnce(told, tools);
      } catch (error) {
        // Some templates refuse a system message: then it opens the first user message.
        const merged = withoutSystem(told);
        if (!merged) throw error;
        return renderOnce(merged, tools);
      }
    },
  };
}

function parse(source: string): Template {
  if (source.length > SOURCE_CHARS) throw new Error(`the chat template has more than ${SOURCE_CHARS} characters`);
  return bounded(RENDER_MS, "reading the chat template", () => new Template(source));
}

/** As `apply_chat_template` of Transformers gives it: arguments as an object where they are JSON. */
function asJinja({ role, content, name, toolCalls, toolCallId }: ChatMessage): Record<string, unknown> {
  return {
    role: role === "developer" ? "system" : role,
    content,
    ...(name !== undefined && { name }),
    ...(toolCalls && {
      tool_calls: toolCalls.map((call) => ({
        id: call.id,
        type: "function",
        function: { name: call.name, arguments: fromJson(call.arguments) },
      })),
    }),
    ...(toolCallId !== undefined && { tool_call_id: toolCallId }),
  };
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The three roles every template knows; calls and their answers in the words of `toolsTold`. */
function withoutTools({ role, content, toolCalls = [] }: ChatMessage): { role: string; content: string } {
  const calls = toolCalls.map((call) => {
    const value = { name: call.name, arguments: fromJson(call.arguments) };
    return `<tool_call>${JSON.stringify(value)}</tool_call>`;
  });
  if (role === "tool") return { role: "user", content: `<tool_response>${content}</tool_response>` };
  return { role: role === "developer" ? "system" : role, content: [content, ...calls].filter(Boolean).join("\n") };
}

/** For templates that know no tools: what there is and how to call it, at the head of the system message. */
function withToolsTold(messages: readonly ChatMessage[], tools: readonly ChatTool[]): readonly ChatMessage[] {
  if (tools.length === 0) return messages;
  const told = [
    "You may call these functions:",
    ...tools.map((tool) => JSON.stringify(tool)),
    'To call one, answer with nothing but <tool_call>{"name": "...", "arguments": {...}}</tool_call>.',
  ].join("\n");
  const [first, ...rest] = messages;
  return first && isSystem(first)
    ? [{ ...first, content: `${first.content}\n\n${told}` }, ...rest]
    : [{ role: "system", content: told }, ...messages];
}

const isSystem = ({ role }: ChatMessage): boolean => role === "system" || role === "developer";

/** Null where there is nothing to merge. */
function withoutSystem(messages: readonly ChatMessage[]): ChatMessage[] | null {
  const said = messages.filter(isSystem).map(({ content }) => content);
  if (said.length === 0) return null;
  const others = messages.filter((message) => !isSystem(message));
  const at = others.findIndex(({ role }) => role === "user");
  const user = others[at];
  if (!user) return null;
  return others.with(at, { ...user, content: [...said, user.content].join("\n\n") });
}

const speakers: Record<string, string> = { user: "USER", assistant: "ASSISTANT", tool: "TOOL" };

/** The form of a play: what a model that was never shown conversations is likeliest to have seen. */
function plain(messages: readonly ChatMessage[], tools: readonly ChatTool[]): string {
  const parts = withToolsTold(messages, tools)
    .map(withoutTools)
    .map(({ role, content }) => (role === "system" ? `${content}\n\n` : `${speakers[role]}:\n${content}\n\n`));
  return `${parts.join("")}${speakers.assistant}:\n`;
}

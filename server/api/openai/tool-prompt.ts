import { failure, type TabgridError } from "../../../shared/errors.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import type { TextGrammar } from "../../../shared/text-generation.ts";
import type { ChatMessage, ChatTool } from "../../text/model-text.ts";

/** How a model is told of functions, and held to calling one. */

/** What a request wants of its functions; null where the model is to call none. */
export interface ToolPlan {
  tools: ChatTool[];
  /** `auto`: the model decides. A name: that one. `any`: one of them. */
  choice: "auto" | "any" | { name: string };
  parallel: boolean;
}

export type ToolChoice = "none" | "auto" | "required" | { name: string };

export function planTools(
  tools: readonly ChatTool[],
  asked: ToolChoice | null,
  parallel: boolean,
): Result<ToolPlan | null, TabgridError> {
  const names = tools.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return err(wrong("tools", "each function once", `${twice} twice`));
  if (tools.length === 0) {
    if (asked === null || asked === "none" || asked === "auto") return ok(null);
    return err(wrong("tool_choice", "none or auto, as there are no tools", name(asked)));
  }
  if (asked === "none") return ok(null);
  if (asked === null || asked === "auto") return ok({ tools: [...tools], choice: "auto", parallel });
  const only = tools.length === 1 ? tools[0] : undefined;
  if (asked === "required") {
    return ok({ tools: [...tools], choice: only ? { name: only.name } : "any", parallel });
  }
  if (!names.includes(asked.name)) return err(wrong("tool_choice", `one of ${names.join(", ")}`, asked.name));
  return ok({ tools: [...tools], choice: asked, parallel });
}

const name = (choice: ToolChoice): string => (typeof choice === "string" ? choice : choice.name);
const wrong = (field: string, expected: string, got: string) =>
  failure("invalid-request", `${field}: expected ${expected}, got ${got}`, { field, expected, got });

/** The text of a forced call: the arguments of a named function, or a name and arguments. */
export function grammarOf({ tools, choice }: ToolPlan): TextGrammar | null {
  if (choice === "auto") return null;
  if (choice !== "any") return { kind: "json-schema", schema: argumentsSchema(tools, choice.name) };
  const call = ({ name }: ChatTool, index: number) => ({
    type: "object",
    properties: {
      name: { const: name },
      arguments: moved(argumentsSchema(tools, name), `#/anyOf/${index}/properties/arguments`),
    },
    required: ["name", "arguments"],
    additionalProperties: false,
  });
  return { kind: "json-schema", schema: { anyOf: tools.map(call) } };
}

/** The same schema inside another: its references begin at its new place. */
function moved(schema: unknown, root: string): unknown {
  if (Array.isArray(schema)) return schema.map((one) => moved(one, root));
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([key, value]) => {
    const isReference = key === "$ref" && typeof value === "string" && value.startsWith("#");
    return [key, isReference ? `${root}${value.slice(1)}` : moved(value, root)];
  });
  return Object.fromEntries(entries);
}

const argumentsSchema = (tools: readonly ChatTool[], name: string): Record<string, unknown> => {
  const { parameters } = tools.find((tool) => tool.name === name) ?? {};
  return parameters && Object.keys(parameters).length > 0
    ? (closed(parameters) as Record<string, unknown>)
    : { type: "object", properties: {}, additionalProperties: false };
};

/**
 * With the declared properties alone where a schema does not speak of others, as few tools' schemas do: a model that is held
 * to any JSON there may invent properties without end.
 */
function closed(schema: unknown): unknown {
  if (!isObject(schema)) return schema;
  const { properties, additionalProperties, required } = schema;
  const names = isObject(properties) ? Object.keys(properties) : [];
  const isDeclared = !Array.isArray(required) || required.every((name) => names.includes(name as string));
  const inside = Object.entries(schema).map(([key, value]) => {
    if (["properties", "$defs", "definitions"].includes(key) && isObject(value)) {
      return [key, Object.fromEntries(Object.entries(value).map(([name, one]) => [name, closed(one)]))];
    }
    if (key === "anyOf" && Array.isArray(value)) return [key, value.map(closed)];
    return [key, key === "items" || key === "additionalProperties" ? closed(value) : value];
  });
  const isSilent = names.length > 0 && additionalProperties === undefined && isDeclared;
  return { ...Object.fromEntries(inside), ...(isSilent && { additionalProperties: false }) };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * The same conversation for a model whose template knows no functions: they are described in the system message, and what
 * was called and answered before is told as text, in the words that `tool-text.ts` reads.
 */
export function describeTools(messages: readonly ChatMessage[], plan: ToolPlan | null): ChatMessage[] {
  const told = messages.map((message): ChatMessage => {
    const { role, content, toolCalls = [] } = message;
    if (role === "tool") return { role: "user", content: `<tool_response>\n${content}\n</tool_response>` };
    if (role !== "assistant" || toolCalls.length === 0) return message;
    const calls = toolCalls.map(
      (call) => `<tool_call>\n{"name": ${JSON.stringify(call.name)}, "arguments": ${call.arguments}}\n</tool_call>`,
    );
    return { role, content: [content, ...calls].filter((text) => text !== "").join("\n") };
  });
  if (!plan) return told;
  const description = [
    "You may call functions. These are given, each as JSON with its name, description and the JSON schema of its arguments:",
    ...plan.tools.map((tool) => JSON.stringify(tool)),
    'To call one, write <tool_call>{"name": "…", "arguments": {…}}</tool_call> and nothing else.',
  ].join("\n");
  const [first, ...rest] = told;
  if (first?.role !== "system" && first?.role !== "developer")
    return [{ role: "system", content: description }, ...told];
  return [{ ...first, content: `${first.content}\n\n${description}` }, ...rest];
}

import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import type { Manifest } from "../../models/manifest.ts";
import { failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { bounded } from "./bounded.ts";
import { type ChatTemplate, chatTemplate } from "./chat-template.ts";
import type { ModelText } from "./model-text.ts";
import { type EncodeOptions, readTokenizer, type TextTokenizer } from "./tokenizer.ts";

/** Reads a model's tokenizer and chat template from its files, once; failures are values that name the model. */
export interface ModelTexts {
  of(model: { manifest: Manifest; folder: string }): Promise<Result<ModelText, TabgridError>>;
}

/** Tokenizers of large vocabularies take some 100 MB each. */
const KEPT = 8;

export function createModelTexts(): ModelTexts {
  /** In order of last use. */
  const kept = new Map<string, Promise<Result<ModelText, TabgridError>>>();
  return {
    of(model) {
      const key = `${model.manifest.id}@${model.manifest.version}`;
      const loading = kept.get(key) ?? loadModelText(model);
      kept.delete(key);
      kept.set(key, loading);
      if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
      return loading;
    },
  };
}

/** A token's name, as a string or as an added token. */
const nameSchema = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)]);
const templateSchema = z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]);
const configSchema = z.looseObject({
  bos_token: nameSchema.nullish(),
  eos_token: nameSchema.nullish(),
  pad_token: nameSchema.nullish(),
  unk_token: nameSchema.nullish(),
  chat_template: templateSchema.nullish(),
});
type Config = z.infer<typeof configSchema>;

export async function loadModelText({
  manifest,
  folder,
}: {
  manifest: Manifest;
  folder: string;
}): Promise<Result<ModelText, TabgridError>> {
  const { id, text, embedding } = manifest;
  const contextLength = text?.contextLength ?? embedding?.contextLength;
  if (contextLength === undefined) {
    const got = manifest.task;
    const expected = "a model of task text-generation or embedding";
    return err(failure("unsupported-parameter", `${id} reads no text`, { field: "model", expected, got }));
  }
  const read = async (name: string): Promise<string | null> => {
    const file = manifest.files.find(({ path }) => basename(path) === name);
    return file ? readFile(join(folder, file.path), "utf8") : null;
  };
  try {
    const { tokenizer, config } = await tokenizerOf(read, text?.eos);
    const source = await templateOf(config, read);
    const template = chatTemplate(source, namesOf(config));
    return ok(modelText(id, { contextLength, eos: text?.eos ?? [], bos: text?.bos ?? null }, tokenizer, template));
  } catch (error) {
    return err(invalid(id, error));
  }
}

/**
 * A model's tokenizer, its configuration, and the ids of the special tokens that this names.
 * @param read text of one of the model's files by its name; null: there is none
 * @throws Error where they cannot be read
 */
export async function tokenizerOf(
  read: (name: string) => Promise<string | null>,
  eos?: readonly number[],
): Promise<{ tokenizer: TextTokenizer; config: Config; ids: Record<"bos" | "eos" | "pad", number | null> }> {
  const text = await read("tokenizer.json");
  if (text === null) throw new Error("it has no tokenizer.json");
  const config = configSchema.parse(JSON.parse((await read("tokenizer_config.json")) ?? "{}"));
  const tokenizer = bounded(READ_MS, "reading tokenizer.json", () => readTokenizer(JSON.parse(text), config, eos));
  const idOf = (name: string | null | undefined) => (typeof name === "string" ? tokenizer.idOf(name) : null);
  const ids = { bos: idOf(config.bos_token), eos: idOf(config.eos_token), pad: idOf(config.pad_token) };
  return { tokenizer, config, ids };
}

const invalid = (id: string, error: unknown): TabgridError =>
  failure("invalid-model", `${id}: ${messageOf(error)}`, { field: "model", got: id });

/** Errors of code that ran bounded may come without a prototype. */
function messageOf(error: unknown): string {
  if (error instanceof z.ZodError) return z.prettifyError(error);
  const { message } = (error ?? {}) as { message?: unknown };
  return typeof message === "string" ? message : String(error);
}

/** A file of its own goes before the field in tokenizer_config.json. */
async function templateOf(
  { chat_template }: Config,
  read: (name: string) => Promise<string | null>,
): Promise<string | Record<string, string> | null> {
  const jinja = await read("chat_template.jinja");
  if (jinja !== null) return jinja;
  const json = await read("chat_template.json");
  const stated =
    json === null ? chat_template : z.object({ chat_template: templateSchema }).parse(JSON.parse(json)).chat_template;
  if (stated === null || stated === undefined) return null;
  return typeof stated === "string" ? stated : Object.fromEntries(stated.map(({ name, template }) => [name, template]));
}

const namesOf = ({ bos_token, eos_token, pad_token, unk_token }: Config): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ bos_token, eos_token, pad_token, unk_token }).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );

const READ_MS = 30_000;
const ENCODE_MS = 5_000;
const SHORTEST_CUT = 65_536;

function modelText(
  id: string,
  { contextLength, eos, bos }: { contextLength: number; eos: readonly number[]; bos: number | null },
  tokenizer: TextTokenizer,
  template: ChatTemplate,
): ModelText {
  function tokens(text: string, options: EncodeOptions): Int32Array<ArrayBuffer> {
    const encode = (part: string) => bounded(ENCODE_MS, "encoding the text", () => tokenizer.encode(part, options));
    // So many characters cannot fit the context: a part of them shows that at a bounded cost.
    const cut = Math.max(SHORTEST_CUT, (contextLength + 1) * tokenizer.longestToken);
    let ids = encode(text.slice(0, cut));
    if (text.length > cut && ids.length <= contextLength) ids = encode(text);
    return Int32Array.from(options.addSpecial && bos !== null && ids[0] !== bos ? [bos, ...ids] : ids);
  }

  return {
    contextLength,
    eos,
    encode(text, { special = false, addSpecial = true } = {}) {
      try {
        return tokens(text, { special, addSpecial });
      } catch (error) {
        throw new TabgridFailure(invalid(id, error));
      }
    },
    encodeChat(messages, tools) {
      try {
        if (!template.own) return ok(tokens(template.render(messages, tools), { special: false, addSpecial: true }));
        const breaker = unused(JSON.stringify([messages, tools]));
        const guarded = <T>(value: T): T => breakSpecial(value, tokenizer.special, breaker) as T;
        const rendered = template.render(guarded(messages), guarded(tools));
        return ok(tokens(rendered, { special: true, addSpecial: false, breaker }));
      } catch (error) {
        return err(invalid(id, error));
      }
    },
    templateKnowsTools: template.knowsTools,
    decoder: () => streamDecoder(tokenizer, eos),
    bytesOf: (token) => tokenizer.bytesOf(token),
  };
}

/** One of Unicode's 32 noncharacters that the text does not hold; a text that holds all of them is no text. */
function unused(text: string): string {
  for (let code = 0xfdd0; code <= 0xfdef; code++) {
    const character = String.fromCharCode(code);
    if (!text.includes(character)) return character;
  }
  throw new Error("the conversation holds every noncharacter of Unicode");
}

/** Every string within: what people write must not become the model's special tokens in the template's hands. */
function breakSpecial(value: unknown, special: readonly string[], breaker: string): unknown {
  if (typeof value === "string") {
    return special.reduce(
      (text, token) => text.replaceAll(token, () => token.replace(/^./su, (first) => first + breaker)),
      value,
    );
  }
  if (Array.isArray(value)) return value.map((item) => breakSpecial(item, special, breaker));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      breakSpecial(key, special, breaker),
      breakSpecial(item, special, breaker),
    ]),
  );
}

/** UTF-8 over the tokens' bytes; special tokens and those that end the text are no text. */
function streamDecoder(tokenizer: TextTokenizer, eos: readonly number[]): ReturnType<ModelText["decoder"]> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return {
    push(tokens) {
      let text = "";
      for (const token of Array.from(tokens)) {
        if (tokenizer.isSpecial(token) || eos.includes(token)) continue;
        text += decoder.decode(tokenizer.bytesOf(token), { stream: true });
      }
      return text;
    },
    end: () => decoder.decode(),
  };
}

import { describe, expect, it } from "vitest";
import { grammarOf, planTools, type ToolPlan } from "./tool-prompt.ts";
import { type Piece, textReader } from "./tool-text.ts";

const tools = [{ name: "weather" }, { name: "time", parameters: { type: "object", properties: { zone: {} } } }];
const plan = (choice: ToolPlan["choice"] = "auto", parallel = true): ToolPlan => ({ tools, choice, parallel });

/** Calls and text, whatever the sizes of the pieces. */
function read(of: ToolPlan | null, text: string, size = text.length || 1): string {
  const reader = textReader(of);
  const pieces: Piece[] = [];
  for (let at = 0; at < text.length; at += size) pieces.push(...reader.push(text.slice(at, at + size)));
  pieces.push(...reader.end());
  return pieces.map((piece) => (piece.kind === "call" ? ` CALL ${piece.name} ` : piece.text)).join("");
}

describe("function calls in a text", () => {
  const call = '{"name": "weather", "arguments": {"city": "Rome"}}';
  it.each([
    ["Hermes", `<tool_call>\n${call}\n</tool_call>`, ' CALL weather {"city":"Rome"}'],
    ["text before it", `I look.\n<tool_call>${call}</tool_call>`, 'I look. CALL weather {"city":"Rome"}'],
    [
      "two of them",
      `<tool_call>${call}</tool_call>\n<tool_call>{"name":"time","arguments":{}}</tool_call>`,
      ' CALL weather {"city":"Rome"} CALL time {}',
    ],
    ["Mistral", `[TOOL_CALLS] [${call}]`, ' CALL weather {"city":"Rome"}'],
    ["Llama", '{"name": "weather", "parameters": {"city": "Rome"}}', ' CALL weather {"city":"Rome"}'],
    ["Llama's tag", `<|python_tag|>${call}; ${call}`, ' CALL weather {"city":"Rome"} CALL weather {"city":"Rome"}'],
    ["arguments as text", '{"name": "time", "arguments": "{\\"zone\\": 1}"}', ' CALL time {"zone": 1}'],
    ["a function that was not given", '<tool_call>{"name": "rm"}</tool_call>', '<tool_call>{"name": "rm"}</tool_call>'],
    ["a call that does not end", "<tool_call>{", "<tool_call>{"],
    ["JSON that is no call", '{"answer": 4}', '{"answer": 4}'],
    ["a bracket", "[1] is a note", "[1] is a note"],
    ["plain text", "It is a < b, and <tool is a word. \n", "It is a < b, and <tool is a word. \n"],
  ])("%s", (_name, text, expected) => {
    for (const size of [1, 2, 7, text.length]) expect(read(plan(), text, size), `${size} at a time`).toBe(expected);
  });

  it("are text where no functions were given", () => {
    expect(read(null, `<tool_call>${call}</tool_call>`)).toBe(`<tool_call>${call}</tool_call>`);
  });

  it("come one at a time where asked so, and then enough was said", () => {
    const reader = textReader(plan("auto", false));
    const pieces = reader.push(`<tool_call>${call}</tool_call><tool_call>${call}</tool_call>`);
    expect(pieces.map(({ kind }) => kind)).toEqual(["call", "arguments"]);
    expect(reader.enough).toBe(true);
    expect([...reader.push("more"), ...reader.end()]).toEqual([]);
  });

  it("are all of the text where one is forced", () => {
    expect(read(plan({ name: "time" }), '{"zone": 1}', 3)).toBe(' CALL time {"zone": 1}');
    expect(read(plan("any"), '{"name":"time","arguments":{"zone":1}}', 3)).toBe(' CALL time {"zone":1}');
  });
});

describe("what a request wants of its functions", () => {
  const asked = (...given: Parameters<typeof planTools>) => {
    const planned = planTools(...given);
    return planned.ok ? planned.value : planned.error.message;
  };
  it("is none, the model's choice, one of them, or a named one", () => {
    expect(asked(tools, "none", true)).toBeNull();
    expect(asked([], "auto", true)).toBeNull();
    expect(asked(tools, null, true)).toMatchObject({ choice: "auto", parallel: true });
    expect(asked(tools, "required", false)).toMatchObject({ choice: "any", parallel: false });
    expect(asked(tools.slice(0, 1), "required", true)).toMatchObject({ choice: { name: "weather" } });
    expect(asked(tools, { name: "time" }, true)).toMatchObject({ choice: { name: "time" } });
    expect(asked([], "required", true)).toContain("tool_choice: expected none or auto");
    expect(asked(tools, { name: "rm" }, true)).toContain("tool_choice: expected one of weather, time, got rm");
    expect(asked([...tools, { name: "time" }], null, true)).toContain("each function once");
  });

  it("binds the text only where a call is forced", () => {
    expect(grammarOf(plan())).toBeNull();
    const time = { ...tools[1]?.parameters, additionalProperties: false };
    expect(grammarOf(plan({ name: "time" }))).toEqual({ kind: "json-schema", schema: time });
    expect(grammarOf(plan({ name: "weather" }))?.kind).toBe("json-schema");
    const any = grammarOf(plan("any")) as unknown as { schema: { anyOf: { properties: { name: object } }[] } };
    expect(any.schema.anyOf.map(({ properties }) => properties.name)).toEqual([
      { const: "weather" },
      { const: "time" },
    ]);
  });

  it("has only declared properties in it, where a schema is silent about others", () => {
    const schemaOf = (parameters: object) => {
      const only = { tools: [{ name: "a", parameters: parameters as Record<string, unknown> }], parallel: true };
      return (grammarOf({ ...only, choice: { name: "a" } }) as { schema: unknown }).schema;
    };
    const inner = { type: "object", properties: { b: { type: "string" } } };
    const shut = { ...inner, additionalProperties: false };
    const all = { items: inner, anyOf: [inner], $defs: { c: inner }, properties: { properties: inner } };
    expect(schemaOf(all)).toEqual({
      items: shut,
      anyOf: [shut],
      $defs: { c: shut },
      properties: { properties: shut },
      additionalProperties: false,
    });
    const others = [
      { ...inner, additionalProperties: { type: "number" } },
      { ...inner, additionalProperties: true },
      { ...inner, required: ["c"] },
      { type: "object" },
      { enum: [inner] },
    ];
    for (const open of others) expect(schemaOf(open)).toEqual(open);
  });
});

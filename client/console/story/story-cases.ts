import type { CaseReply, CaseSummary, Decision, ExhibitReply } from "../../../shared/case-api.ts";
import type { CaseCalls } from "../case-calls.ts";

/** Cases for the tests of the console: `manner` is how the hub answers. */
const hash = (seed: string) => seed.repeat(64).slice(0, 64);

const exhibit = (place: number, at: number): ExhibitReply => ({
  at,
  found: (["check", "canary", "recheck"] as const)[place % 3] ?? "check",
  model: place === 3 ? "langid@1.0.0" : "digits@1.0.0",
  level: place === 3 ? null : "verified",
  runtime: "webgpu",
  device_class: "9f2ac41b07d3e5a1",
  input_hash: hash(`${place}a7`),
  commitment: hash(`c${place}`),
  reference: hash(`e${place}`),
  reference_ms: 6.4,
  distance: 18_204.5 / (place + 1),
  compared: "logits: scores",
  comparator: { kind: "label", output: "logits", tau: 0.001 },
  measures:
    place === 3
      ? []
      : [
          { output: "logits", measure: "top-1", value: 1.797e308, fail_ratio: 1 },
          { output: "logits", measure: "scores", value: 18_204.5 / (place + 1), fail_ratio: 5 },
        ],
  outputs:
    place === 3
      ? []
      : [
          {
            name: "logits",
            dtype: "float32",
            shape: [1, 10],
            elements: 10,
            rows: Array.from({ length: 10 }, (_, index) => ({
              index,
              given: index === 4 ? "NaN" : 2.75 - index,
              reference: index - 6.25,
            })),
          },
        ],
});

function caseOf(summary: CaseSummary, now: number): CaseReply {
  const line = {
    cursor: "1.1.hub-1",
    at: summary.opened_at,
    actor: "hub",
    action: "case-opened",
    subject: summary.case,
  };
  const stake = { slashed: "0", returned: "0", interest: "0", slash_percent: 0, return_percent: 0 };
  return {
    ...summary,
    evidence:
      summary.kind === "report"
        ? {
            kind: "report",
            complaint: "It wrote how to hurt my neighbour,\nand I had only asked for a poem.",
            model: "shakespeare@1.0.0",
            level: "fast",
            basis: "checked",
            input_hash: hash("b4"),
            commitment: hash("d1"),
            executions: 2,
            settled_at: now - 90_000,
            exchange: {
              kind: "text",
              prompt: "Write a poem about my neighbour.",
              output: "Thou art a boil,\na plague-sore in my corrupted blood.",
              tokens: 17,
            },
          }
        : {
            kind: "suspension",
            strikes: 9.39,
            exhibits: [0, 1, 2, 3].map((place) => exhibit(place, now - 60_000 * (5 - place))),
            history: [
              { kind: "passes", at: now - 400_000, count: 41, strikes: -3.895 },
              ...[0, 1, 2, 3].map((place) => ({
                kind: "mismatch" as const,
                at: now - 60_000 * (5 - place),
                model: "digits@1.0.0",
                distance: 18_204.5 / (place + 1),
                voided: place === 0,
                strikes: 2.3 * (place + 1),
              })),
              { kind: "suspended", at: now - 60_000, strikes: 9.39 },
            ],
          },
    stakes:
      summary.state === "open"
        ? {
            dismissed: { ...stake, interest: "1204" },
            minor: { ...stake, slashed: "6243600", slash_percent: 20 },
            severe: { ...stake, slashed: "18730800", returned: "12487200", slash_percent: 60, return_percent: 40 },
          }
        : null,
    audit: [
      ...(summary.ruling === null
        ? []
        : [
            {
              ...line,
              cursor: "2.2.hub-1",
              at: now,
              actor: "operator",
              action: "case-decided",
              detail: { slashed: summary.ruling === "dismissed" ? "0" : "18730800", returned: "0", interest: "0" },
            },
          ]),
      { ...line, detail: {} },
    ],
  };
}

export type Manner = "answers" | "empty" | "fails" | "waits";

export function storyCases(manner: Manner, now: number): CaseCalls {
  const row = (place: number, change: Partial<CaseSummary>): CaseSummary => ({
    case: `c_story${place}`,
    kind: "suspension",
    party: `Party ${(41_000 + place * 7_919).toString(16).toUpperCase().slice(-4)}`,
    finable: true,
    state: "open",
    opened_at: now - place * 3_700_000,
    due_at: now - place * 3_700_000 + 7 * 86_400_000,
    closed_at: null,
    ruling: null,
    reviewer: null,
    reason: null,
    model: "digits@1.0.0, langid@1.0.0",
    mismatches: 4,
    ...change,
  });
  const closed = { closed_at: now - 1_000, reviewer: "operator", reason: "Reversed outputs, every time." } as const;
  const rows = [
    row(1, { kind: "report", mismatches: 0, model: "shakespeare@1.0.0" }),
    row(200, {}),
    row(260, { ...closed, state: "decided", ruling: "severe" }),
    row(270, { ...closed, state: "decided", ruling: "dismissed", reason: "A driver of theirs; told them." }),
    row(280, { ...closed, state: "withdrawn", reviewer: null, reason: "the device class was at fault" }),
  ];
  const answer = async <T>(value: T): Promise<T> => {
    if (manner === "fails") throw new Error("The hub answered 500.");
    return manner === "waits" ? new Promise<T>(() => {}) : value;
  };
  const found = (id: string) => rows.find((one) => one.case === id) as CaseSummary;
  return {
    list: (state) =>
      answer({
        data: manner === "empty" ? [] : rows.filter((one) => state === null || one.state === state),
        has_more: false,
      }),
    one: (id) => answer(caseOf(found(id), now)),
    decide: async (id, { ruling, reason }: Decision) => {
      if (reason === "refuse") throw new Error("case c_story200 is decided");
      const place = rows.indexOf(found(id));
      rows[place] = { ...found(id), state: "decided", ruling, reason, reviewer: "operator", closed_at: now };
      return caseOf(found(id), now);
    },
    compatibility: () =>
      answer(
        manner === "empty"
          ? []
          : ["9f2ac41b07d3e5a1", "0b77f1c2aa09d4e6", "other"].map((device_class, place) => ({
              model: "digits@1.0.0",
              runtime: place === 1 ? "wasm" : "webgpu",
              device_class,
              admitted: 1204 - place * 500,
              refused: place === 2 ? 31 : 0,
              quarantined: place,
              last_at: now,
            })),
      ),
  };
}

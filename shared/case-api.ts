import { z } from "zod";
import { pageQuerySchema } from "./api.ts";
import { serviceLevels } from "./pricing.ts";

/**
 * Cases, the audit log and the table of what runs where, as `/api/v1` shows them. A case names nobody: no owner, miner,
 * task or network; `party` is a pseudonym of this case alone.
 */
export const caseStates = ["open", "decided", "withdrawn"] as const;
export const caseRulings = ["dismissed", "minor", "severe"] as const;
/** Of a complaint or of a ruling's reason. */
export const REASON_CHARS = 2_000;

const nano = z.string().regex(/^-?\d+$/);
const millis = z.number().meta({ description: "Unix milliseconds" });
const reason = z.string().trim().min(1).max(REASON_CHARS);
const cell = z.union([z.number(), z.string()]).meta({ description: "a string where JSON has no such number" });

const exhibitSchema = z.object({
  at: millis,
  found: z.enum(["check", "canary", "recheck"]),
  model: z.string(),
  level: z.string().nullable(),
  runtime: z.string(),
  device_class: z.string(),
  input_hash: z.string(),
  commitment: z.string(),
  reference: z.string().meta({ description: "commitment of the reference node's answer" }),
  reference_ms: z.number(),
  distance: z.number().meta({ description: "in units of what passes" }),
  compared: z.string(),
  comparator: z.record(z.string(), z.unknown()).nullable(),
  measures: z
    .array(z.object({ output: z.string(), measure: z.string(), value: z.number(), fail_ratio: z.number() }))
    .meta({ description: "≤ 1 passes, above `fail_ratio` fails; empty where the outputs are not retained" }),
  outputs: z.array(
    z.object({
      name: z.string(),
      dtype: z.string(),
      shape: z.array(z.number()),
      elements: z.number(),
      rows: z
        .array(z.object({ index: z.number(), given: cell, reference: cell }))
        .meta({ description: "where the two differ most, in order of place" }),
    }),
  ),
});
export type ExhibitReply = z.infer<typeof exhibitSchema>;

const historyLineSchema = z.object({
  kind: z.enum(["passes", "mismatch", "voided", "suspended", "restored"]),
  at: millis,
  strikes: z.number(),
  count: z.number().optional(),
  model: z.string().optional(),
  distance: z.number().optional(),
  voided: z.boolean().optional(),
  why: z.string().optional(),
});
export type HistoryLineReply = z.infer<typeof historyLineSchema>;

const shownTensorSchema = z.object({
  name: z.string(),
  dtype: z.string(),
  shape: z.array(z.number()),
  elements: z.number(),
  values: z.array(cell).meta({ description: "the first 1,024" }),
});
const exchangeSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("text"), prompt: z.string(), output: z.string(), tokens: z.number() }),
  z.object({ kind: z.literal("tensors"), inputs: z.array(shownTensorSchema), outputs: z.array(shownTensorSchema) }),
]);
export type ExchangeReply = z.infer<typeof exchangeSchema>;

export const evidenceSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("suspension"),
    strikes: z.number(),
    exhibits: z.array(exhibitSchema),
    history: z.array(historyLineSchema),
  }),
  z.object({
    kind: z.literal("report"),
    complaint: z.string(),
    model: z.string(),
    level: z.enum(serviceLevels),
    basis: z.string().nullable(),
    input_hash: z.string(),
    commitment: z.string(),
    executions: z.number(),
    settled_at: millis,
    exchange: exchangeSchema.nullable().optional().meta({ description: "null or absent where only the hashes remain" }),
  }),
]);

export const auditLineSchema = z.object({
  cursor: z.string(),
  at: millis,
  actor: z.string(),
  action: z.string(),
  subject: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
});
export const auditSchema = z.object({ data: z.array(auditLineSchema), has_more: z.boolean() });
export const auditQuerySchema = pageQuerySchema.extend({
  subject: z.string().max(256).optional().meta({ description: "a case, a task or a device class" }),
});

export const caseSummarySchema = z.object({
  case: z.string(),
  kind: z.enum(["suspension", "report"]),
  party: z.string(),
  finable: z.boolean().meta({ description: "false where the hub's own node gave the reported answer" }),
  state: z.enum(caseStates),
  opened_at: millis,
  due_at: millis,
  closed_at: millis.nullable(),
  ruling: z.enum(caseRulings).nullable(),
  reviewer: z.string().nullable(),
  reason: z.string().nullable(),
  model: z.string().nullable(),
  mismatches: z.number(),
});
export type CaseSummary = z.infer<typeof caseSummarySchema>;
export const casesSchema = z.object({ data: z.array(caseSummarySchema), has_more: z.boolean() });
export const casesQuerySchema = pageQuerySchema.extend({ state: z.enum(caseStates).optional() });

const stakeSchema = z.object({
  slashed: nano,
  returned: nano,
  interest: nano,
  slash_percent: z.number().meta({ description: "of the party's held pay" }),
  return_percent: z.number(),
});
export const caseSchema = caseSummarySchema.extend({
  evidence: evidenceSchema,
  stakes: z
    .object({ dismissed: stakeSchema, minor: stakeSchema, severe: stakeSchema })
    .nullable()
    .meta({ description: "what each ruling would move now, nano-USDC; null once the case is closed" }),
  audit: z.array(auditLineSchema),
});
export type CaseReply = z.infer<typeof caseSchema>;

export const decisionSchema = z.strictObject({ ruling: z.enum(caseRulings), reason });
export type Decision = z.infer<typeof decisionSchema>;
export const reportSchema = z.strictObject({ reason });
export const reportReplySchema = z.object({ case: z.string(), state: z.literal("open") });

export const compatibilitySchema = z.object({
  data: z.array(
    z.object({
      model: z.string(),
      runtime: z.string(),
      device_class: z
        .string()
        .meta({ description: "first 16 hex digits of SHA-256 over its known answers, or `other`" }),
      admitted: z.number(),
      refused: z.number(),
      quarantined: z.number(),
      last_at: millis,
    }),
  ),
});
export type CompatibilityReply = z.infer<typeof compatibilitySchema>;

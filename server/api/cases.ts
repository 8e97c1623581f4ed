import type { Request } from "express";
import type { z } from "zod";
import { problemSchema } from "../../shared/api.ts";
import {
  auditQuerySchema,
  auditSchema,
  caseSchema,
  type caseSummarySchema,
  casesQuerySchema,
  casesSchema,
  decisionSchema,
  type evidenceSchema,
  reportReplySchema,
  reportSchema,
} from "../../shared/case-api.ts";
import type { CaseId, TaskId } from "../../shared/ids.ts";
import { KIB } from "../../shared/limits.ts";
import type { CaseDetail, CaseView, Gateway } from "../gateway/gateway.ts";
import { customerOf, principalOf } from "./auth.ts";
import { type Body, type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { parseJson } from "./json-text.ts";
import { ownTask } from "./network.ts";
import { check } from "./validation.ts";

const tag = "Cases";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };
const operatorOnly = { 401: problem, 403: problem };
/** There is one operator token, so one name. */
const REVIEWER = "operator";

const bodyOf = (schema: z.ZodType): Body => {
  return { type: "application/json", limitBytes: 16 * KIB, tooLarge: "body-too-large", schema };
};

/** What a person rules on: suspensions and reported answers; and the log of every step. */
export function cases(gateway: Gateway): Endpoint[] {
  return [
    {
      method: "get",
      path: "/api/v1/cases",
      tag,
      summary: "Cases, newest first, naming nobody",
      access: "operator",
      query: casesQuerySchema,
      replies: { 200: { description: "cases", schema: casesSchema }, 400: problem, ...operatorOnly },
      handle: async (request, response) => {
        const { limit, after = null, state = null } = unwrap(check(casesQuerySchema, request.query, "query"));
        const page = await gateway.cases(state, { limit, after });
        const data = page.data.map(summaryOf);
        response.json({ data, has_more: page.hasMore } satisfies z.input<typeof casesSchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/cases/:case",
      tag,
      summary: "One case: evidence, what each ruling would move, and its lines of the audit log",
      access: "operator",
      replies: { 200: { description: "case", schema: caseSchema }, ...operatorOnly, 404: problem },
      handle: async (request, response) => {
        const id = segment(request, "case");
        const found = await gateway.case(id as CaseId);
        if (!found) throw notFound("unknown-case", "case", id);
        response.json(caseReply(found));
      },
    },
    {
      method: "post",
      path: "/api/v1/cases/:case/decision",
      tag,
      summary: "Rule on an open case: the only way in which anything is ever slashed",
      access: "operator",
      body: bodyOf(decisionSchema),
      replies: {
        200: { description: "decided", schema: caseSchema },
        400: problem,
        ...operatorOnly,
        404: problem,
        409: problem,
      },
      handle: async (request, response) => {
        const { ruling, reason } = readBody(decisionSchema, request);
        const id = segment(request, "case") as CaseId;
        const decided = await gateway.decideCase(id, { ruling, reason, reviewer: REVIEWER });
        response.json(caseReply(unwrap(decided)));
      },
    },
    {
      method: "post",
      path: "/api/v1/receipts/:receipt/report",
      tag,
      summary: "Say that the answer of one of your own tasks is harmful; a person will look at it",
      access: "key",
      body: bodyOf(reportSchema),
      replies: {
        201: { description: "a case is open", schema: reportReplySchema },
        400: problem,
        401: problem,
        403: problem,
        404: problem,
        409: problem,
      },
      handle: async (request, response) => {
        customerOf(response);
        const receipt = segment(request, "receipt");
        const { reason } = readBody(reportSchema, request);
        const task = await ownTask(gateway, `t_${receipt.slice(2)}` as TaskId, principalOf(response)).catch(() => {
          throw notFound("unknown-receipt", "receipt", receipt);
        });
        const opened = unwrap(await gateway.reportAnswer(task, reason));
        response.status(201).json({ case: opened.case, state: "open" } satisfies z.input<typeof reportReplySchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/audit",
      tag,
      summary: "The audit log, newest first; of one case, task or device class with `subject`",
      access: "operator",
      query: auditQuerySchema,
      replies: { 200: { description: "lines", schema: auditSchema }, 400: problem, ...operatorOnly },
      handle: async (request, response) => {
        const { limit, after = null, subject = null } = unwrap(check(auditQuerySchema, request.query, "query"));
        const page = await gateway.audit(subject, { limit, after });
        response.json({ data: page.data, has_more: page.hasMore } satisfies z.input<typeof auditSchema>);
      },
    },
  ];
}

function readBody<Schema extends z.ZodType>(schema: Schema, request: Request): z.output<Schema> {
  return unwrap(check(schema, unwrap(parseJson(request.body, "body"))));
}

function summaryOf(one: CaseView): z.input<typeof caseSummarySchema> {
  const { evidence } = one;
  const models = evidence.kind === "report" ? [evidence.model] : evidence.exhibits.map(({ model }) => model);
  return {
    case: one.case,
    kind: one.kind,
    party: one.party,
    finable: one.finable,
    state: one.state,
    opened_at: one.openedAt,
    due_at: one.dueAt,
    closed_at: one.closedAt,
    ruling: one.ruling,
    reviewer: one.reviewer,
    reason: one.reason,
    model: [...new Set(models)].join(", ") || null,
    mismatches: evidence.kind === "report" ? 0 : evidence.exhibits.length,
  };
}

function caseReply(detail: CaseDetail): z.input<typeof caseSchema> {
  const { stakes, audit } = detail;
  const text = (of: NonNullable<typeof stakes>["minor"]) => ({
    slashed: String(of.slashed),
    returned: String(of.returned),
    interest: String(of.interest),
    slash_percent: of.slashPercent,
    return_percent: of.returnPercent,
  });
  return {
    ...summaryOf(detail),
    evidence: evidenceReply(detail.evidence),
    stakes: stakes && { dismissed: text(stakes.dismissed), minor: text(stakes.minor), severe: text(stakes.severe) },
    audit,
  };
}

function evidenceReply(evidence: CaseView["evidence"]): z.input<typeof evidenceSchema> {
  if (evidence.kind === "report") {
    const { inputHash: input_hash, settledAt: settled_at, ...rest } = evidence;
    return { ...rest, input_hash, settled_at };
  }
  const exhibits = evidence.exhibits.map(({ deviceClass, inputHash, referenceMs, comparator, measures, ...rest }) => ({
    ...rest,
    device_class: deviceClass,
    input_hash: inputHash,
    reference_ms: referenceMs,
    comparator: comparator && { ...comparator },
    measures: measures.map(({ failRatio, ...measure }) => ({ ...measure, fail_ratio: failRatio })),
  }));
  return { ...evidence, exhibits };
}

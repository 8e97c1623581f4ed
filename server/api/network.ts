import type { z } from "zod";
import {
  modelStatusesSchema,
  type modelStatusSchema,
  networkSchema,
  pageQuerySchema,
  problemSchema,
  receiptPendingSchema,
  receiptSchema,
  taskSchema,
} from "../../shared/api.ts";
import { compatibilitySchema } from "../../shared/case-api.ts";
import type { ReceiptId, TaskId } from "../../shared/ids.ts";
import type { Gateway, ModelStatus, TaskView } from "../gateway/gateway.ts";
import { type Principal, principalOf } from "./auth.ts";
import { type Endpoint, segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { check } from "./validation.ts";

const tag = "Network";
const problem = { description: "problem", type: "application/problem+json", schema: problemSchema };

/** Tasks, receipts and the state of the network. */
export function network(gateway: Gateway): Endpoint[] {
  return [
    {
      method: "get",
      path: "/api/v1/tasks/:task",
      tag,
      summary: "State and timeline of one of your tasks",
      access: "key",
      replies: { 200: { description: "task", schema: taskSchema }, 401: problem, 404: problem },
      handle: async (request, response) => {
        const task = await ownTask(gateway, segment(request, "task"), principalOf(response));
        response.json(taskReply(task));
      },
    },
    {
      method: "delete",
      path: "/api/v1/tasks/:task",
      tag,
      summary: "Cancel one of your tasks; it costs nothing then",
      access: "key",
      replies: { 204: { description: "cancelled" }, 401: problem, 404: problem, 409: problem },
      handle: async (request, response) => {
        const { task } = await ownTask(gateway, segment(request, "task"), principalOf(response));
        unwrap(await gateway.cancel(task));
        response.status(204).end();
      },
    },
    {
      method: "get",
      path: "/api/v1/receipts/:receipt",
      tag,
      summary: "The proof of a settled task; it can be shown to anyone, so any key that knows its id may read it",
      access: "key",
      replies: {
        200: { description: "receipt", schema: receiptSchema },
        202: { description: "the task is not settled yet", schema: receiptPendingSchema },
        401: problem,
        404: problem,
      },
      handle: async (request, response) => {
        const id = segment(request, "receipt") as ReceiptId;
        const found = await gateway.receipt(id);
        if (found) {
          const { hubKey, revisions = [], ...proof } = found;
          response.json({ ...proof, hub_key: hubKey, revisions } satisfies z.input<typeof receiptSchema>);
          return;
        }
        const task = await gateway.task(`t_${id.slice(2)}` as TaskId);
        const isPending = task && !["failed", "cancelled", "expired"].includes(task.state);
        if (!isPending) throw notFound("unknown-receipt", "receipt", task ? `${id}: its task ${task.state}` : id);
        response.status(202).json({ receipt: id, status: "pending" });
      },
    },
    {
      method: "get",
      path: "/api/v1/network",
      tag,
      summary: "Miners and work, now",
      access: "open",
      replies: { 200: { description: "network", schema: networkSchema } },
      handle: (_request, response) => {
        const { miners, working, attested, queued, inFlight, verified, perSecond } = gateway.network();
        response.json({
          miners,
          working,
          attested,
          queued,
          in_flight: inFlight,
          verified,
          per_second: perSecond,
        } satisfies z.input<typeof networkSchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/compatibility",
      tag,
      summary: "Which kinds of device passed which model's known answers, since the hub's first start",
      access: "open",
      replies: { 200: { description: "counts by model, runtime and device class", schema: compatibilitySchema } },
      handle: (_request, response) => {
        const data = gateway.compatibility().map(({ deviceClass, lastAt, ...count }) => {
          return { ...count, device_class: deviceClass, last_at: lastAt };
        });
        response.json({ data } satisfies z.input<typeof compatibilitySchema>);
      },
    },
    {
      method: "get",
      path: "/api/v1/models",
      tag,
      summary: "Every published version with its manifest, by id@version",
      access: "open",
      query: pageQuerySchema,
      replies: { 200: { description: "models", schema: modelStatusesSchema }, 400: problem },
      handle: (request, response) => {
        const { limit, after } = unwrap(check(pageQuerySchema, request.query, "query"));
        const rest = gateway
          .models()
          .map((status) => ({ key: `${status.manifest.id}@${status.manifest.version}`, status }))
          .toSorted((a, b) => (a.key < b.key ? -1 : 1))
          .filter(({ key }) => after === undefined || key > after);
        const data = rest.slice(0, limit).map(({ status }) => modelReply(status));
        response.json({ data, has_more: rest.length > limit } satisfies z.input<typeof modelStatusesSchema>);
      },
    },
  ];
}

/** Somebody else's task is as unknown as one that never was. */
export async function ownTask(gateway: Gateway, id: string, principal: Principal): Promise<TaskView> {
  const task = await gateway.task(id as TaskId);
  const isOwn = principal.kind === "operator" || task?.customer === principal.customer;
  if (!task || !isOwn) throw notFound("unknown-task", "task", id);
  return task;
}

export const modelReply = (status: ModelStatus): z.input<typeof modelStatusSchema> => ({
  manifest: status.manifest,
  published_at: status.publishedAt,
  miners: status.miners,
  queued: status.queued,
  reference_serves: status.referenceServes,
});

const taskReply = (task: TaskView): z.input<typeof taskSchema> => ({
  task: task.task,
  model: task.model,
  service_level: task.level,
  state: task.state,
  basis: task.basis,
  price: String(task.price),
  submitted_at: task.submittedAt,
  ended_at: task.endedAt,
  position: task.position,
  eta_ms: task.etaMs,
  error: task.error,
  receipt: task.receipt,
  timeline: task.timeline,
});

import { z } from "zod";
import { formatNano } from "../../shared/money.ts";
import { sessionRoles } from "../../shared/protocol.ts";

/** What `npm run miner` reads of the contribute page's view (client/miner/contract.ts); the page may know more. */
export const minerViewSchema = z.object({
  role: z.enum(sessionRoles),
  state: z.string(),
  why: z.string().nullable(),
  device: z.object({ runtime: z.string(), adapter: z.string() }).nullable(),
  deviceNote: z.string().nullable(),
  models: z.array(z.object({ key: z.string(), state: z.string(), problem: z.string().nullable() })),
  completed: z.number(),
  failed: z.number(),
  held: z.string(),
  available: z.string(),
  notices: z.array(z.object({ at: z.number(), text: z.string() })),
});
export type MinerReport = z.infer<typeof minerViewSchema>;

/** States that come and go with every task; what they add up to is in the earnings line. */
const busy = ["ready", "working"];
const settled = ({ role, state }: MinerReport): string =>
  busy.includes(state) ? { miner: "mining", validator: "checking" }[role] : state;

/** What a person wants to hear of that is new since the last report, one line each. */
export function changes(before: MinerReport | null, after: MinerReport): string[] {
  const lines: string[] = [];
  if (after.device && after.device.adapter !== before?.device?.adapter) {
    lines.push(`Computes on ${after.device.runtime}: ${after.device.adapter}.`);
  }
  if (after.deviceNote && after.deviceNote !== before?.deviceNote) lines.push(after.deviceNote);
  const state = settled(after);
  if (!before || state !== settled(before)) {
    lines.push(busy.includes(after.state) || !after.why ? `State: ${state}.` : `State: ${state}. ${after.why}`);
  }
  for (const model of after.models) {
    const known = before?.models.find(({ key }) => key === model.key);
    if (model.state !== known?.state) {
      lines.push(`${model.key}: ${model.state}${model.problem ? ` (${model.problem})` : ""}.`);
    }
  }
  for (const { at, text } of after.notices) {
    if (!before?.notices.some((notice) => notice.at === at && notice.text === text)) lines.push(text);
  }
  return lines;
}

/** One line of totals; null while nothing has changed. */
export function earnings(before: MinerReport | null, after: MinerReport): string | null {
  const same =
    before?.completed === after.completed &&
    before.failed === after.failed &&
    before.held === after.held &&
    before.available === after.available;
  if (same || (!before && after.completed === 0)) return null;
  const failed = after.failed > 0 ? `, ${after.failed} failed` : "";
  const usdc = (nano: string) => `${formatNano(BigInt(nano))} USDC`;
  const things = { miner: "tasks", validator: "checks" }[after.role];
  return `${after.completed} ${things} done${failed}; ${usdc(after.available)} available, ${usdc(after.held)} held.`;
}

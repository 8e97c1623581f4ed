import { type Kysely, sql } from "kysely";
import type { CaseId, TaskId } from "../../shared/ids.ts";
import type { AuditView, Page, Paged } from "../gateway/gateway.ts";
import {
  type CaseRecord,
  type CaseState,
  type CompatibilityCount,
  caseRecord,
  compatibilityCount,
} from "./case-records.ts";
import { paged, parseCursor } from "./ledger-reads.ts";
import type { Tables } from "./tables.ts";

type Db = Kysely<Tables>;

export async function readCase(db: Db, id: CaseId): Promise<CaseRecord | null> {
  const row = await db.selectFrom("cases").selectAll().where("id", "=", id).executeTakeFirst();
  return row ? caseRecord(row) : null;
}

export async function readCaseOf(db: Db, task: TaskId): Promise<CaseRecord | null> {
  const row = await db.selectFrom("cases").selectAll().where("task", "=", task).executeTakeFirst();
  return row ? caseRecord(row) : null;
}

/** Newest first; `after` is a case. */
export async function readCases(db: Db, state: CaseState | null, page: Page): Promise<Paged<CaseRecord>> {
  const conditions = [sql`true`];
  if (state !== null) conditions.push(sql`state = ${state}`);
  if (page.after !== null) {
    conditions.push(sql`(opened_at, id) < (select opened_at, id from cases where id = ${page.after})`);
  }
  const { rows } = await sql<Tables["cases"]>`
    select * from cases where ${sql.join(conditions, sql` and `)}
    order by opened_at desc, id desc limit ${BigInt(page.limit + 1)}`.execute(db);
  return paged(rows.map(caseRecord), page.limit);
}

export async function countOpenCases(db: Db): Promise<number> {
  const query = db.selectFrom("cases").select((of) => of.fn.countAll<bigint>().as("open"));
  const { open } = await query.where("state", "=", "open").executeTakeFirstOrThrow();
  return Number(open);
}

/** Newest first; `subject` is whatever the line is about: a case, a task, a device class. */
export async function readAudit(db: Db, subject: string | null, page: Page): Promise<Paged<AuditView>> {
  const conditions = [sql`true`];
  if (subject !== null) conditions.push(sql`subject = ${subject}`);
  if (page.after !== null) {
    const { at, hub, seq } = parseCursor(page.after, "the audit log");
    conditions.push(sql`(at, hub, seq) < (${at}, ${hub}, ${seq})`);
  }
  const { rows } = await sql<Tables["audit"]>`
    select * from audit where ${sql.join(conditions, sql` and `)}
    order by at desc, hub desc, seq desc limit ${BigInt(page.limit + 1)}`.execute(db);
  const lines = rows.map(({ hub, seq, at, actor, action, subject: about, detail }) => {
    return { cursor: `${at}.${seq}.${hub}`, at: Number(at), actor, action, subject: about, detail: JSON.parse(detail) };
  });
  return paged(lines, page.limit);
}

export async function readCompatibility(db: Db): Promise<CompatibilityCount[]> {
  const query = db.selectFrom("compatibility").selectAll().orderBy("model").orderBy("runtime").orderBy("device_class");
  return (await query.execute()).map(compatibilityCount);
}

import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/** Cases and what they are about; what each audit line is about; which devices run what. The same SQL for both databases. */
const schema = [
  `create table cases (
    id text primary key,
    kind text not null,
    owner text,
    task text,
    opened_at bigint not null,
    evidence text not null,
    state text not null,
    closed_at bigint,
    ruling text,
    reviewer text,
    reason text
  )`,
  `create index cases_opened on cases (opened_at, id)`,
  `create index cases_open on cases (opened_at, id) where state = 'open'`,
  // An answer is reported once.
  `create unique index cases_task on cases (task) where task is not null`,

  `alter table audit add column subject text`,
  `create index audit_at on audit (at, hub, seq)`,
  `create index audit_subject on audit (subject, at, hub, seq) where subject is not null`,

  // How often known answers from such a device were judged, and how.
  `create table compatibility (
    model text not null,
    runtime text not null,
    device_class text not null,
    admitted bigint not null,
    refused bigint not null,
    quarantined bigint not null,
    last_at bigint not null,
    primary key (model, runtime, device_class)
  )`,
];

export const cases: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
  },
};

import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * What was settled under different settings of a domain is counted apart, and claims are weighed by price instead of work
 * (docs/decisions/claims-by-price.md). What is there already is of the settings of its epoch, of held tasks the newest.
 */
const schema = [
  `alter table held_tasks add column since bigint not null default 0`,
  `update held_tasks set since = (select max(epoch) from epochs)`,
  `create table tallies_of_periods (
    epoch bigint not null,
    domain text not null,
    since bigint not null,
    model text not null,
    kind text not null,
    party text not null,
    billions bigint not null,
    units bigint not null,
    primary key (epoch, domain, since, model, kind, party)
  )`,
  `insert into tallies_of_periods (epoch, domain, since, model, kind, party, billions, units)
    select epoch, domain, case when kind in ('availability', 'stake') then 0 else epoch end, model, kind, party, billions,
      units
    from tallies where kind <> 'vwu'`,
];
const afterwards = [
  `alter table held_tasks drop column vwu`,
  `drop table tallies`,
  `alter table tallies_of_periods rename to tallies`,
];

const BILLION = 1_000_000_000n;
type Claims = Record<"pay" | "checks", [string, string][]>;
type Weights = Record<
  "epoch" | "billions" | "units" | "vwu_billions" | "vwu_units" | "all_billions" | "all_units",
  bigint
> &
  Record<"domain" | "model" | "kind" | "party", string>;

export const periods: Migration = {
  async up(db) {
    for (const statement of schema) await sql.raw(statement).execute(db);
    const tasks = await sql<{ task: string; revenue: bigint; vwu: bigint; claims: string }>`
      select task, revenue, vwu, claims from held_tasks where vwu > 0`.execute(db);
    for (const { task, revenue, vwu, claims } of tasks.rows) {
      const worth = (of: [string, string][]) =>
        of.map(([owner, weight]) => [owner, `${(BigInt(weight) * BigInt(revenue)) / BigInt(vwu)}`]);
      const { pay, checks } = JSON.parse(claims) as Claims;
      const weighed = JSON.stringify({ pay: worth(pay), checks: worth(checks) });
      await sql`update held_tasks set claims = ${weighed} where task = ${task}`.execute(db);
    }
    const weights = await sql<Weights>`
      select one.epoch, one.domain, one.model, one.kind, one.party, one.billions, one.units,
        vwu.billions as vwu_billions, vwu.units as vwu_units, revenue.billions as all_billions, revenue.units as all_units
      from tallies as one
      join tallies as vwu on vwu.epoch = one.epoch and vwu.domain = one.domain and vwu.model = one.model and vwu.kind = 'vwu'
      join tallies as revenue on revenue.epoch = one.epoch and revenue.domain = one.domain and revenue.model = one.model
        and revenue.kind = 'revenue'
      where one.kind in ('work', 'checks')`.execute(db);
    const whole = (billions: bigint, units: bigint): bigint => BigInt(billions) * BILLION + BigInt(units);
    for (const row of weights.rows) {
      const vwu = whole(row.vwu_billions, row.vwu_units);
      const worth = (whole(row.billions, row.units) * whole(row.all_billions, row.all_units)) / vwu;
      await sql`update tallies_of_periods set billions = ${worth / BILLION}, units = ${worth % BILLION}
        where epoch = ${row.epoch} and domain = ${row.domain} and model = ${row.model} and kind = ${row.kind}
          and party = ${row.party}`.execute(db);
    }
    for (const statement of afterwards) await sql.raw(statement).execute(db);
  },
};

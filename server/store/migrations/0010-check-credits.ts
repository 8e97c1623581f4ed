import { sql } from "kysely";
import type { Migration } from "kysely/migration";

/**
 * What verification pools have from each owner's work (docs/decisions/checks-paid-by-own-work.md), nano-USDC. What is in the
 * pools already is nobody's.
 */
export const checkCredits: Migration = {
  async up(db) {
    await sql`create table check_credits (
      domain text not null,
      owner text not null,
      credit bigint not null,
      primary key (domain, owner)
    )`.execute(db);
  },
};

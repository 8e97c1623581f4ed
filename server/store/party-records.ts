import type { AccountId, CustomerId, ModelKey } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { Pledge } from "../economy/demand-board.ts";
import type { DomainSettings } from "../economy/domains.ts";
import type { Proposal } from "../economy/governance.ts";
import type { NetworkParameters } from "../economy/governance-bounds.ts";
import type { Market } from "../economy/market.ts";
import type { RefundClaim } from "../economy/refund-claims.ts";
import type { Registration } from "../economy/registration.ts";
import type { Round } from "../economy/rounds.ts";
import type { Position } from "../economy/staking.ts";
import { commonsVerification } from "../economy/verification-terms.ts";
import { exactJson, fromExactJson } from "./exact-json.ts";
import type { Tables } from "./tables.ts";

/** What the books keep of parties, by kind. */
export interface PartyBodies {
  /** Settings by the epoch from which they hold, ascending; who set them and when stands beside each. */
  domain: DomainBook;
  /** One: governance parameters by epoch. */
  network: NetworkBook;
  version: Version;
  creator: Creator;
  registration: Registration & { moves: number };
  round: RoundBook;
  pledge: Pledge;
  position: Position;
  proposal: Proposal & { title: string };
  /** One. */
  market: Market;
  /** By task. */
  claim: RefundClaim;
}
export type PartyKind = keyof PartyBodies;

export interface DomainBook {
  domain: string;
  title: string;
  /** Who may change it and has its revenue; null: the foundation's. */
  owner: CustomerId | null;
  timeline: readonly { from: number; at: Millis; by: string; settings: DomainSettings }[];
}

export interface NetworkBook {
  timeline: readonly { from: number; at: Millis; by: string; parameters: NetworkParameters }[];
}

/** A published model version; its royalty never changes. */
export interface Version {
  model: ModelKey;
  domain: string;
  creator: string;
  royaltyBasisPoints: number;
  /** The one whose holders have a share of the royalty. */
  round: string | null;
}

/** Who is behind a creator's name. */
export interface Creator {
  name: string;
  customer: CustomerId;
}

export interface RoundBook {
  round: Round;
  model: ModelKey;
  title: string;
  openedAt: Millis;
  /** Payments of the yield venue so far. */
  yields: number;
}

export interface PartyRecord<Kind extends PartyKind = PartyKind> {
  kind: Kind;
  id: string;
  party: AccountId | null;
  subject: string | null;
  state: string;
  /** Epoch since or from which it holds; null where it is no setting. */
  from: number | null;
  at: Millis;
  by: string;
  body: PartyBodies[Kind];
}

export const partyRow = (of: PartyRecord): Tables["party_records"] => ({
  kind: of.kind,
  id: of.id,
  party: of.party,
  subject: of.subject,
  state: of.state,
  from_epoch: of.from === null ? null : BigInt(of.from),
  at: BigInt(of.at),
  by_party: of.by,
  body: exactJson(of.body),
});

export const partyRecord = <Kind extends PartyKind>(row: Tables["party_records"]): PartyRecord<Kind> => ({
  kind: row.kind as Kind,
  id: row.id,
  party: row.party as AccountId | null,
  subject: row.subject,
  state: row.state,
  from: row.from_epoch === null ? null : Number(row.from_epoch),
  at: Number(row.at),
  by: row.by_party,
  body: bodyOf(row) as PartyBodies[Kind],
});

function bodyOf({ kind, body }: Tables["party_records"]): unknown {
  const stored = fromExactJson(body);
  return kind === "domain" ? wholeBook(stored as DomainBook) : stored;
}

/** Settings that were written down before domains had a verification policy of their own were under that of all. */
export const wholeBook = (book: DomainBook): DomainBook => ({
  ...book,
  timeline: book.timeline.map((one) => ({
    ...one,
    settings: { ...one.settings, verification: one.settings.verification ?? commonsVerification },
  })),
});

/** `at` stays that of the first writing, so that lists keep their order. */
export const replaceParty = `on conflict (kind, id) do update set ${[
  "party",
  "subject",
  "state",
  "from_epoch",
  "by_party",
  "body",
]
  .map((column) => `${column} = excluded.${column}`)
  .join(", ")}`;

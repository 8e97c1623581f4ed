import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CustomerId, ModelKey } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import {
  changeDomain,
  checkDomain,
  checkMint,
  commonsSettings,
  type DomainSettings,
  type DomainTimeline,
  settingsAt,
} from "../economy/domains.ts";
import { ledgerVenue, royaltyOf } from "../economy/rounds.ts";
import { changeRoyalty, ownRoyalty, type Royalty } from "../economy/royalty.ts";
import { COMMONS } from "../settlement/domain-map.ts";
import type { DomainBook, Version } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";
import { actorOf, type Caller, type Desk, forbidden, noCustomer, unknown, type Written } from "./desk.ts";

/** Domains and the model versions that are published in them. */
const noDomain = unknown("unknown-domain");

export const domainRecord = (book: DomainBook): Written<"domain"> => ({
  kind: "domain",
  id: book.domain,
  party: null,
  subject: book.owner,
  state: "open",
  from: book.timeline.at(-1)?.from ?? null,
  body: book,
});

export class DomainDesk {
  readonly #desk: Desk;
  constructor(desk: Desk) {
    this.#desk = desk;
  }

  /** A domain begins in the running epoch, with the settings of `commons` unless they are given. */
  create(
    caller: Caller,
    wanted: { domain: string; title: string; owner: CustomerId | null; settings: Partial<DomainSettings> },
  ): Promise<Result<DomainBook, TabgridError>> {
    const { domain, title, owner } = wanted;
    return this.#desk.act(caller, "domain-created", wanted, async (books, at) => {
      if (await books.one("domain", domain)) {
        const detail = { field: "domain", expected: "a new name", got: domain };
        return err(failure("wrong-state", `domain ${domain} exists`, detail));
      }
      if (owner !== null && !(await books.hasCustomer(owner))) {
        return noCustomer("owner", owner);
      }
      const merged = { ...commonsSettings, ...wanted.settings };
      const settings = { ...merged, listed: false, revenue: { ...merged.revenue, domain } };
      const checked = checkDomain(settings, []);
      if (!checked.ok) return checked;
      const from = this.#desk.domains.epoch;
      const book = { domain, title, owner, timeline: [{ from, at, by: actorOf(caller), settings }] };
      return ok({ reply: book, subject: domain, records: [domainRecord(book)] });
    });
  }

  /** By its owner, or by the operator for a domain that nobody owns. */
  change(
    caller: Caller,
    domain: string,
    settings: DomainSettings,
    from: number,
  ): Promise<Result<DomainBook, TabgridError>> {
    return this.#desk.act(caller, "domain-changed", { domain, from, settings }, async (books) => {
      const book = (await books.one("domain", domain))?.body;
      if (!book) return noDomain("domain", domain);
      if (book.owner !== caller.customer) {
        return forbidden("only its owner changes a domain", "domain", book.owner ?? "the operator", actorOf(caller));
      }
      const now = settingsAt(book.timeline, from);
      const refused = now && whatOnlyVotesChange(now, settings);
      if (refused) return refused;
      const epoch = await this.#desk.running(books);
      const by = actorOf(caller);
      let changed = await withChange(books, book, settings, from, epoch, by, this.#desk.now());
      // Votes for later epochs stand, whatever the owner plans.
      let voted = votedOf(settings);
      for (const one of book.timeline) {
        if (!changed.ok || one.from <= from || same(votedOf(one.settings), voted)) continue;
        voted = votedOf(one.settings);
        const { listed, ...shares } = voted;
        const kept = { ...settings, listed, revenue: { ...settings.revenue, ...shares } };
        changed = await withChange(books, changed.value, kept, one.from, epoch, one.by, one.at);
      }
      if (!changed.ok) return changed;
      return ok({ reply: changed.value, subject: domain, records: [domainRecord(changed.value)] });
    });
  }

  async list(): Promise<DomainBook[]> {
    return (await this.#desk.all("domain")).map(({ body }) => body);
  }
  async one(domain: string): Promise<DomainBook | null> {
    return (await this.#desk.one("domain", domain))?.body ?? null;
  }

  async version(model: ModelKey): Promise<Version | null> {
    const found = await this.#desk.one("version", model);
    return found?.state === "minted" ? found.body : null;
  }
  async versions(): Promise<Version[]> {
    return (await this.#desk.all("version", { state: "minted" })).map(({ body }) => body);
  }

  /**
   * Before a version is registered: its domain and royalty are written down. They are final once it is `minted`; a draft
   * whose registration failed may be replaced.
   */
  draft(caller: Caller, version: Version): Promise<Result<null, TabgridError>> {
    const { model, domain, creator, royaltyBasisPoints } = version;
    return this.#desk.act(caller, "version-drafted", { ...version }, async (books) => {
      const book = (await books.one("domain", domain))?.body;
      if (!book) return noDomain("domain", domain);
      const known = await books.one("version", model);
      if (known?.state === "minted") {
        const minted = ownRoyalty(known.body.creator, known.body.royaltyBasisPoints);
        const same = changeRoyalty(minted, ownRoyalty(creator, royaltyBasisPoints));
        if (!same.ok) return same;
        const message = `${model} is published already; a version never changes, give another one`;
        return err(failure("model-exists", message, { field: "version", got: model }));
      }
      const allowed = checkMint(book.timeline, await this.#desk.running(books), royaltyBasisPoints);
      if (!allowed.ok) return allowed;
      return ok({ reply: null, subject: model, records: [versionRecord(version, "draft")] });
    });
  }

  /** After it was published. */
  mint(caller: Caller, version: Version): Promise<Result<null, TabgridError>> {
    const { model } = version;
    return this.#desk.act(caller, "version-minted", { ...version }, async () =>
      ok({ reply: null, subject: model, records: [versionRecord(version, "minted")] }),
    );
  }

  /** Who shares a version's royalty now, for the closing of an epoch. */
  async royalties(): Promise<Map<ModelKey, Royalty>> {
    const rounds = new Map((await this.#desk.all("round")).map(({ id, body }) => [id, body.round]));
    return new Map(
      (await this.versions()).map(({ model, creator, royaltyBasisPoints, round }) => {
        const sold = round === null ? undefined : rounds.get(round);
        const own = ownRoyalty(creator, royaltyBasisPoints);
        return [model, sold ? royaltyOf(sold, royaltyBasisPoints, ledgerVenue) : own];
      }),
    );
  }
}

/** y, d and `listed` change by a governance vote alone. */
const votedOf = ({ revenue, listed }: DomainSettings) => {
  return { processor: revenue.processor, variableBurn: revenue.variableBurn, listed };
};
type Voted = ReturnType<typeof votedOf>;
const votedFields = { processor: "revenue.processor", variableBurn: "revenue.variableBurn", listed: "listed" } as const;
const changedVote = (before: Voted, after: Voted) =>
  (Object.keys(votedFields) as (keyof Voted)[]).find((name) => before[name] !== after[name]);
const same = (one: Voted, other: Voted): boolean => changedVote(one, other) === undefined;

function whatOnlyVotesChange(now: DomainSettings, wanted: DomainSettings) {
  const [before, after] = [votedOf(now), votedOf(wanted)];
  const name = changedVote(before, after);
  if (name === undefined) return null;
  const field = votedFields[name];
  return forbidden(`${field} changes by a governance vote alone`, field, String(before[name]), String(after[name]));
}

/** The book with settings that hold from a later epoch on. */
export async function withChange(
  books: Books,
  book: DomainBook,
  settings: DomainSettings,
  from: number,
  running: number,
  by: string,
  at: number,
): Promise<Result<DomainBook, TabgridError>> {
  const versions = await books.all("version", { subject: book.domain });
  const royalties = versions.map(({ body }) => body.royaltyBasisPoints);
  const whole = { ...settings, revenue: { ...settings.revenue, domain: book.domain } };
  const changed = changeDomain(book.timeline as DomainTimeline, whole, from, running, royalties);
  if (!changed.ok) return changed;
  const kept = book.timeline.filter((one) => one.from < from);
  return ok({ ...book, timeline: [...kept, { from, at, by, settings: whole }] });
}

export const versionRecord = (version: Version, state: "draft" | "minted"): Written<"version"> => ({
  kind: "version",
  id: version.model,
  party: null,
  subject: version.domain,
  state,
  from: null,
  body: version,
});

export const commonsBook = (at: number): DomainBook => ({
  domain: COMMONS,
  title: "The commons",
  owner: null,
  timeline: [{ from: 0, at, by: "foundation", settings: commonsSettings }],
});

import type { z } from "zod";
import {
  changeDomainSchema,
  domainSchema,
  domainsSchema,
  newDomainSchema,
  type SettingsReply,
  type settingsSchema,
} from "../../shared/economy-api.ts";
import type { CustomerId } from "../../shared/ids.ts";
import type { DomainSettings } from "../economy/domains.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { type DomainBook, type Version, wholeBook } from "../store/party-records.ts";
import type { Endpoint } from "./endpoint.ts";
import { segment } from "./endpoint.ts";
import { notFound, unwrap } from "./error-reply.ts";
import { anyCaller, command, operatorCaller, read, snake } from "./party-command.ts";

/** Domains: what holds in each, what is planned, and who may change it. */
const tag = "Domains";

export function domains({ parties }: Gateway): Endpoint[] {
  /** A repeated command gets its first reply, which may be older than the fields of a book. */
  const shown = async (book: DomainBook) =>
    domainReply(wholeBook(book), await parties.domains.versions(), parties.epoch());
  return [
    read({
      path: "/api/v1/domains",
      tag,
      summary: "All domains, with what holds in the running epoch and what is planned",
      access: "open",
      reply: domainsSchema,
      read: async () => {
        const [books, versions] = [await parties.domains.list(), await parties.domains.versions()];
        const epoch = parties.epoch();
        return { epoch, hub: parties.hubKey, data: books.map((book) => domainReply(book, versions, epoch)) };
      },
    }),
    read({
      path: "/api/v1/domains/:domain",
      tag,
      summary: "One domain",
      access: "open",
      reply: domainSchema,
      read: async (_query, request) => {
        const domain = segment(request, "domain");
        const book = await parties.domains.one(domain);
        if (!book) throw notFound("unknown-domain", "domain", domain);
        return shown(book);
      },
    }),
    command({
      path: "/api/v1/domains",
      tag,
      summary: "Open a domain, with the settings of `commons` to begin with",
      access: "operator",
      body: newDomainSchema,
      status: 201,
      reply: domainSchema,
      run: async ({ domain, title, owner }, request) => {
        const wish = { domain, title, owner: owner as CustomerId | null, settings: {} };
        return shown(unwrap(await parties.domains.create(operatorCaller(request), wish)));
      },
    }),
    command({
      method: "put",
      path: "/api/v1/domains/:domain/settings",
      tag,
      summary: "Set what holds in a domain from a later epoch on; by its owner, of an unowned one by the operator",
      access: "key",
      body: changeDomainSchema,
      reply: domainSchema,
      fieldOf: settingsField,
      run: async ({ from, settings }, request, response) => {
        const domain = segment(request, "domain");
        const caller = anyCaller(request, response);
        return shown(unwrap(await parties.domains.change(caller, domain, settingsOf(domain, settings), from)));
      },
    }),
  ];
}

const ownFields = ["severePercent", "registrationFee", "minimumCollateral", "targetStake", "listed"];

/** A field of `DomainSettings`, as `settings` has it. */
function settingsField(field: string): string {
  const [group = "", name] = field.split(".");
  // What the miners are left is no field.
  if (field === "revenue.miners") return "settings";
  if ((group === "revenue" || group === "tariff") && name) return `settings.${snake(name)}`;
  if (group === "emission") return name ? `settings.emission_split.${name}` : "settings.emission_split";
  if (group === "verification" && name) return `settings.verification.${snake(name)}`;
  return ownFields.includes(field) ? `settings.${snake(field)}` : field;
}

function settingsOf(domain: string, of: z.output<typeof settingsSchema>): DomainSettings {
  return {
    revenue: {
      domain,
      burn: 100,
      foundation: 100,
      processor: of.processor,
      pool: of.pool,
      owner: of.owner,
      emission: of.emission,
      variableBurn: of.variable_burn,
    },
    emission: of.emission_split,
    tariff: { nanoPerGflop: of.nano_per_gflop, difficultyPpm: of.difficulty_ppm },
    offset: of.offset,
    listed: of.listed,
    registrationFee: of.registration_fee,
    minimumCollateral: of.minimum_collateral,
    targetStake: of.target_stake,
    severePercent: of.severe_percent,
    verification: {
      checkRate: of.verification.check_rate,
      newcomerPasses: of.verification.newcomer_passes,
      referenceShare: of.verification.reference_share,
      leastLevel: of.verification.least_level,
    },
  };
}

const settingsReply = ({ revenue, emission, tariff, verification, ...rest }: DomainSettings): SettingsReply => ({
  burn: revenue.burn,
  foundation: revenue.foundation,
  processor: revenue.processor,
  pool: revenue.pool,
  owner: revenue.owner,
  emission: revenue.emission,
  variable_burn: revenue.variableBurn,
  emission_split: emission,
  nano_per_gflop: String(tariff.nanoPerGflop),
  difficulty_ppm: String(tariff.difficultyPpm),
  offset: rest.offset,
  listed: rest.listed,
  registration_fee: String(rest.registrationFee),
  minimum_collateral: String(rest.minimumCollateral),
  target_stake: String(rest.targetStake),
  severe_percent: rest.severePercent,
  verification: {
    check_rate: verification.checkRate,
    newcomer_passes: verification.newcomerPasses,
    reference_share: verification.referenceShare,
    least_level: verification.leastLevel,
  },
});

function domainReply(book: DomainBook, versions: readonly Version[], epoch: number): z.input<typeof domainSchema> {
  const { domain, title, owner, timeline } = book;
  const published = versions.filter((one) => one.domain === domain);
  const now = timeline.findLast(({ from }) => from <= epoch);
  return {
    domain,
    title,
    owner,
    models: published.map(({ model }) => model),
    highest_royalty: Math.max(0, ...published.map(({ royaltyBasisPoints }) => royaltyBasisPoints)),
    settings: now ? settingsReply(now.settings) : null,
    planned: timeline
      .filter(({ from }) => from > epoch)
      .map(({ from, at, by, settings }) => ({ from, at, by, settings: settingsReply(settings) })),
  };
}

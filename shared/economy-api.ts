import { z } from "zod";
import { pageQuerySchema } from "./api.ts";
import { serviceLevels } from "./pricing.ts";
import { requestBinding, signedRequestSchema } from "./signed-request.ts";

/**
 * What parties do with the economy, as `/api/v1` takes and shows it. Amounts are decimal strings of 10⁻⁹ USDC or DN; shares
 * are hundredths of a per cent. In requests an amount has up to 40 digits, so that what is too large is told as that.
 */
const nano = z.string().regex(/^-?\d+$/);
const wanted = z
  .string()
  .regex(/^\d{1,40}$/, "a whole number of 1 to 40 decimal digits")
  .transform(BigInt);
const share = z.number().meta({ description: "hundredths of a per cent" });
const millis = z.number().meta({ description: "Unix milliseconds" });
const name = z.string().trim().min(1).max(120);
const id = z.string().min(1).max(128);
const epoch = z.number().int().min(0).max(1_000_000_000);
const listOf = <Item extends z.ZodType>(item: Item) => z.object({ data: z.array(item), has_more: z.boolean() });

export const domainNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, "a small letter and up to 62 small letters, digits and -");

/** Empty bodies are `{}`. */
export const nothingSchema = z.strictObject({});

// domains

/** What an owner sets, and what only a vote changes: these must be as they are. */
export const settingsSchema = z.strictObject({
  processor: share.meta({ description: "y; by governance vote alone" }),
  pool: share.meta({ description: "v, verification pool" }),
  owner: share.meta({ description: "o" }),
  emission: share.meta({ description: "z" }),
  variable_burn: share.meta({ description: "d; by governance vote alone" }),
  emission_split: z.strictObject({
    owner: share,
    miners: share,
    stakers: share,
    validators: share,
    availability: share.meta({ description: "of the miners' part" }),
  }),
  nano_per_gflop: wanted,
  difficulty_ppm: wanted,
  offset: z.boolean().meta({ description: "z lowers what is minted" }),
  listed: z.boolean().meta({ description: "without wash-trade guard; by governance vote alone" }),
  registration_fee: wanted,
  minimum_collateral: wanted,
  target_stake: wanted,
  severe_percent: z.number().meta({ description: "e: slashed in a severe case, per cent" }),
  verification: z
    .strictObject({
      check_rate: share.meta({ description: "least share of `fast` answers that is checked" }),
      newcomer_passes: z.number().meta({ description: "passed checks below which every `fast` answer is checked" }),
      reference_share: share.meta({ description: "of checks, by the reference node or known answers" }),
      least_level: z.enum(serviceLevels).meta({ description: "what asks for less is refused" }),
    })
    .meta({ description: "how answers are checked: the policy's, or stricter" }),
});
export type SettingsInput = z.input<typeof settingsSchema>;

const settingsReplySchema = settingsSchema.extend({
  burn: share,
  foundation: share,
  nano_per_gflop: nano,
  difficulty_ppm: nano,
  registration_fee: nano,
  minimum_collateral: nano,
  target_stake: nano,
});
export type SettingsReply = z.infer<typeof settingsReplySchema>;
export const domainSchema = z.object({
  domain: z.string(),
  title: z.string(),
  owner: z.string().nullable(),
  models: z.array(z.string()),
  highest_royalty: share.meta({ description: "of its published versions" }),
  settings: settingsReplySchema.nullable().meta({ description: "in the running epoch" }),
  planned: z.array(z.object({ from: z.number(), at: millis, by: z.string(), settings: settingsReplySchema })),
});
export type DomainReply = z.infer<typeof domainSchema>;
export const domainsSchema = z.object({
  epoch: z.number().meta({ description: "the running one" }),
  hub: z.string().meta({ description: "the hub's key, base64url: miners sign requests for it" }),
  data: z.array(domainSchema),
});
export type DomainsReply = z.infer<typeof domainsSchema>;
export const newDomainSchema = z.strictObject({
  domain: domainNameSchema,
  title: name,
  owner: id.nullable().default(null).meta({ description: "a customer; null: the operator's" }),
});
export const changeDomainSchema = z.strictObject({
  from: epoch.meta({ description: "a later epoch" }),
  settings: settingsSchema,
});

// miners

/** `request` is the JSON text of `minerRequestSchema`, signed by the miner's identity key. */
export const signedMinerRequestSchema = signedRequestSchema("miner-request");
const bound = { ...requestBinding, domain: domainNameSchema };
export const minerRequestSchema = z.discriminatedUnion("action", [
  z.strictObject({
    action: z.literal("register"),
    ...bound,
    deposit: wanted.optional(),
    ask: wanted.nullable().default(null),
  }),
  z.strictObject({ action: z.literal("deposit"), ...bound, amount: wanted }),
  z.strictObject({ action: z.literal("leave"), ...bound }),
  z.strictObject({ action: z.literal("release"), ...bound }),
  z.strictObject({
    action: z.literal("swap"),
    ...requestBinding,
    give: z.enum(["USDC", "DN"]),
    amount: wanted,
    least: wanted,
  }),
]);
export const bondSchema = z.object({
  domain: z.string(),
  owner: z.string(),
  state: z.enum(["registered", "leaving", "left", "expelled"]),
  deposit: nano,
  ask: nano.nullable(),
  left_at: millis.nullable(),
  bond: nano.meta({ description: "deposit, and held pay at half its value" }),
  minimum: nano,
});
export const bondsSchema = z.object({ data: z.array(bondSchema) });

// creators, rounds, demand

export const creatorSchema = z.strictObject({ name, customer: id });
export const creatorReplySchema = z.object({ name: z.string(), customer: z.string() });
export const creatorsSchema = z.object({
  data: z.array(
    z.object({
      name: z.string(),
      versions: z.array(
        z.object({ model: z.string(), domain: z.string(), royalty: share, round: z.string().nullable() }),
      ),
      earning: nano.meta({ description: "royalties that an epoch has yet to pay out" }),
      usdc: nano.meta({ description: "to collect" }),
      dn: nano,
    }),
  ),
});
export type CreatorsReply = z.infer<typeof creatorsSchema>;
export const collectedSchema = z.object({ usdc: nano, dn: nano });

export const newRoundSchema = z.strictObject({
  model: id,
  title: name,
  target: wanted,
  deadline_at: millis.int(),
  backers: z.number().meta({ description: "a: their share of the royalty" }),
  yield: z.number().default(0).meta({ description: "c: the yield venue's" }),
  terms: z.string().trim().min(1).max(4_000),
  milestones: z
    .array(z.strictObject({ name, share: z.number() }))
    .min(1)
    .max(20),
});
export const roundSchema = z.object({
  round: z.string(),
  model: z.string(),
  title: z.string(),
  creator: z.string(),
  state: z.enum(["open", "building", "missed", "done", "stopped"]),
  opened_at: millis,
  deadline_at: millis,
  target: nano,
  raised: nano,
  escrow: nano,
  backers: share,
  yield: share,
  royalty: share.meta({ description: "x of the version" }),
  terms: z.string(),
  milestones: z.array(z.object({ name: z.string(), share, released: z.boolean() })),
  holders: z.number(),
  own_shares: nano.nullable().meta({ description: "of the caller; null for the operator" }),
});
export type RoundReply = z.infer<typeof roundSchema>;
export const roundsSchema = listOf(roundSchema);
export const roundsQuerySchema = pageQuerySchema.extend({
  state: z.enum(["open", "building", "missed", "done", "stopped"]).optional(),
});
export const amountSchema = z.strictObject({ amount: wanted });
export const transferSharesSchema = z.strictObject({ to: id, shares: wanted });

export const newPledgeSchema = z.strictObject({
  model: id,
  amount: wanted,
  raise_percent: z.number().meta({ description: "on top of a miner's pay" }),
});
export const pledgeSchema = z.object({
  pledge: z.string(),
  model: z.string(),
  left: nano,
  raise_percent: z.number(),
  withdrawn: z.boolean(),
});
export const pledgesSchema = z.object({ data: z.array(pledgeSchema) });
export const demandSchema = z.object({
  data: z.array(z.object({ model: z.string(), left: nano, raise_percent: z.number(), pledges: z.number() })),
});

// stake

const target = { domain: domainNameSchema, validator: id.nullable().default(null) };
export const stakeSchema = z.strictObject({ ...target, amount: wanted });
export const targetSchema = z.strictObject(target);
export const positionSchema = z.object({
  domain: z.string(),
  validator: z.string().nullable(),
  amount: nano,
  held_since: millis,
  unbonding: z.array(z.object({ amount: nano, free_at: millis })),
});
export const positionsSchema = z.object({ data: z.array(positionSchema) });
export type PositionReply = z.infer<typeof positionSchema>;

// governance

const changeSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("network"), parameter: z.string().max(64), value: wanted }),
  z.strictObject({ kind: z.literal("domain"), domain: domainNameSchema, parameter: z.string().max(64), value: wanted }),
]);
export const newProposalSchema = z.strictObject({ title: name, change: changeSchema, from: epoch });
export const proposalSchema = z.object({
  proposal: z.string(),
  title: z.string(),
  by: z.string(),
  kind: z.enum(["network", "domain"]),
  domain: z.string().nullable(),
  parameter: z.string(),
  value: z.string(),
  from: z.number(),
  state: z.enum(["voting", "rejected", "locked", "executed", "lapsed"]),
  opened_at: millis,
  closes_at: millis,
  unlocks_at: millis.nullable(),
  approving: nano,
  rejecting: nano,
  own_vote: z.boolean().nullable(),
});
export type ProposalReply = z.infer<typeof proposalSchema>;
export const proposalsSchema = listOf(proposalSchema);
export const voteSchema = z.strictObject({ approve: z.boolean() });
const boundSchema = z.object({
  parameter: z.string(),
  value: z.string().nullable().meta({ description: "null where it is of each domain" }),
  least: z.string(),
  most: z.string(),
  about: z.string(),
});
export const parametersSchema = z.object({
  epoch: z.number(),
  staked: nano.meta({ description: "of the whole network" }),
  network: z.array(boundSchema),
  domain: z.array(boundSchema),
});
export type ParametersReply = z.infer<typeof parametersSchema>;

// market and customers

export const marketSchema = z.object({
  usdc: nano,
  dn: nano,
  price: nano.meta({ description: "nano-USDC for one DN, now" }),
  average: nano.nullable().meta({ description: "over 28 days; null while the pool is younger" }),
  supply: nano.meta({ description: "DN minted less DN burned" }),
  daily: z.array(z.object({ at: millis, price: nano })).meta({ description: "average of each day, oldest first" }),
});
export type MarketReply = z.infer<typeof marketSchema>;
export const seedSchema = z.strictObject({ usdc: wanted, dn: wanted });
export const swapSchema = z.strictObject({ give: z.enum(["USDC", "DN"]), amount: wanted, least: wanted });
export const swappedSchema = z.object({ out: nano, price: nano });

export const newCustomerSchema = z.strictObject({ name });
export const customerSchema = z.object({ customer: z.string(), key: z.string().meta({ description: "shown once" }) });
export const newKeySchema = z.strictObject({ name });
export const newKeyReplySchema = z.object({ id: z.string(), key: z.string().meta({ description: "shown once" }) });
export const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  created_at: millis,
  revoked_at: millis.nullable(),
});
export const keysSchema = z.object({ data: z.array(keySchema) });
export const grantSchema = z.strictObject({ usdc: wanted.optional(), dn: wanted.optional() });
export const doneSchema = z.object({ done: z.literal(true) });
export const selfSchema = z.object({
  customer: z.string(),
  name: z.string(),
  usdc: nano,
  held: nano.meta({ description: "set aside for open tasks" }),
  dn: nano,
  staked: nano,
  unbonding: nano,
  owed: nano.meta({ description: "refunds that nobody could cover yet" }),
});
export type SelfReply = z.infer<typeof selfSchema>;

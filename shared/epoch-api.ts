import { z } from "zod";
import { pageQuerySchema } from "./api.ts";
import { limits } from "./limits.ts";
import { requestBinding, signedRequestSchema } from "./signed-request.ts";

/**
 * Epochs, payouts and earnings as `/api/v1` shows them. Amounts are decimal strings of nano-USDC or nano-DN; what leaves the
 * ledger is in on-chain units (10⁻⁶ USDC, 10⁻¹⁸ DN).
 */
const integer = z.string().regex(/^-?\d{1,40}$/);
const amount = z.string().regex(/^\d{1,20}$/, "a whole number in decimal digits");
const millis = z.number().meta({ description: "Unix milliseconds" });
const name = z.string().min(1).max(limits.nameChars);
const hex64 = z.string().regex(/^[0-9a-f]{64}$/, "64 hexadecimal digits");
export const payoutAssets = ["USDC", "DN"] as const;
export const epochStates = ["open", "previewed", "approved", "closed"] as const;

const planSchema = z.object({
  transfers: z.number(),
  revenue: integer.meta({ description: "matured in the epoch, nano-USDC" }),
  level: integer.nullable().meta({ description: "what the network may mint, nano-DN; null while emission is off" }),
  minted: integer,
  burned: integer,
  domains: z.array(
    z.object({
      domain: z.string(),
      share: integer,
      guard: integer.nullable().meta({ description: "null for a listed domain" }),
      offset: integer,
      minted: integer.meta({ description: "at most" }),
    }),
  ),
});

export const epochSchema = z.object({
  epoch: z.number(),
  state: z.enum(epochStates),
  opened_at: millis,
  fenced_at: millis.nullable(),
  digest: hex64.nullable().meta({ description: "of the plan; what approving it names" }),
  approved_by: z.string().nullable(),
  approved_at: millis.nullable(),
  closing_at: millis.nullable(),
  closed_at: millis.nullable(),
  plan: planSchema.nullable(),
  receipts: z
    .object({ root: hex64, size: z.number(), signature: z.string() })
    .nullable()
    .meta({ description: "one tree over the signed roots of the epoch's commits" }),
  payouts: z.array(z.object({ asset: z.enum(payoutAssets), root: z.string(), payees: z.number(), total: integer })),
});
export const epochsSchema = z.object({ data: z.array(epochSchema.omit({ payouts: true })), has_more: z.boolean() });
export const epochsQuerySchema = pageQuerySchema.extend({
  after: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional(),
});

const legSchema = z.object({ account: z.string(), asset: z.enum(payoutAssets), amount: integer });
export const previewSchema = z.object({
  epoch: epochSchema,
  transfers: z
    .array(z.object({ id: z.string(), kind: z.string(), legs: z.array(legSchema) }))
    .meta({ description: "the first 1,000" }),
  has_more: z.boolean(),
});
export const approvalSchema = z.strictObject({ digest: hex64 });

export const payoutProofSchema = z.object({
  data: z.array(
    z.object({
      asset: z.enum(payoutAssets),
      root: z.string(),
      address: z.string(),
      cumulative: integer,
      claimed: integer,
      proof: z.array(z.string()),
    }),
  ),
});
export const payoutCsvQuerySchema = z.strictObject({ asset: z.enum(payoutAssets).default("USDC") });
export const payoutAddressSchema = z.strictObject({
  account: name,
  address: z.string().max(64),
  proof: z.string().max(200).meta({ description: "the address's personal_sign over the message" }),
});
export const payoutAddressReplySchema = z.object({
  account: z.string(),
  address: z.string().nullable(),
  message: z.string().nullable().meta({ description: "what an address signs to have this account's payouts" }),
});
export const payoutAddressQuerySchema = z.strictObject({ account: name, address: z.string().max(64).optional() });
export const claimSchema = z.strictObject({
  reference: z.string().min(1).max(128).meta({ description: "the rail's own name of it, such as a transaction hash" }),
  asset: z.enum(payoutAssets),
  address: z.string().max(64),
  cumulative: z.string().regex(/^\d{1,78}$/, "a whole number in decimal digits"),
});
export const claimReplySchema = z.object({ asset: z.enum(payoutAssets), address: z.string(), claimed: integer });

/** What an owner asks for, signed by its miner's identity key. */
export const signedOwnerRequestSchema = signedRequestSchema("owner-request");
export const spendRequestSchema = z.strictObject({
  action: z.literal("spend"),
  ...requestBinding,
  customer: name,
  amount,
});
export const addressRequestSchema = z.strictObject({
  action: z.literal("payout-address"),
  ...requestBinding,
  address: z.string().max(64),
  proof: z.string().max(200),
});
export const earningsSchema = z.object({ owner: z.string(), held: integer, available: integer, dn: integer });

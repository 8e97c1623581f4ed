import type { z } from "zod";
import type {
  DomainReply,
  MarketReply,
  ParametersReply,
  ProposalReply,
  RoundReply,
} from "../../../shared/economy-api.ts";
import type { HubCalls } from "../../economy/hub-calls.ts";

/** Answers of the economy's API, made up; commands are refused, so that a story shows how that looks. */
const commons: DomainReply = {
  domain: "commons",
  title: "The commons",
  owner: null,
  models: ["digits@1", "shakespeare@1"],
  highest_royalty: 2_000,
  settings: {
    burn: 100,
    foundation: 100,
    processor: 300,
    pool: 800,
    owner: 0,
    emission: 0,
    variable_burn: 0,
    emission_split: { owner: 0, miners: 7_000, stakers: 1_500, validators: 1_500, availability: 500 },
    nano_per_gflop: "20",
    difficulty_ppm: "1000000",
    offset: false,
    listed: false,
    registration_fee: "0",
    minimum_collateral: "0",
    target_stake: "1000000000000000",
    severe_percent: 60,
    verification: { check_rate: 500, newcomer_passes: 20, reference_share: 2_000, least_level: "fast" },
  },
  planned: [],
};

const parameters: ParametersReply = {
  epoch: 3,
  staked: "80000000000",
  network: [
    { parameter: "epoch.lengthMs", value: "604800000", least: "86400000", most: "2419200000", about: "length" },
  ],
  domain: [{ parameter: "processor", value: null, least: "0", most: "1000", about: "fees and payment processors, y" }],
};

export function storyEconomy(now: number): HubCalls {
  const proposal: ProposalReply = {
    proposal: "v_1",
    title: "Lower fees",
    by: "customer:c_ann",
    kind: "domain",
    domain: "commons",
    parameter: "processor",
    value: "200",
    from: 5,
    state: "voting",
    opened_at: now - 3_600_000,
    closes_at: now + 86_400_000,
    unlocks_at: null,
    approving: "60000000000",
    rejecting: "20000000000",
    own_vote: null,
  };
  const round: RoundReply = {
    round: "b_1",
    model: "digits@1",
    title: "Digits 2",
    creator: "Tabgrid",
    state: "building",
    opened_at: now - 86_400_000,
    deadline_at: now + 86_400_000,
    target: "40000000000",
    raised: "40000000000",
    escrow: "30000000000",
    backers: 4_000,
    yield: 0,
    royalty: 2_000,
    terms: "40 % of the royalty",
    milestones: [
      { name: "trained", share: 2_500, released: true },
      { name: "published", share: 7_500, released: false },
    ],
    holders: 2,
    own_shares: null,
  };
  const market: MarketReply = {
    usdc: "50000000000000",
    dn: "1000000000000000",
    price: "50000000",
    average: null,
    supply: "100000000000000000",
    daily: [{ at: now, price: "50000000" }],
  };
  const answers: Record<string, unknown> = {
    "/domains": { epoch: 3, hub: "key", data: [commons] },
    "/market": market,
    "/governance": parameters,
    "/proposals": { data: [proposal], has_more: false },
    "/rounds": { data: [round], has_more: false },
  };
  return {
    get: async <Schema extends z.ZodType>(schema: Schema, path: string) =>
      schema.parse(answers[path.replace(/\?.*$/, "")]),
    text: async () => "",
    send: async () => {
      throw new Error("this is a story: nothing is sent (field: expected a hub, got none)");
    },
  };
}

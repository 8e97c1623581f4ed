import type { Gateway } from "../gateway/gateway.ts";
import { backing } from "./backing.ts";
import { collateral } from "./collateral.ts";
import { customers } from "./customers.ts";
import { domains } from "./domains.ts";
import type { Endpoint } from "./endpoint.ts";
import { governance } from "./governance.ts";
import { market } from "./market.ts";
import { stakes } from "./stakes.ts";

/** Everything that parties do with the economy. */
export const economy = (gateway: Gateway): Endpoint[] =>
  [customers, domains, collateral, backing, stakes, governance, market].flatMap((rows) => rows(gateway));

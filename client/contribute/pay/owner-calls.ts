import type { z } from "zod";
import { domainsSchema } from "../../../shared/economy-api.ts";
import { type RequestKind, requestText, type SignedRequest } from "../../../shared/signed-request.ts";
import type { HubCalls } from "../../economy/hub-calls.ts";
import { Refused } from "../../economy/refused.ts";
import type { Identity } from "../../miner/identity.ts";

/** What an owner of miners asks the hub for. It has no API key: the identity key of this browser signs each request. */
export interface OwnerCalls extends HubCalls {
  /** `once`: the same request is sent again under the same name, so that a lost answer moves nothing twice. */
  signed<Schema extends z.ZodType>(
    schema: Schema,
    kind: RequestKind,
    path: string,
    fields: object,
    once: string,
  ): Promise<z.output<Schema>>;
}

export function ownerCallsOf(identity: Identity, open: HubCalls): OwnerCalls {
  let last: { once: string; body: SignedRequest } | null = null;

  async function sign(kind: RequestKind, fields: object): Promise<SignedRequest> {
    const { hub } = await open.get(domainsSchema, "/domains");
    const request = JSON.stringify({ ...fields, hub, at: Date.now() });
    const signature = await identity.sign(new TextEncoder().encode(requestText(kind, request)));
    return { public_key: base64url(identity.publicKey), request, signature: base64url(signature) };
  }

  return {
    ...open,
    async signed(schema, kind, path, fields, once) {
      if (last?.once !== once) last = { once, body: await sign(kind, fields) };
      try {
        return await open.send(schema, "POST", path, last.body);
      } catch (error) {
        // It has moved nothing, and would soon be too old: the next attempt is signed anew.
        if (error instanceof Refused) last = null;
        throw error;
      }
    },
  };
}

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

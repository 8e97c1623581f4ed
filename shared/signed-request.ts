import { z } from "zod";
import { limits } from "./limits.ts";

/**
 * What miners ask for over HTTP. They have no API key: the identity key signs the request's text under the name of its kind, so that
 * no signature is good for another end.
 */
export type RequestKind = "miner-request" | "owner-request";

export const requestText = (kind: RequestKind, request: string): string => `tabgrid/${kind}/1\n${request}`;

export const signedRequestSchema = (kind: RequestKind) =>
  z.strictObject({
    public_key: z.string().max(64).meta({ description: "Ed25519, base64url" }),
    request: z.string().max(4_096).meta({ description: "JSON, as it was signed" }),
    signature: z
      .string()
      .max(128)
      .meta({ description: `base64url, over \`tabgrid/${kind}/1\\n\` and the request` }),
  });
export type SignedRequest = z.infer<ReturnType<typeof signedRequestSchema>>;

/** Fields of every request: what binds it to one hub and one moment. */
export const requestBinding = {
  hub: z.string().min(1).max(limits.nameChars).meta({ description: "the hub's public key" }),
  at: z.number().meta({ description: "Unix milliseconds" }),
};

import { createHmac } from "node:crypto";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import type { Millis } from "../../shared/time.ts";
import type { Delivery } from "../store/webhook-store.ts";
import { checkUrl, resolvePublic } from "./addresses.ts";

/**
 * One attempt, signed as Standard Webhooks 1.0 has it: `webhook-signature: v1,<base64>` is HMAC-SHA256 under the secret's
 * bytes over `id.timestamp.body`. No redirect is followed, nothing of the answer but its status is read.
 */
export const signatureOf = (secret: string, id: string, timestamp: number, body: string): string => {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
};

const TIMEOUT_MS = 15_000;

export async function send(
  to: { url: string; secret: string },
  { event, body }: Pick<Delivery, "event" | "body">,
  now: Millis,
  loopback: boolean,
): Promise<{ status: number | null; error: string | null }> {
  const url = checkUrl(to.url, loopback);
  if (!url.ok) return { status: null, error: url.error.message };
  const address = await resolvePublic(url.value, loopback);
  if (!address.ok) return { status: null, error: address.error };
  const timestamp = Math.floor(now / 1000);
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "user-agent": "tabgrid-webhooks/1",
    "webhook-id": event,
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signatureOf(to.secret, event, timestamp, body),
  };
  const request = url.value.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const fail = (error: Error) => resolve({ status: null, error: error.message.slice(0, 200) });
    const asked = request(url.value, {
      method: "POST",
      headers,
      agent: false,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      // The address that was looked at, whatever the name says now; TLS still asks for the name.
      lookup: (_host, options, done) => {
        const family = isIP(address.value);
        if (options.all) done(null, [{ address: address.value, family }]);
        else done(null, address.value, family);
      },
    });
    asked.on("error", fail);
    asked.on("response", (answer) => {
      const status = answer.statusCode ?? 0;
      answer.destroy();
      const isTaken = status >= 200 && status < 300;
      resolve({ status, error: isTaken ? null : `the receiver answered ${status}` });
    });
    asked.end(body);
  });
}

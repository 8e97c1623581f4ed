import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP } from "node:net";
import { Readable, Transform } from "node:stream";
import { checkUrl, resolvePublic } from "../webhooks/addresses.ts";

/**
 * `fetch` to where a customer says, and nowhere inside: the address is looked at before each request and connected to as
 * it was, no redirect is followed, and no more than `limitBytes` of an answer are read.
 */
export function guardedFetch(loopback: boolean, limitBytes: number) {
  return async (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const url = checkUrl(String(input), loopback);
    if (!url.ok) throw new Error(url.error.message);
    const address = await resolvePublic(url.value, loopback);
    if (!address.ok) throw new Error(address.error);
    const request = url.value.protocol === "https:" ? httpsRequest : httpRequest;
    const { method = "GET", body, signal } = init;
    return new Promise((resolve, reject) => {
      const asked = request(url.value, {
        method,
        headers: Object.fromEntries(new Headers(init.headers)),
        agent: false,
        signal: signal ?? undefined,
        lookup: (_host, options, done) => {
          const family = isIP(address.value);
          if (options.all) done(null, [{ address: address.value, family }]);
          else done(null, address.value, family);
        },
      });
      asked.on("error", reject);
      asked.on("response", (answer) => {
        const status = answer.statusCode ?? 502;
        const headers = new Headers();
        for (const [name, value] of Object.entries(answer.headers)) headers.set(name, String(value));
        const isEmpty = status === 204 || status === 205 || status === 304;
        if (isEmpty) answer.resume();
        const content = isEmpty ? null : (Readable.toWeb(answer.pipe(capped(limitBytes))) as ReadableStream);
        resolve(new Response(content, { status, headers }));
      });
      asked.end(body ?? undefined);
    });
  };
}

function capped(limitBytes: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      if (seen > limitBytes) done(new Error(`expected at most ${limitBytes} bytes`));
      else done(null, chunk);
    },
  });
}

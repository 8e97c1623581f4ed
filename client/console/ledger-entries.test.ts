import { afterEach, expect, test, vi } from "vitest";
import { entriesOf } from "./ledger-entries.ts";

afterEach(() => vi.unstubAllGlobals());

const entry = {
  seq: "7",
  cursor: "1000.7.hub",
  transfer: "x_1",
  kind: "settle",
  at: 1000,
  task: null,
  legs: [{ account: "miner:own_1:held", asset: "USDC", amount: "670" }],
  hash: "00",
};
const { signal } = new AbortController();

/** Answers the next requests and keeps what they asked. */
function answer(status: number, body: string): { url: string; authorization: string | null }[] {
  const asked: { url: string; authorization: string | null }[] = [];
  vi.stubGlobal("fetch", async (url: string, { headers }: { headers: HeadersInit }) => {
    asked.push({ url, authorization: new Headers(headers).get("authorization") });
    return new Response(body, { status });
  });
  return asked;
}

test("a page is asked for by account and cursor, with the operator's token", async () => {
  const asked = answer(200, JSON.stringify({ data: [entry], has_more: true }));
  const page = await entriesOf("a-token")("miner:own_1:held", "2000.9.hub", signal);
  expect(page.data[0]?.cursor).toBe("1000.7.hub");
  const [request] = asked;
  expect(request?.authorization).toBe("Bearer a-token");
  const query = new URL(request?.url ?? "", "http://hub").searchParams;
  expect(Object.fromEntries(query)).toEqual({ account: "miner:own_1:held", limit: "50", after: "2000.9.hub" });
});

test.each([
  [404, '{"title":"Not found","detail":"there is no account miner:x"}', "there is no account miner:x"],
  [500, "<html>", "The hub answered 500."],
])("a refusal of %d is a sentence", async (status, body, sentence) => {
  answer(status, body);
  await expect(entriesOf("a-token")("miner:x", null, signal)).rejects.toThrow(sentence);
});

test("an answer of another shape is refused, not shown in part", async () => {
  answer(200, JSON.stringify({ data: [{ ...entry, legs: "none" }], has_more: false }));
  await expect(entriesOf("a-token")("miner:x", null, signal)).rejects.toThrow();
});

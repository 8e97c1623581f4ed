import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "../../shared/errors.ts";
import { bearer, keys, mixedRequest, startApi, type TestApi } from "./scripted-gateway.ts";
import { bard, textScript } from "./scripted-text.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi({}, [bard]);
});
afterAll(() => api.close());
beforeEach(() => {
  Object.assign(api.script.text, textScript());
  api.script.inferred.length = 0;
});

const post = (idempotencyKey: string, body: object = {}, key = keys.ann, signal?: AbortSignal) =>
  api.fetch("/v1/completions", {
    method: "POST",
    headers: { ...bearer(key), "idempotency-key": idempotencyKey },
    body: JSON.stringify({ model: "bard", prompt: "Speak", ...body }),
    signal,
  });
const asked = () => api.script.text.asked.length;
const patience = { timeout: 30_000 };

describe("a request under an Idempotency-Key", () => {
  it("gives its first reply again, and runs once", async () => {
    const first = await post("again");
    const second = await post("again");
    expect([first.status, second.status, asked()]).toEqual([200, 200, 1]);
    expect(await second.text()).toBe(await first.text());
    expect([first.headers.get("idempotency-replayed"), second.headers.get("idempotency-replayed")]).toEqual([
      null,
      "true",
    ]);
    for (const name of ["content-type", "x-tabgrid-receipt", "x-tabgrid-price"]) {
      expect(second.headers.get(name)).toBe(first.headers.get(name));
    }
    expect(second.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  });

  it("is another one of another customer, or under another key", async () => {
    await post("whose");
    await post("whose", {}, keys.bob);
    await post("whose-else");
    expect(asked()).toBe(3);
  });

  it("is refused with another body, without another try by OpenAI's clients where that cannot help", async () => {
    await post("mismatch");
    const other = await post("mismatch", { max_tokens: 1 });
    expect([other.status, (await other.json()).error.code, asked()]).toEqual([422, "idempotency_mismatch", 1]);
  });

  it("is refused while the first is under way, and told when to come back", async () => {
    const under: PromiseWithResolvers<null> = Promise.withResolvers();
    api.script.text.beforePart = () => under.promise;
    const first = post("flight");
    await expect.poll(asked, patience).toBe(1);
    const second = await post("flight");
    expect([second.status, (await second.json()).error.code]).toEqual([409, "idempotency_in_flight"]);
    expect([second.headers.get("retry-after"), second.headers.get("x-should-retry")]).toEqual(["1", null]);
    under.resolve(null);
    expect((await first).status).toBe(200);
    expect((await post("flight")).headers.get("idempotency-replayed")).toBe("true");
  });

  it("may come again where it failed", async () => {
    api.script.text.beforePart = async () => failure("no-capable-miner", "no tab");
    expect((await post("failed")).status).toBe(503);
    api.script.text.beforePart = async () => null;
    expect((await post("failed")).status).toBe(200);
    expect((await post("bad", { temperature: 9 })).status).toBe(400);
    expect((await post("bad")).status).toBe(200);
  });

  it("goes on when its caller hangs up: the reply waits for the next try", async () => {
    const under: PromiseWithResolvers<null> = Promise.withResolvers();
    api.script.text.beforePart = () => under.promise;
    const left = new AbortController();
    const first = post("hang-up", {}, keys.ann, left.signal);
    await expect.poll(asked, patience).toBe(1);
    left.abort();
    await expect(first).rejects.toThrow();
    under.resolve(null);
    await expect.poll(async () => (await post("hang-up")).status, patience).toBe(200);
    expect(asked()).toBe(1);
  });

  it("replays a whole stream, and forgets one that was broken off", async () => {
    const first = await (await post("stream", { stream: true })).text();
    const second = await post("stream", { stream: true });
    expect(await second.text()).toBe(first);
    expect(second.headers.get("content-type")).toContain("text/event-stream");
    expect(asked()).toBe(1);

    api.script.text.beforePart = async (index) => (index === 2 ? failure("execution-failed", "all left") : null);
    expect(await (await post("broken", { stream: true })).text()).toContain("execution_failed");
    api.script.text.beforePart = async () => null;
    expect(await (await post("broken", { stream: true })).text()).toContain("[DONE]");
    expect(asked()).toBe(3);
  });

  it("covers binary replies of /v2", async () => {
    const infer = () =>
      api.infer({ ...mixedRequest(), parameters: { binary_data_output: true } }, "mixed", {
        "idempotency-key": "binary",
      });
    const [first, second] = [await infer(), await infer()];
    expect(Buffer.from(await second.arrayBuffer())).toEqual(Buffer.from(await first.arrayBuffer()));
    const length = "inference-header-content-length";
    expect(second.headers.get(length)).toBe(first.headers.get(length));
    expect(api.script.inferred).toHaveLength(1);
  });

  it("needs a key that can be one", async () => {
    const response = await post("x".repeat(256));
    expect([response.status, (await response.json()).error.param]).toEqual([400, "idempotency-key"]);
  });
});

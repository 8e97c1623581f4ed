import type { Gateway } from "../server/gateway/gateway.ts";
import type { CustomerId } from "../shared/ids.ts";
import { assert } from "../shared/result.ts";
import type { Tensor } from "../shared/tensor.ts";

/** Requests for the hub bench, as the API would make them, but in the hub's process: the API is not what is measured. */

export interface Load {
  replies: number;
  /** Milliseconds from submission to reply. */
  latencies: number[];
  /** Ends it; resolves when every request has its reply. */
  stop(): Promise<void>;
}

type Picture = (index: number) => Tensor;

async function request(gateway: Gateway, picture: Tensor, load: Load): Promise<void> {
  const started = performance.now();
  const answer = await gateway.infer(
    {
      customer: "first" as CustomerId,
      model: "digits",
      inputs: [picture],
      outputs: [],
      level: "fast",
      deadlineMs: null,
      id: null,
    },
    new AbortController().signal,
  );
  assert(answer.ok, `every request is answered, yet: ${answer.ok ? "" : answer.error.message}`);
  load.replies++;
  load.latencies.push(performance.now() - started);
}

/** So many requests under way at any time. */
export function saturate(gateway: Gateway, picture: Picture, underWay: number): Load {
  let isOn = true;
  let next = 0;
  const load: Load = { replies: 0, latencies: [], stop };
  const lanes = Array.from({ length: underWay }, async () => {
    while (isOn) await request(gateway, picture(next++), load);
  });
  async function stop(): Promise<void> {
    isOn = false;
    await Promise.all(lanes);
  }
  return load;
}

const PACE_MS = 1;

/** So many requests a second, whatever becomes of the earlier ones. */
export function pace(gateway: Gateway, picture: Picture, perSecond: number): Load {
  const started = performance.now();
  const open = new Set<Promise<void>>();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - started) * perSecond) / 1_000;
    while (sent < due) {
      const one = request(gateway, picture(sent++), load).finally(() => open.delete(one));
      open.add(one);
    }
  }, PACE_MS);
  const load: Load = {
    replies: 0,
    latencies: [],
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
  return load;
}

import { type Remote, wrap } from "comlink";
import { err, ok, type Result } from "../../shared/result.ts";

/** Why a worker gave no answer. After any of these it is gone; whoever needs it starts another. */
export interface WorkerLoss {
  kind: "timeout" | "crashed" | "terminated";
  message: string;
}

/**
 * A worker behind Comlink, wrapped here and nowhere else. Comlink alone leaves a caller waiting for ever when its worker
 * dies; here every call ends by its deadline, and a call that outlives it takes the worker with it.
 */
export interface SupervisedWorker<Api> {
  call<T>(deadlineMs: number, call: (remote: Remote<Api>) => Promise<T>): Promise<Result<T, WorkerLoss>>;
  terminate(): void;
  /** Resolves once, when the worker is gone. */
  readonly lost: Promise<WorkerLoss>;
}

export function superviseWorker<Api>(worker: Worker): SupervisedWorker<Api> {
  const remote = wrap<Api>(worker);
  const loss = Promise.withResolvers<WorkerLoss>();
  const lose = (reason: WorkerLoss) => {
    worker.terminate();
    loss.resolve(reason);
  };
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    lose({ kind: "crashed", message: event.message || "the worker's script could not be run" });
  });
  worker.addEventListener("messageerror", () => lose({ kind: "crashed", message: "a message could not be decoded" }));

  return {
    lost: loss.promise,
    terminate: () => lose({ kind: "terminated", message: "the worker was ended" }),
    async call(deadlineMs, call) {
      const timer = setTimeout(
        () => lose({ kind: "timeout", message: `no answer within ${deadlineMs} ms` }),
        deadlineMs,
      );
      try {
        return await Promise.race([call(remote).then(ok), loss.promise.then(err)]);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

/**
 * The closed list of what can go wrong at an edge. An error is a plain value: it names the field, what was expected and
 * what came. `server/api` maps `status` to HTTP in one place; sockets send the value itself.
 */
export const errorCodes = {
  // requests
  "invalid-request": 400,
  "malformed-json": 400,
  "malformed-binary-header": 400,
  "unknown-tensor": 400,
  "missing-tensor": 400,
  "wrong-dtype": 400,
  "wrong-shape": 400,
  "wrong-byte-count": 400,
  "non-finite-value": 400,
  "value-out-of-range": 400,
  "deadline-expired": 400,
  "unsupported-parameter": 400,
  "context-length-exceeded": 400,
  "unknown-model": 404,
  "unknown-task": 404,
  "unknown-receipt": 404,
  "unknown-account": 404,
  "unknown-blob": 404,
  "unknown-case": 404,
  "unknown-agent": 404,
  "unknown-file": 404,
  "unknown-batch": 404,
  "unknown-webhook": 404,
  "unknown-delivery": 404,
  "unknown-domain": 404,
  "unknown-epoch": 404,
  "unknown-round": 404,
  "unknown-proposal": 404,
  "not-found": 404,
  "method-not-allowed": 405,
  "body-too-large": 413,
  "unsupported-media-type": 415,
  unauthenticated: 401,
  forbidden: 403,
  "insufficient-balance": 402,
  "rate-limited": 429,
  // capacity
  "queue-full": 503,
  "no-capable-miner": 503,
  "shutting-down": 503,
  "deadline-missed": 504,
  cancelled: 499,
  "execution-failed": 502,
  // money
  "amount-overflow": 400,
  "split-not-whole": 422,
  "share-out-of-bounds": 422,
  "royalty-fixed": 409,
  "reaches-back": 409,
  "no-upheld-case": 409,
  "stake-unbonding": 409,
  "stake-borrowed": 409,
  "time-locked": 409,
  "already-claimed": 409,
  "epoch-closed": 409,
  "epoch-not-approved": 409,
  "slippage-exceeded": 409,
  "insufficient-stake": 409,
  "wrong-state": 409,
  "case-closed": 409,
  "agent-exists": 409,
  "idempotency-in-flight": 409,
  "idempotency-mismatch": 422,
  // models
  "invalid-model": 422,
  "model-exists": 409,
  "model-too-large": 413,
  // miners
  "protocol-mismatch": 426,
  "malformed-message": 400,
  "bad-signature": 401,
  "bad-authentication": 401,
  "stale-nonce": 401,
  "not-your-assignment": 403,
  "duplicate-result": 409,
  "assignment-closed": 409,
  "unknown-assignment": 404,
  "out-of-sequence": 409,
  "wrong-outputs": 400,
  suspended: 403,
  replaced: 409,
  internal: 500,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof errorCodes;

export interface TabgridError {
  code: ErrorCode;
  message: string;
  /** Path of the offending field, `inputs[0].shape`. */
  field?: string;
  expected?: string;
  got?: string;
  /** Seconds after which the same call may succeed. */
  retryAfter?: number;
}

export function failure(
  code: ErrorCode,
  message: string,
  detail: Omit<TabgridError, "code" | "message"> = {},
): TabgridError {
  return { code, message, ...detail };
}

/** For the edges where throwing is the idiom (Express handlers, Comlink); carries the value unchanged. */
export class TabgridFailure extends Error {
  readonly error: TabgridError;
  constructor(error: TabgridError) {
    super(error.message);
    this.name = "TabgridFailure";
    this.error = error;
  }
}

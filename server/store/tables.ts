/**
 * Rows as both databases hold them: text and 64-bit integers only. Money and work are integers, times are Unix
 * milliseconds, JSON is text. What each table is for stands in migrations/.
 */
export interface Tables {
  settings: { key: string; value: string };
  customers: { customer: string; name: string; created_at: bigint };
  api_keys: {
    id: string;
    secret_hash: string;
    name: string;
    customer: string;
    scopes: string;
    created_at: bigint;
    revoked_at: bigint | null;
  };
  accounts: { account: string; asset: string; overdraft: bigint; balance: bigint; entries: bigint };
  transfers: {
    hub: string;
    seq: bigint;
    id: string;
    kind: string;
    at: bigint;
    task: string | null;
    input_hash: string;
    hash: string;
  };
  legs: { hub: string; seq: bigint; account: string; asset: string; amount: bigint; at: bigint };
  holds: { task: string; customer: string; amount: bigint; state: string };
  tasks: {
    task: string;
    customer: string;
    model: string;
    level: string;
    state: string;
    basis: string | null;
    price: bigint;
    work: bigint;
    submitted_at: bigint;
    ended_at: bigint | null;
    error: string | null;
    timeline: string;
  };
  receipt_batches: {
    root: string;
    size: bigint;
    signature: string;
    at: bigint;
    /** Null before 0004. */
    hub: string | null;
    seq: bigint | null;
  };
  receipts: { receipt: string; root: string; position: bigint; leaf: string };
  standings: { owner: string; standing: string };
  miners: { miner: string; public_key: string; owner: string; first_seen_at: bigint; last_seen_at: bigint };
  models: { model: string; manifest: string; golden: string; published_at: bigint };
  chain_signatures: { session: string; seq: bigint; miner: string; link: string; signature: string; at: bigint };
  audit: {
    hub: string;
    seq: bigint;
    at: bigint;
    actor: string;
    action: string;
    subject: string | null;
    detail: string;
  };
  cases: {
    id: string;
    kind: string;
    owner: string | null;
    task: string | null;
    opened_at: bigint;
    evidence: string;
    state: string;
    closed_at: bigint | null;
    ruling: string | null;
    reviewer: string | null;
    reason: string | null;
  };
  compatibility: {
    model: string;
    runtime: string;
    device_class: string;
    admitted: bigint;
    refused: bigint;
    quarantined: bigint;
    last_at: bigint;
  };
  party_records: {
    kind: string;
    id: string;
    party: string | null;
    subject: string | null;
    state: string;
    from_epoch: bigint | null;
    at: bigint;
    by_party: string;
    body: string;
  };
  party_commands: { key: string; input_hash: string; reply: string; at: bigint };
  party_turn: { id: bigint };
  held_tasks: {
    task: string;
    at: bigint;
    domain: string;
    since: bigint;
    model: string;
    revenue: bigint;
    foundation: bigint;
    processor: bigint;
    creator: bigint;
    emission: bigint;
    burn: bigint;
    unpaid: bigint;
    parts: bigint;
    claims: string;
  };
  held_pay: { owner: string; seq: bigint; task: string; at: bigint; amount: bigint; accepted: bigint };
  held_owners: { owner: string; accepted: bigint; next_seq: bigint; refuted_at: bigint; frozen: bigint };
  check_credits: { domain: string; owner: string; credit: bigint };
  tallies: {
    epoch: bigint;
    domain: string;
    since: bigint;
    model: string;
    kind: string;
    party: string;
    billions: bigint;
    units: bigint;
  };
  epochs: {
    epoch: bigint;
    state: string;
    opened_at: bigint;
    fenced_at: bigint | null;
    digest: string | null;
    approved_by: string | null;
    approved_at: bigint | null;
    closing_at: bigint | null;
    closed_at: bigint | null;
    plan: string | null;
    memory: string | null;
    receipts_root: string | null;
    receipts_size: bigint | null;
    receipts_signature: string | null;
  };
  fences: { epoch: bigint; hub: string; seq: bigint; hash: string };
  epoch_transfers: { epoch: bigint; position: bigint; id: string; transfer: string };
  payout_addresses: { account: string; address: string; proof: string; at: bigint };
  payout_leaves: { asset: string; address: string; epoch: bigint; cumulative: string };
  payout_roots: { epoch: bigint; asset: string; root: string; size: bigint; total: string; rail: string };
  payout_claims: { reference: string; asset: string; address: string; cumulative: string; at: bigint };
  agents: {
    customer: string;
    name: string;
    settings: string;
    knowledge_hash: string | null;
    created_at: bigint;
    updated_at: bigint;
  };
  agent_passages: {
    customer: string;
    name: string;
    position: bigint;
    title: string | null;
    body: string;
    vector: string;
  };
  agent_usage: {
    customer: string;
    name: string;
    day: string;
    requests: bigint;
    prompt_tokens: bigint;
    completion_tokens: bigint;
    tool_calls: bigint;
    cost: bigint;
  };
  webhooks: { id: string; customer: string; url: string; secret: string; events: string; created_at: bigint };
  webhook_events: { id: string; customer: string; type: string; body: string; at: bigint; fanned: bigint };
  webhook_deliveries: {
    id: string;
    webhook: string;
    event: string;
    type: string;
    body: string;
    state: string;
    attempts: bigint;
    at: bigint;
    due_at: bigint;
    status: bigint | null;
    error: string | null;
  };
  attestations: { witness: string; at: bigint; validator_owner: string; owner: string; proof: string };
  availability: {
    day: string;
    owner: string;
    model: string;
    present: bigint;
    absent: bigint;
    round_trip_ms: bigint;
  };
  files: { id: string; customer: string; filename: string; purpose: string; bytes: bigint; created_at: bigint };
  batches: { id: string; customer: string; created_at: bigint; is_open: bigint; record: string };
  batch_lines: { batch: string; line: bigint; is_error: bigint; reply: string };
  idempotency_keys: {
    customer: string;
    idempotency_key: string;
    fingerprint: string;
    hub: string;
    created_at: bigint;
    status: bigint | null;
    headers: string | null;
    body: string | null;
  };
}

export type TableName = keyof Tables;

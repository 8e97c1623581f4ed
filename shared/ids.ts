/** Branded identifiers: a TaskId cannot be handed to something that wants an AssignmentId. */
type Brand<Name extends string> = string & { readonly __brand: Name };

/** `t_` + 22 base64url characters. One accepted request. */
export type TaskId = Brand<"TaskId">;
/** `a_` + 22 base64url characters. A lease of one task to one miner. */
export type AssignmentId = Brand<"AssignmentId">;
/** `m_` + first 22 base64url characters of SHA-256(Ed25519 public key). One contributor identity. */
export type MinerId = Brand<"MinerId">;
/** Whoever is behind one or more miners; a miner that is linked to no account is its own owner. */
export type OwnerId = Brand<"OwnerId">;
/** `s_` + 22 base64url characters. One authenticated connection of a miner. */
export type SessionId = Brand<"SessionId">;
/** `r_` + the task's 22 characters: one receipt a task, so the id is known before it is written. */
export type ReceiptId = Brand<"ReceiptId">;
/** `c_` + letters. A suspension that a person looks at; says nothing of whom it is about. */
export type CaseId = Brand<"CaseId">;
/** Ledger account, `kind:name[:sub]`, see server/economy/accounts.ts. */
export type AccountId = Brand<"AccountId">;
/** A caller of the API. */
export type CustomerId = Brand<"CustomerId">;
/** `id@version`: models are immutable per version. */
export type ModelKey = Brand<"ModelKey">;

export const modelKey = (id: string, version: string): ModelKey => `${id}@${version}` as ModelKey;

export const receiptOf = (task: TaskId): ReceiptId => `r_${task.slice(2)}` as ReceiptId;
export const ownerOf = (miner: MinerId): OwnerId => `own_${miner.slice(2)}` as OwnerId;

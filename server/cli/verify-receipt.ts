/**
 * `npm run verify-receipt -- FILE [--hub-key KEY]`: checks a receipt without asking anybody. FILE is what GET
 * /api/v1/receipts/{receipt} answered, "-" reads standard input. With the hub's key from elsewhere the file need not be
 * believed about who signed it.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import process from "node:process";
import { cac } from "cac";
import { z } from "zod";
import { receiptSchema } from "../../shared/api.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Sha256 } from "../economy/ledger.ts";
import { epochReceiptsPreimage } from "../economy/receipt-epochs.ts";
import { canonicalJson, receiptsPreimage, verifyPath } from "../economy/receipts.ts";
import { ed25519PublicKey, verifyEd25519 } from "../sockets/identity.ts";

const sha256: Sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** What was found out later stands in leaves of its own. */
const revisionSchema = z.looseObject({ receipt: z.string(), state: z.string(), reason: z.string() });
const nano = z.string().regex(/^\d+$/);
const leafSchema = z.looseObject({
  receipt: z.string(),
  task: z.string(),
  model: z.string(),
  price: nano,
  split: z.record(z.string(), z.string().regex(/^-?\d+$/)),
  executions: z.array(
    z.looseObject({
      by: z.string(),
      role: z.string(),
      accepted: z.boolean(),
      standing: z.looseObject({ trust: z.number(), passed: z.int(), atRisk: nano, deposit: nano }).optional(),
    }),
  ),
});

/** What holds, a sentence each; or what does not, in one. */
export function verifyReceipt(text: string, hubKey: string | null): Result<string[], string> {
  const read = parse(text);
  if (!read.ok) return read;
  const receipt = receiptSchema.safeParse(read.value);
  if (!receipt.success) {
    const issue = receipt.error.issues[0];
    return err(`This is no receipt: ${issue?.path.join(".") || "the file"}: ${issue?.message}.`);
  }
  const { leaf, path, index, size, root, signature, hub_key: named, epoch } = receipt.data;
  if (hubKey !== null && hubKey !== named) return err(`The receipt names the hub key ${named}, not ${hubKey}.`);
  const said = readLeaf(leaf, receipt.data.receipt);
  if (!said.ok) return said;
  const proved = prove({ leaf, path, index, size, root, signature }, named);
  if (proved !== null) return err(proved);
  const lines = [said.value, `It is one of ${size} receipts under a root that the hub ${named} signed.`];
  for (const [n, revision] of receipt.data.revisions.entries()) {
    const later = readLeaf(revision.leaf, revision.receipt);
    const wrong = later.ok ? prove(revision, named) : later.error;
    if (wrong !== null) return err(`Revision ${n + 1}: ${wrong}`);
    if (later.ok) lines.push(`Later: ${later.value}`);
  }
  if (!epoch) return ok([...lines, "Its epoch is not closed yet, or the file does not say."]);
  const place = { leaf: root, path: epoch.path, index: epoch.index, size: epoch.size, root: epoch.root };
  if (!verifyPath(place, sha256)) return err(`The root is not under the root of epoch ${epoch.epoch}.`);
  if (!isSigned(named, epochReceiptsPreimage(epoch.epoch, epoch.root), epoch.signature)) {
    return err(`The root of epoch ${epoch.epoch} is not signed by the hub key.`);
  }
  return ok([...lines, `That root is one of ${epoch.size} under the signed root of epoch ${epoch.epoch}.`]);
}

/** What a leaf says, in a sentence. */
function readLeaf(leaf: string, receipt: string): Result<string, string> {
  const json = parse(leaf);
  const [whole, revision] = [
    leafSchema.safeParse(json.ok && json.value),
    revisionSchema.safeParse(json.ok && json.value),
  ];
  const said = whole.success ? whole.data : revision.success ? revision.data : null;
  if (!said) return err("The leaf is not the JSON of a receipt.");
  if (canonicalJson(said) !== leaf) return err("The leaf is not in canonical form: its text was changed.");
  if (said.receipt !== receipt) return err(`The leaf is of receipt ${said.receipt}, the file says ${receipt}.`);
  if (!whole.success) return ok(`${said.receipt}: ${revision.data?.state}, ${revision.data?.reason}.`);
  const { model, price, executions } = whole.data;
  const split = Object.values(whole.data.split).reduce((sum, part) => sum + BigInt(part), 0n);
  if (split !== BigInt(price)) return err(`The split sums to ${split} nano-USDC, the price is ${price}.`);
  const accepted = executions.filter((one) => one.accepted).length;
  const standings = executions.map(
    ({ by, role, standing }) =>
      `${role} by ${by}${standing ? `, trust ${standing.trust}, ${standing.passed} checks passed, ${standing.atRisk} nano-USDC at risk, ${standing.deposit} nano-DN deposited` : ""}`,
  );
  return ok(`${receipt}: ${model}, ${price} nano-USDC, ${accepted} accepted executions: ${standings.join("; ")}.`);
}

/** Null where the leaf is under a root that the key signed; else what is wrong. */
function prove(
  of: { leaf: string; path: string[]; index: number; size: number; root: string; signature: string },
  key: string,
) {
  if (!verifyPath(of, sha256)) {
    return "The path does not lead from the leaf to the root: leaf or path was changed.";
  }
  if (isSigned(key, receiptsPreimage(of.root), of.signature)) return null;
  return "The root is not signed by the hub key: root, signature or key was changed.";
}

function parse(text: string): Result<unknown, string> {
  try {
    return ok(JSON.parse(text));
  } catch {
    return err("This is no JSON.");
  }
}

function isSigned(key: string, preimage: Uint8Array, signature: string): boolean {
  try {
    const publicKey = ed25519PublicKey(Buffer.from(key, "base64url"));
    return verifyEd25519(publicKey, preimage, Buffer.from(signature, "base64url"));
  } catch {
    return false;
  }
}

function main(): void {
  const program = cac("npm run verify-receipt --");
  program
    .command("<file>", "Check a receipt offline")
    .option("--hub-key <key>", "The hub's public key, base64url, from elsewhere than the file")
    .action((file: string, { hubKey }: { hubKey?: string }) => {
      let text: string;
      try {
        text = readFileSync(file === "-" ? 0 : file, "utf8");
      } catch (error) {
        process.stderr.write(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}).\n`);
        process.exitCode = 2;
        return;
      }
      const verified = verifyReceipt(text, hubKey ?? null);
      if (verified.ok) process.stdout.write(`${verified.value.join("\n")}\nThe receipt holds.\n`);
      else process.stderr.write(`${verified.error}\nThe receipt does not hold.\n`);
      process.exitCode = verified.ok ? 0 : 1;
    });
  program.help();
  program.parse();
}

if (process.argv[1] === import.meta.filename) main();

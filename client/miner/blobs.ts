import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { limits } from "../../shared/limits.ts";
import type { WireTensor } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { byteCount, type Tensor } from "../../shared/tensor.ts";
import type { Seal } from "./seal.ts";

/**
 * Tensors too large for a socket message travel as blobs over HTTP: `/miner/blobs/<sha256>`, authorised by a token under
 * the session key. The error of each function is a sentence for the fault that goes to the hub.
 */
export async function fromWireTensors(
  wire: readonly WireTensor[],
  seal: Seal | null,
): Promise<Result<Tensor[], string>> {
  const tensors: Tensor[] = [];
  for (const { name, dtype, shape, data, blob } of wire) {
    const bytes = data ? ok(data) : await getBlob(blob as string, seal);
    if (!bytes.ok) return bytes;
    const tensor: Tensor = { name, dtype, shape, data: bytes.value };
    if (tensor.data.byteLength !== byteCount(tensor)) {
      return err(`${name}: expected ${byteCount(tensor)} bytes, got ${tensor.data.byteLength}`);
    }
    tensors.push(tensor);
  }
  return ok(tensors);
}

/** Inline up to `inlineBytes` in all; from the first tensor that does not fit on, those that do not fit are put as blobs. */
export async function toWireTensors(
  tensors: readonly Tensor[],
  seal: Seal | null,
  inlineBytes: number = limits.inlineTensorBytes,
): Promise<Result<WireTensor[], string>> {
  const wire: WireTensor[] = [];
  let left = inlineBytes;
  for (const { name, dtype, shape, data } of tensors) {
    if (data.byteLength <= left) {
      left -= data.byteLength;
      wire.push({ name, dtype, shape, data });
      continue;
    }
    const blob = await putBlob(data, seal);
    if (!blob.ok) return blob;
    wire.push({ name, dtype, shape, blob: blob.value });
  }
  return ok(wire);
}

export const inlineBytesOf = (wire: readonly WireTensor[]): number =>
  wire.reduce((acc, { data }) => acc + (data?.byteLength ?? 0), 0);

async function getBlob(hash: string, seal: Seal | null): Promise<Result<Uint8Array, string>> {
  const response = await request("GET", hash, seal);
  if (!response.ok) return response;
  const data = new Uint8Array(await response.value.arrayBuffer());
  if (bytesToHex(sha256(data)) !== hash) return err(`blob ${hash} came with other bytes`);
  return ok(data);
}

async function putBlob(data: Uint8Array, seal: Seal | null): Promise<Result<string, string>> {
  const hash = bytesToHex(sha256(data));
  const response = await request("PUT", hash, seal, new Uint8Array(data));
  return response.ok ? ok(hash) : response;
}

async function request(
  method: "GET" | "PUT",
  hash: string,
  seal: Seal | null,
  body?: Uint8Array<ArrayBuffer>,
): Promise<Result<Response, string>> {
  if (!seal) return err(`blob ${hash}: not connected`);
  try {
    const response = await fetch(`/miner/blobs/${hash}`, {
      method,
      headers: {
        "x-tabgrid-session": seal.session,
        authorization: `Tabgrid ${await seal.blobToken(method, hash)}`,
        ...(body && { "content-type": "application/octet-stream" }),
      },
      body: body ?? null,
    });
    return response.ok ? ok(response) : err(`blob ${hash}: the hub answered ${response.status}`);
  } catch (error) {
    return err(`blob ${hash}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

import type { AssignmentId, ModelKey, SessionId } from "../../shared/ids.ts";
import type { SimMiner } from "./miner.ts";

/** A miner's connection, as the world between it and the hub sees it. */
export interface Connection {
  session: SessionId;
  miner: SimMiner;
  seq: number;
  signedSeq: number;
  willSign: boolean;
  isOpen: boolean;
  /** Its assignments with their inputs, until answered or cancelled. */
  work: Map<AssignmentId, { model: ModelKey; value: number }>;
  resident: Set<ModelKey>;
  /** Models that its hub asked for on WASM. */
  onWasm: Set<ModelKey>;
}

/** All WASM builds of a GPU device compute alike. */
const WASM_CLASS = 1;
export const classOf = ({ miner, onWasm }: Connection, model: ModelKey): number =>
  onWasm.has(model) ? WASM_CLASS : miner.traits.deviceClass;

import { randomBytes } from "node:crypto";
import type { TaskId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";

/**
 * A new task's id: 48 bits of time, then 80 random ones, as in a UUID of version 7. Neighbours in time become neighbours
 * in every index that a commit writes, where ids without order cost it twice as much once the tables have grown.
 */
export function newTaskId(at: Millis, random: Uint8Array = randomBytes(10)): TaskId {
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(at, 0, 6);
  bytes.set(random.subarray(0, 10), 6);
  return `t_${bytes.toString("base64url")}` as TaskId;
}

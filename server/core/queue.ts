import type { CustomerId, ModelKey, TaskId } from "../../shared/ids.ts";

/**
 * Work that waits for a miner, per model. Checks, third runs and work that came back go first, since an answer already
 * waits for them; requests are taken in turn between customers, first come first served within one; batch work that yields
 * to all of these comes last.
 */
export type QueueLane = "first" | "turn" | "last";

export type Role = "primary" | "check" | "third" | "hedge";

export interface WorkItem {
  task: TaskId;
  customer: CustomerId;
  role: Role;
  rows: number;
  /** Only for a device class that has not run the task yet. */
  otherClass: boolean;
}

/** Maps keep insertion order and delete anywhere in O(1): each lane is one. */
class Lane {
  readonly items = new Map<number, WorkItem>();
}

export class ModelQueue {
  #next = 0;
  #urgent = new Lane();
  #lanes = new Map<CustomerId, Lane>();
  #last = new Lane();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Requests that pay the whole price. */
  get waitingInTurn(): number {
    return this.#size - this.#last.items.size;
  }

  push(item: WorkItem, where: QueueLane): void {
    let lane = where === "last" ? this.#last : this.#urgent;
    if (where === "turn") {
      lane = this.#lanes.get(item.customer) ?? new Lane();
      this.#lanes.set(item.customer, lane);
    }
    lane.items.set(this.#next++, item);
    this.#size++;
  }

  /**
   * Walks the queue in serving order and removes the items that `take` accepts, until it says stop or `scan` items were
   * seen. A customer whose item was taken goes to the end of the round.
   */
  drain(scan: number, take: (item: WorkItem) => "taken" | "left" | "stop"): void {
    let seen = 0;
    for (const [id, item] of this.#urgent.items) {
      if (seen++ >= scan) return;
      const what = take(item);
      if (what === "stop") return;
      if (what === "taken") this.#remove(this.#urgent, id);
    }
    let waiting = [...this.#lanes].map(([customer, lane]) => ({ customer, lane, walk: lane.items.entries() }));
    while (waiting.length > 0) {
      const still: typeof waiting = [];
      for (const entry of waiting) {
        const step = entry.walk.next();
        if (step.done) continue;
        if (seen++ >= scan) return;
        const [id, item] = step.value;
        const what = take(item);
        if (what === "stop") return;
        if (what === "taken") {
          this.#remove(entry.lane, id);
          this.#lanes.delete(entry.customer);
          if (entry.lane.items.size > 0) this.#lanes.set(entry.customer, entry.lane);
        }
        still.push(entry);
      }
      waiting = still;
    }
    for (const [id, item] of this.#last.items) {
      if (seen++ >= scan) return;
      const what = take(item);
      if (what === "stop") return;
      if (what === "taken") this.#remove(this.#last, id);
    }
  }

  /** Removes every item of a task. */
  removeTask(task: TaskId): void {
    for (const lane of [this.#urgent, this.#last])
      for (const [id, item] of lane.items) if (item.task === task) this.#remove(lane, id);
    for (const [customer, lane] of this.#lanes) {
      for (const [id, item] of lane.items) if (item.task === task) this.#remove(lane, id);
      if (lane.items.size === 0) this.#lanes.delete(customer);
    }
  }

  /** Items ahead of the task's first one, or null where it does not wait. */
  position(task: TaskId): number | null {
    let ahead = 0;
    let found: number | null = null;
    this.drain(Number.POSITIVE_INFINITY, (item) => {
      if (item.task === task) {
        found = ahead;
        return "stop";
      }
      ahead++;
      return "left";
    });
    return found;
  }

  #remove(lane: Lane, id: number): void {
    if (lane.items.delete(id)) this.#size--;
  }
}

export class Queue {
  readonly byModel = new Map<ModelKey, ModelQueue>();
  /** How often each model was asked for, decayed; decides what a fresh miner loads first. */
  readonly demand = new Map<ModelKey, number>();

  of(model: ModelKey): ModelQueue {
    let queue = this.byModel.get(model);
    if (!queue) {
      queue = new ModelQueue();
      this.byModel.set(model, queue);
    }
    return queue;
  }

  get size(): number {
    let size = 0;
    for (const queue of this.byModel.values()) size += queue.size;
    return size;
  }
}

import type { Given, Watched } from "./auditor.ts";
import type { Posting } from "./watcher.ts";

/** What the auditor has seen of tasks and people. */
export interface Evidence {
  tasks: ReadonlyMap<string, Watched>;
  given: ReadonlyMap<string, Given>;
  signedUpTo: ReadonlyMap<string, number>;
  isSuspended(owner: string): boolean;
  fault(what: string): void;
}

/** The auditor's own books: every posting against ../shared/money.md and what was seen to be done. */
export class MoneyAuditor {
  /** Owners that lost held pay. */
  readonly losses = new Set<string>();
  /** `case:ID` → ruling and owner, as the reviewer gave it. */
  readonly rulings = new Map<string, string>();
  readonly #evidence: Evidence;
  #balances = new Map<string, bigint>();
  #posted = new Set<string>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  balance = (account: string): bigint => this.#balances.get(account) ?? 0n;

  /** Σ of all balances: 0. */
  total(): bigint {
    return [...this.#balances.values()].reduce((sum, balance) => sum + balance, 0n);
  }

  posted(posting: Posting): void {
    const { id, legs } = posting;
    if (this.#posted.has(id)) this.#evidence.fault(`${id} was posted twice`);
    this.#posted.add(id);
    let sum = 0n;
    for (const { account, amount } of legs) {
      sum += amount;
      const balance = this.balance(account) + amount;
      this.#balances.set(account, balance);
      if (balance < 0n && account !== "issuer") this.#evidence.fault(`${id} leaves ${account} at ${balance}`);
      if (amount < 0n && account.startsWith("miner:")) this.#mayTake(posting, account, amount);
    }
    if (sum !== 0n) this.#evidence.fault(`${id} is off balance by ${sum}`);
    if (posting.kind === "pool-work") this.#paysWork(posting);
    const task = posting.task ? this.#evidence.tasks.get(posting.task) : undefined;
    if (task && posting.task) this.#ofTask(posting.task, task, posting);
  }

  /** Held pay shrinks when the pay of an overturned task is reversed, and by a person's ruling; in no other way. */
  #mayTake({ id, kind, task }: Posting, account: string, amount: bigint): void {
    const owner = account.split(":")[1] as string;
    this.losses.add(owner);
    const paid = this.#evidence.tasks.get(task ?? "")?.paid.get(owner) ?? 0n;
    if (kind === "overturn" && -amount <= paid) return;
    const ruling = this.#evidence.isSuspended(owner) ? this.rulings.get(id) : undefined;
    const held = this.balance(account) - amount;
    if (kind === "slash" && ruling === `minor ${owner}` && -amount === held / 5n) return;
    if (kind === "slash" && ruling === `severe ${owner}`) return;
    this.#evidence.fault(`${id} takes ${-amount} from ${account}, and nobody decided that`);
  }

  #ofTask(name: string, task: Watched, { id, kind, legs }: Posting): void {
    const of = (account: string): bigint => legs.find((leg) => leg.account === account)?.amount ?? 0n;
    const heldAccount = `customer:${task.customer}:held`;
    if (kind === "hold") {
      if (task.hold !== "none" || of(heldAccount) !== task.price)
        this.#evidence.fault(`${id} does not hold the price, once`);
      task.hold = "open";
    } else if (kind === "settle" || kind === "void" || kind === "expire") {
      if (task.hold !== "open") this.#evidence.fault(`${id}: the hold of ${name} is ${task.hold}`);
      task.hold = kind;
      if (of(heldAccount) !== -task.price) this.#evidence.fault(`${id} does not spend the hold`);
      if (kind === "settle") this.#shares(name, task, { id, kind, task: name, legs });
      else if (of(`customer:${task.customer}`) !== task.price)
        this.#evidence.fault(`${id} does not give the price back`);
    } else if (kind === "overturn") {
      // What nobody could cover becomes a claim; there is none as long as anybody could.
      const back = of(`customer:${task.customer}`);
      const couldPay = ["pool:commons", "domain:commons", "foundation"].some((account) => this.balance(account) > 0n);
      if (back > task.price || (back < task.price && couldPay)) this.#evidence.fault(`${id} refunds ${back}`);
      for (const [owner, paid] of task.paid) {
        const account = `miner:${owner}:held`;
        const left = this.balance(account) - of(account);
        if (of(account) !== -(paid < left ? paid : left)) this.#evidence.fault(`${id} leaves ${owner} its pay`);
      }
    }
  }

  /** The table of ../shared/money.md: 1 + 1 + 3 + 20 %, 8 % to the pool, the rest to miners that did the work. */
  #shares(name: string, task: Watched, posting: Posting): void {
    const percent = { "burn:commons": 1n, foundation: 1n, processor: 3n, "creator:tabgrid": 20n };
    for (const [account, share] of Object.entries(percent)) {
      const amount = posting.legs.find((leg) => leg.account === account)?.amount ?? 0n;
      const off = amount * 100n - task.price * share;
      if (off > 100n || off < -100n) this.#evidence.fault(`${posting.id} gives ${account} ${amount} of ${task.price}`);
    }
    this.#paysWork(posting);
    for (const { account, amount } of posting.legs) {
      if (!account.startsWith("miner:")) continue;
      task.paid.set(account.split(":")[1] as string, amount);
      if (amount * 100n > task.price * 67n + 100n)
        this.#evidence.fault(`${posting.id} pays ${account} more than the miners' part`);
    }
    if (!task.given.some((given) => given.outputs) && task.referenceRuns === 0)
      this.#evidence.fault(`${name}: paid, but never run`);
  }

  /** Whoever is paid ran it, signed it and was not refuted. */
  #paysWork({ id, task, legs }: Posting): void {
    for (const { account, amount } of legs) {
      if (!account.startsWith("miner:") || amount <= 0n) continue;
      const owner = account.split(":")[1];
      const did = [...(this.#evidence.tasks.get(task ?? "")?.given ?? this.#evidence.given.values())].some(
        (given) =>
          given.owner === owner &&
          given.task === task &&
          given.outputs !== null &&
          !given.refuted &&
          (this.#evidence.signedUpTo.get(given.session) ?? 0) >= given.seq,
      );
      if (!did) this.#evidence.fault(`${id} pays ${owner}, who did not run and sign ${task}`);
    }
  }
}

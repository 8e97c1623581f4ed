import vm from "node:vm";

/**
 * Runs code that a model's author steers (templates, regular expressions) for at most so long: V8 stops it wherever it is,
 * within a loop or a match. It is synchronous like what it bounds; the hub waits meanwhile, so keep the bound short.
 *
 * @throws Error when the time is up; and whatever `action` throws
 */
export function bounded<T>(milliseconds: number, what: string, action: () => T): T {
  host.action = action;
  try {
    return script.runInContext(context, { timeout: milliseconds }) as T;
  } catch (error) {
    const code = (error as { code?: unknown } | null)?.code;
    if (code === "ERR_SCRIPT_EXECUTION_TIMEOUT") throw new Error(`${what} took longer than ${milliseconds} ms`);
    throw error;
  } finally {
    host.action = () => undefined;
  }
}

const host: { action: () => unknown } = { action: () => undefined };
const context = vm.createContext({ run: () => host.action() });
const script = new vm.Script("run()");

import { type Remote, wrap } from "comlink";

/**
 * The page of a calibration tab: hands tensors to the built inference worker of the contribute page, the one that miners
 * run. It is served with its types stripped, so it stands alone.
 */
interface TextTensor {
  name: string;
  dtype: string;
  shape: number[];
  /** Base64. */
  data: string;
}
interface Tensor extends Omit<TextTensor, "data"> {
  data: Uint8Array;
}
type Answer<T> = { ok: true; value: T } | { ok: false; error: { message: string } };
interface InferenceRemote {
  load(request: {
    runtime: string;
    acceptSoftware: boolean;
    graph: Blob;
    weights: { path: string; data: Blob }[];
    embedding?: object;
  }): Promise<Answer<unknown>>;
  run(items: Tensor[][], rowsTogether: number): Promise<Answer<{ outputs: Tensor[] }>[]>;
}
interface Base64 {
  fromBase64(text: string): Uint8Array;
}

const sessions = new Map<number, { worker: Worker; remote: Remote<InferenceRemote>; cache: Tensor[] }>();
const session = (id: number) => {
  const found = sessions.get(id);
  if (!found) throw new Error(`no model is loaded as ${id}`);
  return found;
};
const unwrapped = <T>(answer: Answer<T> | undefined): T => {
  if (!answer?.ok) throw new Error(answer?.error.message ?? "the worker gave no answer");
  return answer.value;
};
const fromText = (tensor: TextTensor): Tensor => ({
  ...tensor,
  data: (Uint8Array as unknown as Base64).fromBase64(tensor.data),
});
const toText = (tensor: Tensor): TextTensor => ({
  ...tensor,
  data: (tensor.data as unknown as { toBase64(): string }).toBase64(),
});
const blob = async (path: string): Promise<Blob> => (await fetch(path)).blob();

export const calibration = {
  async load(
    id: number,
    script: string,
    runtime: string,
    acceptSoftware: boolean,
    graph: string,
    weights: { path: string; url: string }[],
    embedding: object | null,
  ): Promise<void> {
    const worker = new Worker(script, { type: "module" });
    const remote = wrap<InferenceRemote>(worker);
    const data = await Promise.all(weights.map(async ({ path, url }) => ({ path, data: await blob(url) })));
    const pooled = embedding ? { embedding } : {};
    unwrapped(await remote.load({ runtime, acceptSoftware, graph: await blob(graph), weights: data, ...pooled }));
    sessions.set(id, { worker, remote, cache: [] });
  },

  async run(id: number, items: TextTensor[][], rows: number): Promise<TextTensor[][]> {
    const answers = await session(id).remote.run(
      items.map((tensors) => tensors.map(fromText)),
      rows,
    );
    return answers.map((answer) => unwrapped(answer).outputs.map(toText));
  },

  async step(id: number, inputs: TextTensor[]): Promise<TextTensor[]> {
    const open = session(id);
    const given = inputs.map(fromText);
    const begins = given.some(({ name }) => name.startsWith("past_key_values."));
    const [answer] = await open.remote.run([begins ? given : [...given, ...open.cache]], 1);
    const { outputs } = unwrapped(answer);
    open.cache = outputs
      .filter(({ name }) => name.startsWith("present."))
      .map((tensor) => ({ ...tensor, name: tensor.name.replace("present.", "past_key_values.") }));
    return outputs.filter(({ name }) => !name.startsWith("present.")).map(toText);
  },

  release(id: number): void {
    session(id).worker.terminate();
    sessions.delete(id);
  },

  /** What the browser says of its adapter; null where it has none. */
  async adapter(): Promise<{ text: string; software: boolean } | null> {
    const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) return null;
    const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
    return { text: [vendor, architecture, description].filter(Boolean).join(" "), software: isFallbackAdapter };
  },
};
(globalThis as { tabgridCalibration?: unknown }).tabgridCalibration = calibration;

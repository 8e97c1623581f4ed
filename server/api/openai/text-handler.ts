import type { TabgridError } from "../../../shared/errors.ts";
import type { Receipts } from "../../../shared/openai-api.ts";
import type { Result } from "../../../shared/result.ts";
import { customerOf } from "../auth.ts";
import { unwrap } from "../error-reply.ts";
import { hangUpSignal } from "../hang-up.ts";
import type { Choice } from "./choice.ts";
import type { Call, Handle, HttpContext } from "./context.ts";
import { EventStream } from "./event-stream.ts";
import { quoteTexts, setReceiptHeaders } from "./usage.ts";

interface TextBody {
  model: string;
  stream?: boolean | null;
  dry_run?: boolean | null;
}

/** A request for text, understood and ready to run; `Event` is what its stream is made of. */
export interface TextJob<Reply, Event> {
  choices: Choice[];
  /** Generates it all. `onEvent` gets the stream of it, and returns false when the caller has enough. */
  run(signal: AbortSignal, onEvent: ((event: Event) => boolean) | null): Promise<Result<Reply, TabgridError>>;
}

interface TextEndpoint<Body extends TextBody, Reply, Event> {
  context: HttpContext;
  read(bytes: Uint8Array): Result<Body, TabgridError>;
  prepare(call: Omit<Call<Body>, "signal">): Promise<Result<TextJob<Reply, Event>, TabgridError>>;
  send(stream: EventStream, event: Event): boolean;
  /** The last events of a stream. */
  finish(stream: EventStream, reply: Reply): void;
  /** How a stream says that it failed; absent: `data: {error}`. */
  fail?(stream: EventStream, error: TabgridError): void;
}

/** What every endpoint that generates text does: read, quote or count tokens, then answer whole or as a stream. */
export function textHandler<Body extends TextBody, Reply extends { tabgrid?: Receipts; usage?: object | null }, Event>(
  endpoint: TextEndpoint<Body, Reply, Event>,
): Handle {
  const { gateway, tokens } = endpoint.context;
  return async (request, response) => {
    const customer = customerOf(response);
    const body = unwrap(endpoint.read(request.body));
    const job = unwrap(await endpoint.prepare({ customer, body }));
    const requests = job.choices.map((choice) => choice.request);
    if (body.dry_run) {
      response.json(unwrap(await quoteTexts(gateway, body.model, requests)));
      return;
    }
    const most = requests.reduce((sum, { prompt, settings }) => sum + prompt.length + settings.maxTokens, 0);
    await tokens.take(response, most);
    const signal = hangUpSignal(response, body.stream === true);
    const giveBack = (reply: Reply | null) => tokens.giveBack(response, most - tokensIn(reply));
    if (!body.stream) {
      const reply = await job.run(signal, null);
      await giveBack(reply.ok ? reply.value : null);
      const { tabgrid } = unwrap(reply) as Reply;
      if (tabgrid) setReceiptHeaders(response, tabgrid);
      response.json((reply as { value: Reply }).value);
      return;
    }
    const stream = new EventStream(response);
    const reply = await job.run(signal, (event) => endpoint.send(stream, event));
    await giveBack(reply.ok ? reply.value : null);
    if (reply.ok) stream.end(() => endpoint.finish(stream, reply.value));
    else if (stream.begun && endpoint.fail) endpoint.fail(stream, reply.error);
    else stream.fail(reply.error);
  };
}

/** What a reply was charged for; a failed request is charged for nothing. */
function tokensIn(reply: { usage?: object | null } | null): number {
  const { total_tokens = 0 } = (reply?.usage ?? {}) as { total_tokens?: number };
  return total_tokens;
}

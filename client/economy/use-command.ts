import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";

/** What a form or a button shows of its command. */
export interface Command {
  isPending: boolean;
  isError: boolean;
  isSuccess: boolean;
  error: Error | null;
}

/** The second click of a double click comes within this time, also when the hub answered between the two. */
const DOUBLE_CLICK_MS = 600;

/**
 * A command of a form: what it changed is read anew. The form's key stays until it succeeds, so that sending it again after
 * a lost answer moves nothing twice; after a refusal the next attempt is another request. A double click is one command.
 */
export function useCommand<Input, Reply>(
  run: (input: Input, once: string) => Promise<Reply>,
  done?: (reply: Reply) => void,
) {
  const queries = useQueryClient();
  const once = useRef(crypto.randomUUID());
  const asked = useRef("");
  const isUnderWay = useRef(false);
  /** Until when the same again is the second click. */
  const doneUntil = useRef(0);
  const mutation = useMutation({
    mutationFn: (input: Input) => {
      const text = JSON.stringify(input) ?? "";
      if (text !== asked.current) once.current = crypto.randomUUID();
      asked.current = text;
      return run(input, once.current);
    },
    onSuccess: (reply) => {
      once.current = crypto.randomUUID();
      doneUntil.current = performance.now() + DOUBLE_CLICK_MS;
      done?.(reply);
      return queries.invalidateQueries();
    },
    onSettled: () => {
      isUnderWay.current = false;
    },
  });
  const mutate = (input: Input) => {
    const isAgain = performance.now() < doneUntil.current && JSON.stringify(input) === asked.current;
    if (isUnderWay.current || isAgain) return;
    isUnderWay.current = true;
    mutation.mutate(input);
  };
  return { ...mutation, mutate };
}

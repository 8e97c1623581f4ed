import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";

/**
 * A command of a form: what it changed is read anew. The form's key stays until it succeeds, so that sending it again after
 * a lost answer moves nothing twice; after a refusal the next attempt is another request.
 */
export function useCommand<Input, Reply>(run: (input: Input, once: string) => Promise<Reply>, done?: () => void) {
  const queries = useQueryClient();
  const once = useRef(crypto.randomUUID());
  const asked = useRef("");
  return useMutation({
    mutationFn: (input: Input) => {
      const text = JSON.stringify(input) ?? "";
      if (text !== asked.current) once.current = crypto.randomUUID();
      asked.current = text;
      return run(input, once.current);
    },
    onSuccess: () => {
      once.current = crypto.randomUUID();
      done?.();
      return queries.invalidateQueries();
    },
  });
}

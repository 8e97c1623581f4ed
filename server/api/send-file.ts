import type { Response } from "express";

/**
 * Sends a file that is known to exist, whole or the asked range, with the headers already set (an ETag among them).
 * Resolves when it is sent, and also where the client left.
 */
export function sendFile(response: Response, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    response.sendFile(file, { dotfiles: "allow", lastModified: false, cacheControl: false }, (error) => {
      const { status, code } = (error ?? {}) as { status?: number; code?: string };
      if (!error || code === "ECONNABORTED" || code === "EPIPE") resolve();
      // The path in the message is nobody's business, and a file that is gone is our fault.
      else if (status === 404) reject(new Error("a file of the hub is missing", { cause: error }));
      else reject(error);
    });
  });
}

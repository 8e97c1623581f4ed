import { failure, type TabgridError } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/** A repository on a Hugging Face hub, and its addresses there. */
export interface Source {
  /** `ORG/NAME`; old ones have no ORG. */
  repository: string;
  revision: string;
}

const PART = /^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;
const REVISION = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/;
const expected = "hf:ORG/NAME or hf:ORG/NAME@REVISION";

export const isSource = (text: string): boolean => text.startsWith("hf:");

export function readSource(text: string): Result<Source, TabgridError> {
  const [repository = "", revision = "main", ...more] = text.slice("hf:".length).split("@");
  const parts = repository.split("/");
  const isPlain = (name: string) => !name.includes("..");
  const fits =
    isSource(text) &&
    more.length === 0 &&
    parts.length <= 2 &&
    parts.every((part) => PART.test(part) && isPlain(part)) &&
    REVISION.test(revision) &&
    isPlain(revision);
  if (fits) return ok({ repository, revision });
  return err(
    failure("invalid-request", `source: expected ${expected}, got ${text}`, { field: "source", expected, got: text }),
  );
}

/** A model's id and creator where nobody says others. */
export function namesFor({ repository }: Source): { id: string; creator: string } {
  const [name = "", owner = name] = repository.split("/").reverse();
  return {
    id: name
      .toLowerCase()
      .replace(/^[^a-z0-9]+/, "")
      .slice(0, 64),
    creator: owner,
  };
}

export const cardUrl = (endpoint: string, { repository, revision }: Source): string =>
  `${endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}`;

export const listingUrl = (endpoint: string, { repository, revision }: Source): string =>
  `${endpoint}/api/models/${repository}/tree/${encodeURIComponent(revision)}?recursive=1`;

export const fileUrl = (endpoint: string, { repository, revision }: Source, path: string): string =>
  `${endpoint}/${repository}/resolve/${encodeURIComponent(revision)}/${path.split("/").map(encodeURIComponent).join("/")}`;

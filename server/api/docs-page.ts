import type { OpenApi, Operation } from "./openapi.ts";

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const text = (raw: string): string => raw.replace(/[&<>"]/g, (character) => escapes[character] ?? character);
const json = (value: unknown): string => text(JSON.stringify(value, null, 2));

/** The API on one page that needs no script and nothing from elsewhere. */
export function docsPage({ info, paths }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  const sections = tags.map((tag) => {
    const rows = operations.filter(({ operation }) => operation.tags.includes(tag));
    return `<section><h2>${text(tag)}</h2>${rows.map(endpoint).join("")}</section>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tabgrid API</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
details { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .5rem 0; }
summary { cursor: pointer; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { overflow: auto; max-height: 24rem; padding: .75rem; background: color-mix(in srgb, currentColor 6%, transparent); }
.method { display: inline-block; min-width: 4rem; font-weight: 600; }
.access { opacity: .75; }
</style>
</head>
<body>
<h1>Tabgrid API ${text(info.version)}</h1>
<p>As a document for tools: <a href="/openapi.json">/openapi.json</a>.</p>
<main>
${sections.join("\n")}
</main>
</body>
</html>
`;
}

function endpoint({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const schemes = operation.security.flatMap((scheme) => Object.keys(scheme));
  const access = schemes.length === 0 ? "no key" : schemes.includes("key") ? "API key" : "operator token";
  const parameters = operation.parameters.map(
    ({ name, in: place, required, schema }) =>
      `<li><code>${text(name)}</code> in ${place}${required ? ", required" : ""}: <code>${text(JSON.stringify(schema))}</code></li>`,
  );
  const request = Object.entries(operation.requestBody?.content ?? {}).map(
    ([type, { schema }]) =>
      `<h3>Body <code>${text(type)}</code></h3>${schema ? `<pre tabindex="0">${json(schema)}</pre>` : ""}`,
  );
  const replies = Object.entries(operation.responses).map(([status, { description, content = {} }]) => {
    const schema = Number(status) < 300 ? Object.values(content)[0]?.schema : undefined;
    return `<li><code>${status}</code> ${text(description)}${schema ? `<pre tabindex="0">${json(schema)}</pre>` : ""}</li>`;
  });
  return `<details><summary><code><span class="method">${method}</span> ${text(path)}</code> ${text(operation.summary)} <span class="access">(${access})</span></summary>
${parameters.length > 0 ? `<h3>Parameters</h3><ul>${parameters.join("")}</ul>` : ""}
${request.join("")}<h3>Replies</h3><ul>${replies.join("")}</ul></details>`;
}

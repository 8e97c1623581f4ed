import { z } from "zod";
import type { Endpoint } from "./endpoint.ts";

type JsonSchema = z.core.JSONSchema.BaseSchema;
interface Content {
  [mediaType: string]: { schema?: JsonSchema };
}
export interface Operation {
  tags: string[];
  summary: string;
  security: Record<string, string[]>[];
  parameters: { name: string; in: "path" | "query"; required: boolean; schema: JsonSchema }[];
  requestBody?: { required: true; content: Content };
  responses: Record<string, { description: string; content?: Content }>;
}
export interface OpenApi {
  openapi: "3.1.0";
  info: { title: string; version: string };
  components: { securitySchemes: Record<string, object> };
  paths: Record<string, Record<string, Operation>>;
}

/** OpenAPI 3.1 of the endpoints; its schemas are the ones that requests are checked by. */
export function openApi(endpoints: readonly Endpoint[], version: string): OpenApi {
  const paths: OpenApi["paths"] = {};
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/[:*](\w+)/g, "{$1}");
    paths[path] ??= {};
    paths[path][endpoint.method] = operationOf(endpoint);
  }
  return {
    openapi: "3.1.0",
    info: { title: "Tabgrid", version },
    components: {
      securitySchemes: {
        key: { type: "http", scheme: "bearer", description: "An API key" },
        operator: { type: "http", scheme: "bearer", description: "The operator's token" },
      },
    },
    paths,
  };
}

function operationOf({ path, tag, summary, access, query, body, replies }: Endpoint): Operation {
  const querySchema = query && schemaOf(query, "input");
  return {
    tags: [tag],
    summary,
    security: access === "open" ? [] : access === "operator" ? [{ operator: [] }] : [{ key: [] }, { operator: [] }],
    parameters: [
      ...[...path.matchAll(/[:*](\w+)/g)].map(([, name = ""]) => ({
        name,
        in: "path" as const,
        required: true,
        schema: { type: "string" as const },
      })),
      ...Object.entries(querySchema?.properties ?? {}).map(([name, schema]) => ({
        name,
        in: "query" as const,
        required: querySchema?.required?.includes(name) ?? false,
        schema: schema as JsonSchema,
      })),
    ],
    ...(body ? { requestBody: { required: true, content: contentOf(body.type, body.schema, "input") } } : {}),
    responses: Object.fromEntries(
      Object.entries(replies).map(([status, { description, type, schema }]) => {
        const hasContent = type !== undefined || schema !== undefined;
        const content = contentOf(type ?? "application/json", schema, "output");
        return [status, { description, ...(hasContent ? { content } : {}) }];
      }),
    ),
  };
}

function contentOf(type: string, schema: z.ZodType | undefined, io: "input" | "output"): Content {
  return { [type]: schema ? { schema: schemaOf(schema, io) } : {} };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}

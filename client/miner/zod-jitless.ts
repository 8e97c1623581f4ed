import { config } from "zod";

// Imported before any schema: zod otherwise tries `new Function`, which the page's content security policy reports.
config({ jitless: true });

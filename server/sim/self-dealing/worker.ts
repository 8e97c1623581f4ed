import { parentPort } from "node:worker_threads";
import { type SearchJob, search } from "./search.ts";

/** One core of the study: answers a part of the search at a time. */
parentPort?.on("message", (job: SearchJob) => parentPort?.postMessage(search(job)));

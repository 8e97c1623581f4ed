import { parentPort } from "node:worker_threads";
import { type Job, runJob } from "./study-jobs.ts";

/** One core of the study: answers a job at a time. */
parentPort?.on("message", (job: Job) => parentPort?.postMessage(runJob(job)));

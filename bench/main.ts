import { readdirSync } from "node:fs";
import process from "node:process";

/** `npm run bench -- NAME [options]`: every `bench/NAME.ts` is a bench that prints one JSON document. */
const benches = readdirSync(import.meta.dirname)
  .flatMap((file) => /^([a-z]+)\.ts$/.exec(file)?.[1] ?? [])
  .filter((name) => name !== "main");
const list = `Benches: ${benches.join(", ")}. Run one by name: npm run bench -- ${benches[0]}. bench/README.md says what each measures.`;

const [name] = process.argv.splice(2, 1);
if (name === undefined) console.log(list);
else if (benches.includes(name)) await import(`./${name}.ts`);
else {
  console.error(`There is no bench called "${name}". ${list}`);
  process.exitCode = 1;
}

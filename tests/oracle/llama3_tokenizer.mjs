// llama3_tokenizer.mjs: standard input is a JSON list of texts; prints a list of their ids, as
// llama3-tokenizer-js sees them.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const bundle = "llama3-tokenizer-js/bundle/llama3-tokenizer-with-baked-data.js";
const module = path.join(process.env.PRONY_NODE_MODULES, bundle);
const { default: tokenizer } = await import(pathToFileURL(module));
const texts = JSON.parse(fs.readFileSync(0, "utf8"));
const bare = { bos: false, eos: false };
process.stdout.write(JSON.stringify(texts.map((text) => tokenizer.encode(text, bare))));

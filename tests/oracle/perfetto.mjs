// perfetto.mjs FOLDER TRACE SQL...: loads a trace into Perfetto's own trace processor and prints
// the answer to each query as JSON, a list of rows. FOLDER holds Perfetto's engine_bundle.js and
// trace_processor.wasm, made for a browser's worker, which is played here.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";

const [folder, trace, ...queries] = process.argv.slice(2);

// ---- Protocol buffers, as far as they are needed (perfetto/trace_processor.proto) ----

function varint(value) {
  const bytes = [];
  for (let left = BigInt(value); ; left >>= 7n) {
    if (left < 128n) return Buffer.from([...bytes, Number(left)]);
    bytes.push(Number(left & 127n) | 128);
  }
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const block = (field, body) =>
  Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);

function readVarint(bytes, at) {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = bytes[at++];
    value |= BigInt(byte & 127) << shift;
    if (byte < 128) return [BigInt.asIntN(64, value), at];
  }
}

// [[field, value]]: a bigint, or the bytes of a field with a length, or of eight bytes.
function fields(bytes) {
  const found = [];
  for (let at = 0; at < bytes.length; ) {
    let tag, value;
    [tag, at] = readVarint(bytes, at);
    if ((tag & 7n) === 0n) {
      [value, at] = readVarint(bytes, at);
    } else {
      let length = 8n;
      if ((tag & 7n) === 2n) [length, at] = readVarint(bytes, at);
      value = bytes.subarray(at, at + Number(length));
      at += Number(length);
    }
    found.push([Number(tag >> 3n), value]);
  }
  return found;
}

const all = (list, field) => list.filter((item) => item[0] === field).map((item) => item[1]);

function packed(blocks) {
  const values = [];
  for (const bytes of blocks)
    for (let at = 0, value; at < bytes.length; values.push(value))
      [value, at] = readVarint(bytes, at);
  return values;
}

// ---- QueryResult: columns, then batches of cells row by row ----

const NULL = 1n, INTEGER = 2n, FLOAT = 3n, STRING = 4n;

class Result {
  constructor() {
    this.columns = [];
    this.cells = [];
  }

  add(bytes) {
    const result = fields(bytes);
    this.columns.push(...all(result, 1).map(String));
    for (const error of all(result, 2)) throw new Error(String(error));
    for (const batch of all(result, 3).map(fields)) {
      const integers = packed(all(batch, 2)), floats = Buffer.concat(all(batch, 3));
      const strings = all(batch, 5).map(String).join("").split("\0");
      let float = 0;
      for (const kind of packed(all(batch, 1))) {
        if (kind === NULL) this.cells.push(null);
        else if (kind === INTEGER) this.cells.push(Number(integers.shift()));
        else if (kind === FLOAT) this.cells.push(floats.readDoubleLE(8 * float++));
        else if (kind === STRING) this.cells.push(strings.shift());
        else throw new Error(`a cell of kind ${kind}`);
      }
    }
  }

  rows() {
    const rows = [];
    for (let i = 0; i < this.cells.length; i += this.columns.length)
      rows.push(this.cells.slice(i, i + this.columns.length));
    return rows;
  }
}

// ---- The browser's worker ----

class Engine {
  constructor() {
    this.sequence = 0;
    this.replies = [];
    this.waiting = null;
    const port = { postMessage: (data) => this.received(Buffer.from(data)) };
    const self = { location: { href: "file:///engine_bundle.js" }, postMessage() {} };
    // Asked for its code only, and waited for: so the engine is ready a tick later.
    class XMLHttpRequest {
      open(method, url) {
        this.url = String(url);
      }

      send() {
        this.response = new Uint8Array(fs.readFileSync(path.join(folder, path.basename(this.url))));
      }
    }
    const context = vm.createContext({
      self, location: self.location, XMLHttpRequest, WorkerGlobalScope: Object, TextDecoder,
      TextEncoder, URL, performance, setTimeout, clearTimeout, crypto,
      console: { ...console, log: console.error },
    });
    this.Bytes = vm.runInContext("Uint8Array", context); // its own, which it insists on
    const bundle = path.join(folder, "engine_bundle.js");
    vm.runInContext(fs.readFileSync(bundle, "utf8"), context, { filename: bundle });
    self.onmessage({ data: port });
    this.port = port;
  }

  received(bytes) {
    for (const message of all(fields(bytes), 1)) this.replies.push(fields(message));
    this.waiting?.();
  }

  send(method, field, body) {
    const request = [number(1, ++this.sequence), number(2, method)];
    if (body) request.push(block(field, body));
    this.port.onmessage({ data: new this.Bytes(block(1, Buffer.concat(request))) });
  }

  async reply() {
    while (this.replies.length === 0)
      await new Promise((resolve) => {
        this.waiting = resolve;
      });
    const reply = this.replies.shift();
    for (const error of all(reply, 5)) throw new Error(String(error));
    return reply;
  }

  async load(bytes) {
    this.send(1, 101, bytes); // TPM_APPEND_TRACE_DATA
    for (const result of all(await this.reply(), 201))
      for (const error of all(fields(result), 2)) throw new Error(String(error));
    this.send(2); // TPM_FINALIZE_TRACE_DATA
    await this.reply();
  }

  async query(sql) {
    const result = new Result();
    this.send(3, 103, block(1, Buffer.from(sql))); // TPM_QUERY_STREAMING
    for (let last = false; !last; ) {
      for (const part of all(await this.reply(), 203)) {
        result.add(part);
        last = all(fields(part), 3).some((batch) => all(fields(batch), 6).includes(1n));
        last ||= all(fields(part), 2).length > 0;
      }
    }
    return result.rows();
  }
}

const engine = new Engine();
await new Promise((resolve) => setTimeout(resolve, 0));
await engine.load(fs.readFileSync(trace));
for (const sql of queries) console.log(JSON.stringify(await engine.query(sql)));
process.exit(0);

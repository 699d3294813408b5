// For handlers of jobmill in JavaScript: one file, no packages, node 18 or later.
//
//   import { env } from 'node:process';
//   const { handler, run } = await import(`${env.JOBMILL_SDK_DIR ?? '/usr/share/jobmill/sdk'}/jobmill.mjs`);
//
//   handler(async (job) => {
//     job.info('copying', { rows: job.params.rows });
//     return { rows: job.params.rows };
//   });
//   run();
//
// The function is called with a Job and gives the result, once or for one job after the other as the
// definition's mode says. job.signal is aborted when the job is to end. By hand, outside jobmill, the
// same script runs with params from its argument or standard input: ./copyrows.mjs '{"rows": 3}'.
// docs/handlers.md has the rest.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import readline from 'node:readline';

const PERMANENT = 65, TEMPFAIL = 75, FAILED = 1, TERMINATED = 128 + 15;
const MAX_LINE = 1 << 20;

/** Trying again is pointless: the job fails (exit status 65). */
export class Permanent extends Error {}
/** Try again later (exit status 75). */
export class Retry extends Error {}
/** The reason of job.signal: cancelled, out of time, or the worker shuts down. */
export class Cancelled extends Error {}

/** A job, and what it may say while it runs. */
export class Job {
  #say;
  #outputDir;
  #abort = new AbortController();

  constructor(message, say) {
    const { output_dir: outputDir, due_at: dueAt, ...job } = message.job;
    // Large whole numbers lose digits here, as everywhere in JavaScript: send such ids as strings.
    Object.assign(this, {
      project: 'default', metadata: {}, schedule_id: null, lock_token: null, traceparent: null, ...job,
    });
    this.due_at = dueAt ? new Date(dueAt) : null;
    this.step_name = message.step?.name ?? 'run';
    this.step_attempt = message.step?.attempt ?? 1;
    this.steps = message.steps ?? {};
    this.documents = message.documents ?? {};
    this.#outputDir = outputDir ?? process.env.JOBMILL_OUTPUT_DIR;
    this.#say = say;
  }

  /** Aborted when the job is to end; pass it to fetch and the like. */
  get signal() { return this.#abort.signal; }
  /** @private */
  cancel() { this.#abort.abort(new Cancelled('asked to stop')); }

  /** A row of the job's log. */
  log(message, details, level = 'INFO') {
    this.#say({ log: { level, message: String(message), ...(details === undefined ? {} : { details }) } });
  }
  debug(message, details) { this.log(message, details, 'DEBUG'); }
  info(message, details) { this.log(message, details, 'INFO'); }
  warning(message, details) { this.log(message, details, 'WARNING'); }
  error(message, details) { this.log(message, details, 'ERROR'); }

  /** How far it is: { ok, failed, total }; what is left out stays as it was. */
  progress(counts) { this.#say({ progress: counts }); }

  /** Merges scalars into the job's metadata. */
  set(metadata) { this.#say({ set: metadata }); }

  /** A step done on the way: await job.step('verify', async () => data). */
  async step(name, work) {
    this.#say({ step: { name, status: 'running' } });
    try {
      const data = await work();
      this.#say({ step: { name, status: 'success', ...(data === undefined ? {} : { data }) } });
      return data;
    } catch (error) {
      this.#say({ step: { name, status: this.signal.aborted ? 'cancelled' : 'failed', error: describe(error) } });
      throw error;
    }
  }

  /** The directory for files that belong to the job; made when it is asked for. */
  get output_dir() {
    if (!this.#outputDir) {
      this.#outputDir = fs.mkdtempSync(path.join(os.tmpdir(), 'jobmill-'));
      warn(`files go to ${this.#outputDir}`);
    }
    fs.mkdirSync(this.#outputDir, { recursive: true, mode: 0o700 });
    return this.#outputDir;
  }
}

const handlers = new Map();
let running = false;
let current = null; // the job at hand
let stopping = false;

/** handler(fn), or handler('type', fn) where one program serves several types. */
export function handler(type, fn) {
  const name = typeof type === 'function' ? '' : type;
  if (handlers.has(name)) throw new Error(`there are two handlers for ${name || 'every type'}`);
  handlers.set(name, typeof type === 'function' ? type : fn);
}

function describe(error) {
  return error instanceof Error ? (error.message ? `${error.name}: ${error.message}` : error.name) : String(error);
}

function warn(text) {
  process.stderr.write(`jobmill: ${text}\n`);
}

/** U+0000 and lone surrogates are no text for PostgreSQL. */
function dump(value) {
  return JSON.stringify(value, (_key, v) => (typeof v === 'bigint' ? v.toString()
    : typeof v === 'string' ? v.replace(/\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd') : v));
}

/** A line a write, so that nothing is lost with the process. */
function writeAll(fd, text) {
  let data = Buffer.from(text);
  while (data.length) {
    try {
      data = data.subarray(fs.writeSync(fd, data));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

const say = (line) => writeAll(3, `${dump(line)}\n`);

function statusOf(error) {
  if (error instanceof Permanent) return PERMANENT;
  if (error instanceof Retry) return TEMPFAIL;
  if (error instanceof Cancelled || stopping) return TERMINATED;
  return FAILED;
}

/** { status, error, result: JSON text } */
async function call(job) {
  const fn = handlers.get(job.type) ?? handlers.get('');
  if (!fn) return { status: PERMANENT, error: `this handler has nothing for jobs of type ${job.type}` };
  current = job;
  try {
    const result = await fn(job);
    const text = result === undefined || result === null ? null : dump(result);
    if (text && Buffer.byteLength(text) > MAX_LINE - 10000) {
      return { status: PERMANENT, error: "the handler's result is larger than 1 MiB" };
    }
    return { status: 0, result: text };
  } catch (error) {
    const status = statusOf(error);
    if (status === FAILED && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    const plain = status === PERMANENT || status === TEMPFAIL;
    return { status, error: plain && error.message ? error.message : describe(error) };
  } finally {
    current = null;
  }
}

async function serveLoop() {
  for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const job = new Job(JSON.parse(line), say);
    const { status, error, result } = await call(job);
    const end = { exit: status, id: job.id, ...(status && error ? { error } : {}) };
    writeAll(3, `{${result ? `"result":${result},` : ''}"end":${dump(end)}}\n`);
    if (stopping) break;
  }
  process.exit(0);
}

async function serveOnce() {
  let input = '';
  for await (const chunk of process.stdin) input += chunk;
  const { status, error, result } = await call(new Job(JSON.parse(input), say));
  if (result) writeAll(3, `{"result":${result}}\n`);
  if (status && error && status !== FAILED) process.stderr.write(`${error}\n`);
  process.exit(status);
}

/** Without a worker: params from the first argument or standard input, what is said to standard error. */
async function runByHand() {
  warn('not started by jobmill: logs go to standard error, nothing is recorded');
  let input = process.argv[2] ?? '';
  if (!input && !process.stdin.isTTY) for await (const chunk of process.stdin) input += chunk;
  let message;
  try {
    message = JSON.parse(input || '{}');
    if (message === null || typeof message !== 'object' || Array.isArray(message)) {
      throw new Error('params must be a JSON object');
    }
  } catch (error) {
    warn(`${error.message}; usage: ${process.argv[1]} '{"name": value}'`);
    process.exit(2);
  }
  if (!message.job) {
    const type = [...handlers.keys()].find((name) => name) ?? '';
    message = { job: { id: '00000000-0000-7000-8000-000000000000', type, attempt: 1, params: message } };
  }
  const { status, error, result } = await call(new Job(message, (line) => warn(dump(line))));
  if (result) writeAll(1, `${result}\n`);
  if (status && error && status !== FAILED) warn(error);
  process.exit(status);
}

/** Serves the handlers: the script's last call. */
export function run() {
  running = true;
  process.on('SIGTERM', () => {
    stopping = true;
    if (current) current.cancel();
    else process.exit(0);
  });
  const mode = process.env.JOBMILL_MODE;
  return mode === 'loop' ? serveLoop() : mode === 'once' ? serveOnce() : runByHand();
}

process.on('exit', () => {
  if (!handlers.size || running || !process.env.JOBMILL_MODE) return;
  warn('the script ended without run(): no job was handled');
  process.exitCode = FAILED;
});

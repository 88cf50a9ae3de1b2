// Runs a JavaScript handler: takes calls from the hub over the Lambda Runtime API and returns results.
//
// Made to start fast: one raw connection instead of node:http, CommonJS instead of an ES module, and
// console output set up at its first use. Runs on Node.js 18 and newer, with the handler's name in
// `_HANDLER`. Streamed responses (awslambda.streamifyResponse) are not supported.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const util = require('util');

const API = '/2018-06-01/runtime/';
const EXIT_AFTER_REJECTION = 128;
const EXIT_AFTER_EXCEPTION = 129;

// --- the connection to the hub -----------------------------------------------------------------

/** One HTTP/1.1 connection that is kept open; one request at a time. */
class Hub {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address.slice(0, colon);
    this.port = Number(address.slice(colon + 1));
    this.hostLine = `Host: ${address}\r\n`;
    this.socket = null;
    this.waiting = null;
    this.data = Buffer.alloc(0);
  }

  /** Waits for a call; returns its headers, by lower-case name, and its body. */
  async next() {
    const answer = await this.exchange(`GET ${API}invocation/next HTTP/1.1\r\n${this.hostLine}\r\n`);
    if (answer.status !== 200) {
      process.stderr.write(`the hub answered ${answer.status} to a worker that asked for work\n`);
      process.exit(1);
    }
    return answer;
  }

  async post(path, body, headers = '') {
    const length = Buffer.byteLength(body);
    const head = `POST ${API}${path} HTTP/1.1\r\n${this.hostLine}Content-Type: application/json\r\n`;
    const answer = await this.exchange(`${head}${headers}Content-Length: ${length}\r\n\r\n${body}`);
    if (answer.status >= 500) process.exit(1);
    if (answer.status >= 400) {
      process.stderr.write(`the hub refused a result: ${answer.status} ${answer.body}\n`);
    }
  }

  /** Sends a request and reads the answer, on a new connection if the old one was closed. */
  async exchange(request) {
    if (this.socket !== null) {
      try {
        return await this.send(request);
      } catch {
        this.socket.destroy();
      }
    }
    await this.connect();
    return this.send(request);
  }

  connect() {
    return new Promise((resolve, reject) => {
      this.data = Buffer.alloc(0);
      const socket = net.connect({ host: this.host, port: this.port, noDelay: true }, resolve);
      const fail = (error) => {
        if (this.socket === socket) this.settle('reject', error ?? new Error('the hub closed'));
        reject(error);
      };
      socket.on('data', (part) => this.receive(part));
      socket.on('error', fail);
      socket.on('close', () => fail());
      this.socket = socket;
    });
  }

  /** While a request is under way, it keeps the process alive; while a handler runs, it does not. */
  send(request) {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) return reject(new Error('the hub closed'));
      this.waiting = { resolve, reject };
      this.socket.ref();
      this.socket.write(request);
    });
  }

  settle(how, value) {
    const waiting = this.waiting;
    this.waiting = null;
    if (waiting) waiting[how](value);
  }

  receive(part) {
    this.data = this.data.length === 0 ? part : Buffer.concat([this.data, part]);
    const answer = takeAnswer(this.data);
    if (answer === null) return;
    this.data = this.data.subarray(answer.length);
    this.socket.unref();
    this.settle('resolve', answer);
  }
}

/** Returns the answer at the start of the data, or null when it is not whole yet. */
function takeAnswer(data) {
  const end = data.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const lines = data.toString('utf8', 0, end).split('\r\n');
  const headers = {};
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const status = Number(lines[0].split(' ')[1]);
  const chunked = (headers['transfer-encoding'] ?? '').toLowerCase() === 'chunked';
  const body = chunked ? takeChunks(data, end + 4) : takeLength(data, end + 4, headers);
  return body && { status, headers, ...body };
}

function takeLength(data, start, headers) {
  const length = start + Number(headers['content-length'] ?? 0);
  return data.length < length ? null : { body: data.toString('utf8', start, length), length };
}

function takeChunks(data, start) {
  const chunks = [];
  for (let at = start; ; ) {
    const end = data.indexOf('\r\n', at);
    if (end < 0) return null;
    const size = parseInt(data.toString('latin1', at, end), 16);
    at = end + 2;
    if (size === 0) {
      const close = data.indexOf('\r\n', at);
      return close < 0 ? null : { body: Buffer.concat(chunks).toString('utf8'), length: close + 2 };
    }
    if (data.length < at + size + 2) return null;
    chunks.push(data.subarray(at, at + size));
    at += size + 2;
  }
}

// --- errors ------------------------------------------------------------------------------------

/** Makes an error whose type the platform names. */
function fault(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

/** Returns an error as the Runtime API writes it. Anything may have been thrown. */
function describe(error) {
  if (util.types.isNativeError(error) || error instanceof Error) {
    return {
      errorType: String(error.name),
      errorMessage: String(error.message),
      trace: String(error.stack ?? '').split('\n'),
    };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

/** Returns an error as it appears in the log: with the properties that it was given. */
function describeForLog(error) {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error) };
  const { errorType, errorMessage, trace } = describe(error);
  return { errorType, errorMessage, ...error, stack: trace };
}

function stringify(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return JSON.stringify(describe(new Error('Unable to stringify error')));
  }
}

async function postError(path, error, title) {
  writeLog('ERROR', `${title} \t${stringify(describeForLog(error))}`);
  const description = describe(error);
  const type = description.errorType.replace(/[^\x20-\x7e]/g, ' ');
  await hub.post(path, stringify(description), `Lambda-Runtime-Function-Error-Type: ${type}\r\n`);
}

// --- logs --------------------------------------------------------------------------------------

let requestId;

/** Writes one line; carriage returns keep the lines of one message together. */
function writeLog(level, message) {
  const text = message.replace(/\n/g, '\r');
  process.stdout.write(`${new Date().toISOString()}\t${requestId}\t${level}\t${text}\n`);
}

function setUpConsole() {
  const levels = {
    log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR', trace: 'TRACE',
    fatal: 'FATAL',
  };
  for (const [name, level] of Object.entries(levels)) {
    console[name] = (...values) => writeLog(level, util.format(...values));
  }
}

// --- the handler -------------------------------------------------------------------------------

async function findHandler(name, root) {
  if (name.includes('..')) {
    throw fault('Runtime.MalformedHandlerName',
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const folder = path.dirname(name);
  const match = /^([^.]*)\.(.+)$/.exec(path.basename(name));
  if (match === null) throw fault('Runtime.MalformedHandlerName', 'Bad handler');
  const exported = await loadModule(path.join(folder, match[1]), root);
  const steps = match[2].split('.');
  let found = exported;
  let owner;
  for (const step of steps) [owner, found] = [found, found?.[step]];
  if (found === undefined || found === null) {
    throw fault('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw fault('Runtime.HandlerNotFound', `${name} is not a function`);
  }
  return (...values) => found.apply(owner, values);
}

async function loadModule(module, root) {
  const start = path.resolve(root, module);
  let file = ['', '.js', '.mjs', '.cjs'].map((end) => start + end).find(isFile);
  try {
    file ??= require.resolve(fs.existsSync(start) ? start : module, { paths: [root] });
    if (isEsModule(file)) return await import(require('url').pathToFileURL(file).href);
    return require(file);
  } catch (error) {
    if (error instanceof SyntaxError) throw renamed('Runtime.UserCodeSyntaxError', error);
    if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
      throw renamed('Runtime.ImportModuleError', error);
    }
    throw error;
  }
}

function renamed(name, error) {
  const named = fault(name, String(error));
  named.stack = `${name}: ${error.stack}`;
  return named;
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** A `.js` file is what the nearest package.json says. */
function isEsModule(file) {
  if (!file.endsWith('.js')) return file.endsWith('.mjs');
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const description = path.join(folder, 'package.json');
    if (isFile(description)) {
      return JSON.parse(fs.readFileSync(description, 'utf8')).type === 'module';
    }
    if (folder === path.dirname(folder)) return false;
  }
}

// --- one call ----------------------------------------------------------------------------------

/** What to do when nothing is left to do; the platform's answer to a handler that never answered. */
let whenIdle = null;

/** Calls the handler; resolves with the result, rejects with what was thrown or passed as error. */
function call(handler, event, headers) {
  return new Promise((resolve, reject) => {
    let waits = true;
    let finished = false;
    const finish = (error, result) => {
      if (finished) return;
      finished = true;
      whenIdle = null;
      if (error === undefined || error === null) resolve(result);
      else reject(error);
    };
    const callback = (error, result) => {
      if (finished) return;
      if (waits) whenIdle = () => finish(error, result);
      else finish(error, result);
    };
    const context = makeContext(headers, finish);
    Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
      enumerable: true,
      get: () => waits,
      set: (value) => { waits = Boolean(value); },
    });
    whenIdle = () => finish(null, null);
    const result = handler(event, context, callback);
    if (typeof result?.then === 'function') result.then((value) => finish(null, value), (error) =>
      finish(error ?? new Error(String(error))));
  });
}

function makeContext(headers, finish) {
  const deadline = Number(headers['lambda-runtime-deadline-ms'] ?? 0);
  const environment = process.env;
  return {
    succeed: (result) => finish(null, result),
    fail: (error) => finish(error ?? 'handled'),
    done: finish,
    functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: jsonHeader(headers, 'lambda-runtime-client-context'),
    identity: jsonHeader(headers, 'lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

function jsonHeader(headers, name) {
  const text = headers[name];
  return text ? JSON.parse(text) : undefined;
}

function serialize(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

async function handleOne(handler) {
  const { headers, body } = await hub.next();
  requestId = headers['lambda-runtime-aws-request-id'];
  const trace = headers['lambda-runtime-trace-id'];
  if (trace === undefined) delete process.env._X_AMZN_TRACE_ID;
  else process.env._X_AMZN_TRACE_ID = trace;
  const address = `invocation/${requestId}`;
  let result;
  try {
    result = serialize(await call(handler, JSON.parse(body), headers));
  } catch (error) {
    return postError(`${address}/error`, error, 'Invoke Error');
  }
  return hub.post(`${address}/response`, result);
}

// --- the process -------------------------------------------------------------------------------

const hub = new Hub(process.env.AWS_LAMBDA_RUNTIME_API);

/** Tells the hub of an error that no handler caught, and ends. */
async function die(error, title, code) {
  const address = requestId === undefined ? 'init/error' : `invocation/${requestId}/error`;
  try {
    await postError(address, error, title);
  } finally {
    process.exit(code);
  }
}

process.on('beforeExit', () => {
  const action = whenIdle;
  whenIdle = null;
  if (action) setImmediate(action);
});
process.on('uncaughtException', (error) => die(error, 'Uncaught Exception', EXIT_AFTER_EXCEPTION));
process.on('unhandledRejection', (reason) => {
  const error = fault('Runtime.UnhandledPromiseRejection', String(reason));
  error.stack = `Runtime.UnhandledPromiseRejection: ${reason?.stack ?? reason}`;
  die(error, 'Unhandled Promise Rejection', EXIT_AFTER_REJECTION);
});

async function main() {
  setUpConsole();
  let handler;
  try {
    handler = await findHandler(process.env._HANDLER ?? '', process.env.LAMBDA_TASK_ROOT ?? process.cwd());
  } catch (error) {
    return die(error, 'Uncaught Exception', 1);
  }
  for (;;) await handleOne(handler);
}

main().catch((error) => {
  process.stderr.write(`the connection to the hub failed: ${error?.stack ?? error}\n`);
  process.exit(1);
});

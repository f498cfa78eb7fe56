// The official Node client against a running server: the same tests for every major version of it.
// `test_official_clients.py` runs this file with Node's own test runner.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const require = createRequire(process.env.NODE_CLIENT + '/');
const OpenAI = require('openai');
const { toFile } = OpenAI;

const KEY = process.env.NIGHTLANE_KEY;
const BASE = process.env.NIGHTLANE_URL;
const FEATURES = new Set(process.env.NIGHTLANE_PATHS.split(' '));
const ENDED = new Set(['completed', 'failed', 'expired', 'cancelled']);
const NEW_BATCH = { endpoint: '/v1/chat/completions', completion_window: '24h' };
const client = new OpenAI({ baseURL: BASE, apiKey: KEY });
const flaky = new OpenAI({ baseURL: process.env.NIGHTLANE_FLAKY_URL, apiKey: KEY });

const line = (number, extra = {}) =>
  JSON.stringify({
    custom_id: `line-${number}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'mock-small', messages: [{ role: 'user', content: `Zeile ${number}: é中🙂\u2028` }], ...extra },
  }) + '\n';
const IDS = Array.from({ length: 20 }, (_, number) => `line-${number}`);
const LINES = Buffer.from(IDS.map((_, number) => line(number)).join(''));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'node-client-'));
const file = path.join(folder, 'größer.jsonl');
fs.writeFileSync(file, LINES);
process.on('exit', () => fs.rmSync(folder, { recursive: true }));

const idsOf = (text) => text.trimEnd().split('\n').map((each) => JSON.parse(each).custom_id);
const wait = async (batch) => {
  const deadline = Date.now() + 60_000;
  while (!ENDED.has(batch.status)) {
    assert(Date.now() < deadline, JSON.stringify(batch));
    await sleep(50);
    batch = await client.batches.retrieve(batch.id);
  }
  return batch;
};

let completed;
before(async () => {
  const input = await client.files.create({ file: fs.createReadStream(file), purpose: 'batch' });
  const created = await client.batches.create({ input_file_id: input.id, metadata: { job: 'nightly' }, ...NEW_BATCH });
  assert.equal(created.status, 'validating');
  completed = await wait(created);
});

const FORMS = {
  'a stream': () => fs.createReadStream(file),
  'toFile of a buffer': () => toFile(LINES, 'in.jsonl', { type: 'application/jsonl' }),
  'toFile of a stream': () => toFile(fs.createReadStream(file), 'in.jsonl'),
  'toFile of a Uint8Array': () => toFile(new Uint8Array(LINES), 'in.jsonl'),
  'toFile of an async iterator': () =>
    toFile((async function* () { yield LINES.subarray(0, 100); yield LINES.subarray(100); })(), 'in.jsonl'),
  'a File': () => new File([LINES], 'in.jsonl'),
  'a response': () =>
    fetch(`${BASE}/files/${completed.input_file_id}/content`, { headers: { Authorization: `Bearer ${KEY}` } }),
};
for (const [name, make] of Object.entries(FORMS)) {
  test(`a file is uploaded from ${name}`, async () => {
    const made = await client.files.create({
      file: await make(),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3600 },
    });
    assert.deepEqual([made.object, made.bytes, made.expires_at - made.created_at], ['file', LINES.length, 3600]);
    const content = await client.files.content(made.id);
    assert(Buffer.from(await content.arrayBuffer()).equals(LINES));
  });
}

test('results are read as text, as a blob and as a stream', async () => {
  assert.equal(completed.status, 'completed');
  assert.deepEqual(completed.request_counts, { total: 20, completed: 20, failed: 0 });
  assert.deepEqual([completed.error_file_id, completed.errors], [null, null]);
  const text = await (await client.files.content(completed.output_file_id)).text();
  assert.deepEqual(idsOf(text), IDS);
  assert.equal(await (await (await client.files.content(completed.output_file_id)).blob()).text(), text);
  const chunks = [];
  for await (const chunk of (await client.files.content(completed.output_file_id)).body) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), text);
});

test('raw responses have the request id', async () => {
  const { data, response, request_id } = await client.batches.retrieve(completed.id).withResponse();
  assert.equal(data.id, completed.id);
  assert.match(request_id, /^req_/);
  assert.equal(response.headers.get('x-request-id'), request_id);
  const raw = await client.batches.retrieve(completed.id).asResponse();
  assert.match(raw.headers.get('content-type'), /^application\/json/);
});

test('for await walks through all pages', async () => {
  const made = [];
  for (let count = 0; count < 5; count++) {
    made.push((await client.files.create({ file: await toFile(LINES, 'x'), purpose: 'user_data' })).id);
  }
  const listed = [];
  for await (const each of client.files.list({ purpose: 'user_data', limit: 2 })) listed.push(each.id);
  assert.deepEqual(listed.slice(0, 5), made.toReversed());
  let pages = 0;
  for await (const page of (await client.files.list({ purpose: 'user_data', limit: 2 })).iterPages()) {
    pages += 1;
    assert(page.data.length <= 2);
  }
  assert(pages >= 3);
  for (const id of made) assert.equal((await client.files.delete(id)).deleted, true);
  for await (const batch of client.batches.list({ limit: 1 })) {
    if (batch.id === completed.id) return;
  }
  assert.fail('the batch is not listed');
});

test('errors have the right class and every field', async () => {
  await assert.rejects(client.files.retrieve('file-missing'), (error) => {
    assert(error instanceof OpenAI.NotFoundError);
    assert.deepEqual([error.status, error.type, error.param], [404, 'invalid_request_error', 'id']);
    assert.match(error.message, /No such File object/);
    assert.match(error.requestID, /^req_/);
    return true;
  });
  await assert.rejects(
    client.batches.create({ input_file_id: 'file-x', endpoint: '/v1/nonsense', completion_window: '24h' }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === 'invalid_value' && error.param === 'endpoint',
  );
  await assert.rejects(client.batches.cancel(completed.id), OpenAI.ConflictError);
  const nobody = new OpenAI({ baseURL: BASE, apiKey: 'sk-nobody-0123456789abcdef' });
  await assert.rejects(
    nobody.batches.list(),
    (error) => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key',
  );
  const other = new OpenAI({ baseURL: BASE, apiKey: process.env.NIGHTLANE_OTHER_KEY });
  await assert.rejects(other.batches.retrieve(completed.id), OpenAI.NotFoundError);
});

test('every call is retried while the server is unavailable', async () => {
  const made = await flaky.files.create({ file: await toFile(LINES, 'in.jsonl'), purpose: 'batch' });
  assert.equal(made.bytes, LINES.length);
  const batch = await flaky.batches.create({ input_file_id: made.id, ...NEW_BATCH });
  assert.equal(batch.status, 'validating');
  assert.equal((await flaky.batches.retrieve(completed.id)).status, 'completed');
  await assert.rejects(flaky.batches.list({}, { maxRetries: 0 }), OpenAI.InternalServerError);
});

test('a running batch is cancelled', async () => {
  const slow = await toFile(Buffer.from(line(0, { mock: { latency: 5 } })), 'slow.jsonl');
  const input = await client.files.create({ file: slow, purpose: 'batch' });
  const batch = await client.batches.create({ input_file_id: input.id, ...NEW_BATCH });
  const cancelling = await client.batches.cancel(batch.id);
  assert(['cancelling', 'cancelled'].includes(cancelling.status));
  assert(cancelling.cancelling_at > 0);
});

test('models and files are retrieved', async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert(names.includes('mock-small'));
  assert.equal((await client.models.retrieve('mock-large')).id, 'mock-large');
  await assert.rejects(client.models.retrieve('a/b'), OpenAI.NotFoundError);
  assert.equal((await client.files.waitForProcessing(completed.input_file_id)).status, 'processed');
});

test('a file is uploaded in parts', { skip: !FEATURES.has('/uploads') }, async () => {
  const whole = Buffer.concat([LINES, LINES]);
  const upload = await client.uploads.create({
    bytes: whole.length, filename: 'in.jsonl', mime_type: 'application/jsonl', purpose: 'batch',
  });
  const parts = [];
  for (const half of [LINES, LINES]) {
    parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(half, 'part') })).id);
  }
  const done = await client.uploads.complete(upload.id, { part_ids: parts });
  assert.deepEqual([done.status, done.file.bytes], ['completed', whole.length]);
  const content = await client.files.content(done.file.id);
  assert(Buffer.from(await content.arrayBuffer()).equals(whole));
  const cancelled = await client.uploads.create({
    bytes: 1, filename: 'in.jsonl', mime_type: 'application/jsonl', purpose: 'batch',
  });
  assert.equal((await client.uploads.cancel(cancelled.id)).status, 'cancelled');
});

test('a received event is unwrapped', { skip: !FEATURES.has('/webhook_endpoints') }, async () => {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const deliveries = [];
  server.on('request', async (request, response) => {
    const chunks = await request.toArray();
    response.writeHead(204).end();
    deliveries.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
  });
  // Version 6 has no methods for endpoints.
  const endpoint = await client.post('/webhook_endpoints', {
    body: {
      name: 'ours',
      url: `http://127.0.0.1:${server.address().port}/`,
      event_types: ['batch.completed'],
    },
  });
  const input = await client.files.create({ file: await toFile(LINES, 'in.jsonl'), purpose: 'batch' });
  const batch = await client.batches.create({ input_file_id: input.id, ...NEW_BATCH });
  await wait(batch);
  const isOurs = ({ body }) => JSON.parse(body).data.id === batch.id;
  for (let count = 0; !deliveries.some(isOurs) && count < 600; count++) await sleep(100);
  const { headers, body } = deliveries.find(isOurs);
  await client.delete(`/webhook_endpoints/${endpoint.id}`);
  server.close();
  const event = await client.webhooks.unwrap(body, headers, endpoint.signing_secret);
  assert.deepEqual([event.type, event.data.id], ['batch.completed', batch.id]);
  await assert.rejects(
    client.webhooks.unwrap(body + ' ', headers, endpoint.signing_secret),
    OpenAI.InvalidWebhookSignatureError,
  );
});

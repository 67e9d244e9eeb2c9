// Walks the steps of operations.py with the AWS SDK for JavaScript, and prints the operations that were answered.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import * as control from "@aws-sdk/client-personalize";
import * as events from "@aws-sdk/client-personalize-events";
import * as runtime from "@aws-sdk/client-personalize-runtime";

const [file, word, seconds] = process.argv.slice(2);
const services = {
  "personalize": [control, new control.PersonalizeClient()],
  "personalize-events": [events, new events.PersonalizeEventsClient()],
  "personalize-runtime": [runtime, new runtime.PersonalizeRuntimeClient()],
};
const saved = { run: word }, answered = new Set();

// filled puts saved values into a request, and dates where the SDK wants them instead of seconds.
function filled(value, name) {
  if (name === "sentAt" || name === "timestamp") return new Date(1000 * value);
  if (Array.isArray(value)) return value.map((member) => filled(member));
  if (value instanceof Object) return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, filled(member, key)]));
  if (typeof value === "string") return value.replace(/\$\{([\w-]+)}/g, (_, key) => saved[key]);
  return value;
}

const at = (answer, path) => path.split(".").reduce((found, name) => found?.[name], answer);

async function call(service, operation, request) {
  const [module, client] = services[service];
  try {
    const answer = await client.send(new module[`${operation}Command`](request));
    answered.add(operation);
    return answer;
  } catch (error) {
    return { error: error.name, message: error.message };
  }
}

for (const [service, operation, template, { until, save = {}, equal = {}, full }] of JSON.parse(readFileSync(file, "utf8"))) {
  const request = filled(template), deadline = Date.now() + 1000 * seconds;
  let answer, where;
  for (;;) {
    answer = await call(service, operation, request);
    where = `${operation} ${JSON.stringify(request).slice(0, 300)} -> ${JSON.stringify(answer).slice(0, 600)}`;
    if (!until || at(answer, until[0]) === until[1]) break;
    assert.ok(!answer.error, where);
    assert.ok(!String(at(answer, until[0])).endsWith("FAILED"), where);
    assert.ok(Date.now() < deadline, where);
    await pause(50);
  }
  assert.ok(until || !answer.error, where);
  for (const [name, path] of Object.entries(save)) {
    saved[name] = at(answer, path);
    assert.ok(saved[name], where);
  }
  for (const [path, value] of Object.entries(equal)) assert.deepEqual(at(answer, path), filled(value), where);
  if (full) assert.ok(at(answer, full)?.length > 0, where);
}
console.log([...answered].sort().join("\n"));

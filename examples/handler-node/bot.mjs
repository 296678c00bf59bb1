#!/usr/bin/env node
// A moderation bot behind Berth, with nothing but Node itself.
//
//   /warn USER reason     writes a warning down
//   /warnings USER        shows a user's warnings
//   /mute USER minutes    mutes a user; a timer lifts it
//   /stats                counts messages, warnings and mutes
//
// Berth posts one event at a time for each guild or channel. The answer says what to reply and what to keep; Berth
// commits both together. The bot itself keeps nothing, so it may be stopped and started whenever you like.

import { createServer } from "node:http";

const HELP = "I know /warn USER reason, /warnings USER, /mute USER minutes and /stats.";
const LONGEST_MUTE = 60 * 24 * 28;
// Names become part of keys, and a key has at most 512 bytes.
const LONGEST_NAME = 100;
// A shorter minute lets you watch a mute end.
const MINUTE_MS = Number(process.env.MINUTE_MS ?? 60_000);
// Berth sends these along with every event. Everything else is read when it is needed.
const PRELOAD = ["count/messages", "count/warnings", "count/mutes", "count/mutes-lifted"];

// One event, what is stored for its target, and the answer that is being put together.
class Call {
  constructor(request) {
    this.event = request.event;
    this.now = request.event.received_at;
    this.state = new Map(Object.entries(request.state.kv));
    this.local = request.local;
    this.set = new Map();
    this.timers = [];
  }

  // Returns a stored value: one this call has set, one that was sent along, or one that Berth is asked for.
  async get(key, otherwise) {
    if (this.set.has(key)) return this.set.get(key);
    if (this.state.has(key)) return this.state.get(key);
    if (PRELOAD.includes(key)) return otherwise;
    const found = await this.read(`kv/${encodeURIComponent(key)}`);
    return found === null ? otherwise : found.value;
  }

  // Returns the stored values whose keys begin with `prefix`, as pairs with what follows it.
  async scan(prefix) {
    const { entries } = await this.read(`kv?limit=1000&prefix=${encodeURIComponent(prefix)}`);
    return entries.map(({ key, value }) => [key.slice(prefix.length), value]);
  }

  // Asks Berth; null when there is no such thing. The token is good for this target and as long as this call runs.
  async read(path) {
    const target = encodeURIComponent(this.event.target);
    const answer = await fetch(`${this.local.url}/v1/local/targets/${target}/${path}`, {
      headers: { authorization: `Bearer ${this.local.token}` },
      signal: AbortSignal.timeout(2_000),
    });
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`reading ${path} was answered ${answer.status}`);
    return answer.json();
  }

  // Adds one to a counter and returns it.
  async count(what) {
    const count = (await this.get(`count/${what}`, 0)) + 1;
    this.set.set(`count/${what}`, count);
    return count;
  }

  // Adds a line to what is known of a user; the last twenty are kept.
  async note(user, text) {
    const notes = await this.get(`notes/${user}`, []);
    this.set.set(`notes/${user}`, [...notes, { at: this.now, text }].slice(-20));
  }

  // Returns what Berth is told. What was set to null is deleted.
  answer(reply) {
    const all = [...this.set];
    return {
      reply,
      kv: {
        set: Object.fromEntries(all.filter(([, value]) => value !== null)),
        delete: all.filter(([, value]) => value === null).map(([key]) => key),
      },
      timers: this.timers,
    };
  }
}

// Does what an event asks for and returns the reply, or null when there is nothing to say.
async function handle(call) {
  const { timer, command, message } = call.event;
  if (timer) return unmute(call, timer.payload);
  if (command) {
    const known = COMMANDS.get(command.name);
    if (!known) return secretly(`I don't know /${command.name}. ${HELP}`);
    return known(call, command.user, ...firstWord(command.args));
  }
  if (message) {
    await call.count("messages");
    await call.count(`messages/${[...message.user].slice(0, LONGEST_NAME).join("")}`);
  }
  return null;
}

async function warn(call, by, user, reason) {
  if (!user || !reason) return secretly("Say whom and why: /warn USER reason");
  await call.count("warnings");
  const soFar = await call.count(`warned/${user}`);
  await call.note(user, `warned by ${by}: ${reason}`);
  return openly(`${user} has been warned: ${reason} (${times(soFar, "warning")})`);
}

async function warnings(call, _by, user) {
  if (!user) return secretly("Say whose: /warnings USER");
  const lines = [`${user} has ${times(await call.get(`count/warned/${user}`, 0), "warning")}.`];
  for (const note of await call.get(`notes/${user}`, [])) lines.push(`- ${note.text}`);
  const until = await call.get(`mute/${user}`);
  if (until) {
    const minutes = Math.ceil(Math.max(0, until - call.now) / MINUTE_MS);
    lines.push(`Muted for another ${times(minutes, "minute")}.`);
  }
  return secretly(lines.join("\n"));
}

async function mute(call, by, user, asked) {
  const minutes = /^\d+$/.test(asked) ? Number(asked) : 0;
  if (!user || minutes < 1 || minutes > LONGEST_MUTE) {
    return secretly(`Say whom and how long: /mute USER minutes (1 to ${LONGEST_MUTE})`);
  }
  const until = call.now + minutes * MINUTE_MS;
  call.set.set(`mute/${user}`, until);
  // A second mute of the same user replaces the first one's timer.
  call.timers.push({ id: `unmute/${user}`, at: until, payload: user });
  await call.count("mutes");
  await call.note(user, `muted by ${by} for ${times(minutes, "minute")}`);
  return openly(`${user} is muted for ${times(minutes, "minute")}.`);
}

async function unmute(call, user) {
  call.set.set(`mute/${user}`, null);
  await call.count("mutes-lifted");
  await call.note(user, "the mute was lifted");
  return null;
}

async function stats(call) {
  const counts = [];
  for (const key of PRELOAD) counts.push(await call.get(key, 0));
  const [messages, warned, mutes, lifted] = counts;
  const people = await call.scan("count/messages/");
  people.sort(([a, ofA], [b, ofB]) => ofB - ofA || (a < b ? -1 : 1));
  const busiest = people.slice(0, 3).map(([user, count]) => `${user} ${count}`).join(", ");
  const sums = `${times(messages, "message")}, ${times(warned, "warning")}, ${times(mutes, "mute")}`;
  return openly(`${sums} (${lifted} lifted).${busiest && ` Busiest: ${busiest}.`}`);
}

const COMMANDS = new Map(Object.entries({ warn, warnings, mute, stats }));

const openly = (text) => ({ text });
const secretly = (text) => ({ text, private: true });
const times = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

// Splits the first word off. A mention (`<@123>`, `<@U1|bob>`, `@bob`) is reduced to what it mentions. What is too long
// for a name is none.
function firstWord(args) {
  const [, first, rest] = /^(\S*)\s*([^]*)$/.exec(args.trim());
  const word = first.replace(/^<@/, "").replace(/^[!&@]+/, "").replace(/>+$/, "").split("|")[0];
  return [word.length <= LONGEST_NAME ? word : "", rest];
}

async function serve(request) {
  const route = `${request.method} ${request.url}`;
  if (route === "GET /v1/describe") {
    return [200, { api: ["1"], name: "moderation-node", version: "1.0.0", preload: PRELOAD }];
  }
  const parts = [];
  for await (const part of request) parts.push(part);
  if (route !== "POST /v1/events") return [404, { error: "there is /v1/describe and /v1/events" }];
  let call;
  try {
    call = new Call(JSON.parse(Buffer.concat(parts)));
  } catch (why) {
    return [400, { error: `this is no event: ${why.message}` }];
  }
  return [200, call.answer(await handle(call))];
}

const server = createServer(async (request, response) => {
  // What went wrong inside is a 500, and Berth tries again.
  const [status, value] = await serve(request).catch((why) => [500, { error: String(why) }]);
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
});

// Longer than Berth keeps an idle connection, so that it is never closed under a new event.
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
// A call that is cut off here has changed nothing: Berth makes it again.
process.on("SIGTERM", () => process.exit(0));

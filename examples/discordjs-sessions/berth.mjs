// The hooks of @discordjs/ws, served by Berth: sessions are kept by config-service, and shards identify when it permits. A
// process that starts anew resumes where the one before ended, wherever it runs; no crash loop uses the budget up.

// What is not an answer of Berth's waits so long before it is asked again, in milliseconds.
const PAUSE = 5_000;
// What only an operator can mend, a wrong token for one, is tried again now and then.
const LONG_PAUSE = 60_000;

/**
 * Returns the hooks, to be spread into the options of a `WebSocketManager`, and `flush`.
 *
 * - `url`: config-service, for example `http://127.0.0.1:3001`
 * - `token`: a token of the admin API with role operator (`berth token create`)
 * - `every`: how often sequences are sent to it, in milliseconds. One that is behind costs events that come twice, never one
 *   that is missed.
 * - `warn`: where it is said that something does not work
 */
export function berth({ url, token, every = 1_000, warn = console.warn }) {
    // Sessions as the library has them now; null for one that has ended.
    const sessions = new Map();
    // Shards of which Berth does not know that yet.
    const unsent = new Set();
    // The last session of a shard that was refused or given up: it is why the shard identifies.
    const refused = new Map();
    // How many shards there are, once that is known.
    let shards;
    let timer;
    let sending = Promise.resolve();
    let said;

    async function ask(method, path, body, signal) {
        const headers = { authorization: `Bearer ${token}` };
        if (body !== undefined) headers["content-type"] = "application/json";
        const sent = body === undefined ? undefined : JSON.stringify(body);
        const answer = await fetch(new URL(`/v1/discord/${path}`, url), { method, headers, body: sent, signal });
        const text = await answer.text();
        let json = {};
        try {
            json = JSON.parse(text);
        } catch {
            // Something between here and Berth has answered.
        }
        return { status: answer.status, json, after: Number(answer.headers.get("retry-after")) * 1_000 };
    }

    // Says what does not work, once as long as it stays the same.
    function trouble(what) {
        if (what && what !== said) warn(`berth: ${what}`);
        said = what;
    }

    // Asks until there is an answer that is one; `signal` ends that.
    async function insist(method, path, body, accepted, signal) {
        for (;;) {
            let pause = PAUSE;
            try {
                const answer = await ask(method, path, body?.(), signal);
                if (accepted.includes(answer.status)) {
                    trouble(undefined);
                    return answer;
                }
                // That others come first is no trouble.
                const turn = answer.json.code === "identify-later";
                if (!turn) trouble(answer.json.detail ?? `${url} answers ${answer.status}`);
                const mendable = answer.status === 429 || answer.status >= 500;
                pause = answer.after || (mendable ? PAUSE : LONG_PAUSE);
            } catch (error) {
                signal?.throwIfAborted();
                trouble(`${url} is not reached: ${error.cause?.message ?? error.message}`);
            }
            await sleep(pause, signal);
        }
    }

    // Sends what has changed. What cannot be sent now is sent with what changes next.
    async function send() {
        clearTimeout(timer);
        timer = undefined;
        const changed = [...unsent];
        unsent.clear();
        const kept = changed.map((id) => sessions.get(id)).filter(Boolean);
        try {
            for (const id of changed.filter((id) => !sessions.get(id))) {
                await expect(ask("DELETE", `sessions/${id}${shards ? `?shards=${shards}` : ""}`));
            }
            // Of each shard there is one, and Berth takes a thousand at once.
            for (let at = 0; at < kept.length; at += 1_000) {
                await expect(ask("POST", "sessions", { sessions: kept.slice(at, at + 1_000) }));
            }
            if (changed.length > 0) trouble(undefined);
        } catch (error) {
            changed.forEach((id) => unsent.add(id));
            trouble(`sessions are not kept: ${error.cause?.message ?? error.message}`);
            timer ??= setTimeout(flush, Math.max(every, PAUSE)).unref();
        }
    }

    // Sends what has changed, one after the other: the last word is the last to arrive.
    function flush() {
        sending = sending.then(send);
        return sending;
    }

    return {
        flush,

        async retrieveSessionInfo(shardId) {
            if (!sessions.has(shardId)) {
                const found = await insist("GET", `sessions/${shardId}`, undefined, [200, 404]);
                // It may have become known meanwhile.
                if (!sessions.has(shardId)) sessions.set(shardId, found.status === 200 ? found.json : null);
            }
            return sessions.get(shardId);
        },

        // The library calls this for every event: only a session that begins or ends is sent at once.
        updateSessionInfo(shardId, session) {
            const before = sessions.get(shardId);
            if (!session && before) refused.set(shardId, before.sessionId);
            sessions.set(shardId, session);
            unsent.add(shardId);
            if (session?.sessionId !== before?.sessionId) return void flush();
            timer ??= setTimeout(flush, every).unref();
        },

        async buildIdentifyThrottler(manager) {
            shards = await manager.getShardCount();
            return {
                // Never fails but for `signal`: the library would identify all the same.
                async waitForIdentify(shardId, signal) {
                    const wish = () => ({ shard: shardId, shards, refused_session: refused.get(shardId) });
                    await insist("POST", "permits", wish, [200], signal);
                    refused.delete(shardId);
                },
            };
        },
    };
}

async function expect(asked) {
    const { status, json } = await asked;
    if (status !== 200) throw new Error(json.detail ?? `it answers ${status}`);
}

function sleep(ms, signal) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(done, ms);
        signal?.addEventListener("abort", aborted, { once: true });
        function aborted() {
            clearTimeout(timer);
            reject(signal.reason);
        }
        function done() {
            signal?.removeEventListener("abort", aborted);
            resolve();
        }
    });
}

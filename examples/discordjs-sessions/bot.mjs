// A bot on @discordjs/ws that keeps its sessions with Berth: stopped or killed, it goes on where it was.

import { REST } from "@discordjs/rest";
import { WebSocketManager, WebSocketShardDestroyRecovery, WebSocketShardEvents } from "@discordjs/ws";
import { berth } from "./berth.mjs";

const { BERTH_CONFIG_URL, BERTH_TOKEN, DISCORD_TOKEN, DISCORD_API, SHARDS } = process.env;

const { flush, ...hooks } = berth({ url: BERTH_CONFIG_URL, token: BERTH_TOKEN });
const manager = new WebSocketManager({
    ...hooks,
    token: DISCORD_TOKEN,
    intents: 1 | 512 | 32_768, // guilds, their messages, and what these say
    // Without a number, as many as Discord recommends.
    shardCount: SHARDS ? Number(SHARDS) : null,
    rest: new REST(DISCORD_API ? { api: DISCORD_API } : {}).setToken(DISCORD_TOKEN),
});

manager.on(WebSocketShardEvents.Ready, (data, shard) => console.log(`shard ${shard} has a new session`));
manager.on(WebSocketShardEvents.Resumed, (shard) => console.log(`shard ${shard} goes on`));
manager.on(WebSocketShardEvents.Dispatch, (payload, shard) => {
    if (payload.t === "MESSAGE_CREATE") console.log(`shard ${shard}: ${payload.d.content}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, async () => {
        // Without `recover` the library says goodbye to Discord, and the sessions are over.
        await manager.destroy({ recover: WebSocketShardDestroyRecovery.Resume });
        await flush();
        process.exit(0);
    });
}

await manager.connect();

// A bot on discord.js, as anybody would write it. It logs in to the API it is given, answers `ping` and the command
// `/roll`, and says on standard output what it sees, one JSON object per line. It ends with its standard input.
//
//   node bot.mjs API TOKEN
//
// It asks for no compression: without a package of its own for streams, discord.js would inflate payloads side by side, and
// may then take a GUILD_CREATE before the READY that came first.

import { SimpleShardingStrategy } from "@discordjs/ws";
import { Client, Events, GatewayIntentBits } from "discord.js";

const [api, token] = process.argv.slice(2);
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.MessageContent],
  shards: "auto",
  // It waits as long as it takes: a busy machine is no reason to log in again.
  rest: { api, timeout: 600_000 },
  waitGuildTimeout: 600_000,
  ws: {
    buildStrategy: (manager) => {
      Object.assign(manager.options, { handshakeTimeout: null, helloTimeout: null, readyTimeout: null });
      manager.options.compression = null;
      return new SimpleShardingStrategy(manager);
    },
  },
});

client.on(Events.ClientReady, () => {
  const guilds = client.guilds.cache.map((guild) => ({ guild: guild.id, shard: guild.shardId, name: guild.name }));
  tell({ ready: guilds.sort((one, other) => one.shard - other.shard) });
});
client.on(Events.MessageCreate, async (message) => {
  if (message.author.id === client.user.id) return;
  tell({ message: message.content, shard: message.guild?.shardId });
  if (message.content === "ping") await message.reply("pong");
});
client.on(Events.InteractionCreate, async (interaction) => {
  if (!interaction.isChatInputCommand()) return;
  await interaction.deferReply();
  await interaction.editReply(`rolled for ${interaction.user.username}`);
});
client.on(Events.GuildCreate, (guild) => tell({ joined: guild.id }));
client.on(Events.GuildDelete, (guild) => tell({ left: guild.id }));
client.on(Events.GuildUnavailable, (guild) => tell({ out: guild.id }));
client.on(Events.GuildAvailable, (guild) => tell({ back: guild.id }));
client.on(Events.ShardResume, (shard, replayed) => tell({ resumed: shard, replayed }));
client.on(Events.ShardDisconnect, (event, shard) => tell({ disconnected: shard, code: event.code }));
client.on(Events.ShardError, (error, shard) => tell({ error: error.message, shard }));
client.on(Events.Error, (error) => tell({ error: error.message }));
client.on(Events.Debug, (text) => process.stderr.write(`${text.replaceAll(token, "…")}\n`));

process.stdin.resume().on("end", () => client.destroy().then(() => process.exit(0)));
client.login(token).catch((error) => tell({ refused: error.message }));

"use strict";

const [room, list, form, input, trouble] = ["room", "messages", "say", "text", "trouble"].map((id) => document.getElementById(id));
let shown = "";
let stale = true;

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error((await answer.text()).trim() || `it answers ${answer.status}`);
  return answer.json();
}

function line({ author, bot, text }) {
  const item = document.createElement("li");
  const who = document.createElement("strong");
  who.textContent = author;
  item.className = bot ? "bot" : "";
  item.append(who, text);
  return item;
}

async function look() {
  if (stale) {
    const before = room.selectedOptions[0]?.text;
    const rooms = await ask("/page/rooms");
    room.replaceChildren(...rooms.map(({ name, channel }) => new Option(name, channel, false, name === before)));
    stale = false;
  }
  const channel = room.value;
  const messages = await ask(`/page/messages?channel=${encodeURIComponent(channel)}`);
  const now = JSON.stringify([channel, messages]);
  if (now === shown || channel !== room.value) return;
  shown = now;
  list.replaceChildren(...messages.map(line));
  list.scrollTop = list.scrollHeight;
}

async function attempt(what) {
  try {
    await what();
    trouble.textContent = "";
  } catch (why) {
    stale = true;
    trouble.textContent = `That did not work: ${why.message}. Is berth up still running?`;
  }
}

async function follow() {
  await attempt(look);
  setTimeout(follow, 500);
}

room.addEventListener("change", () => attempt(look));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const body = JSON.stringify({ channel: room.value, text: input.value });
    await ask("/page/messages", { method: "POST", headers: { "content-type": "application/json" }, body });
    input.value = "";
    await look();
  });
});
follow();

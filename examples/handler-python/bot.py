#!/usr/bin/env python3
"""A moderation bot behind Berth, with nothing but Python's standard library.

    /warn USER reason     writes a warning down
    /warnings USER        shows a user's warnings
    /mute USER minutes    mutes a user; a timer lifts it
    /stats                counts messages, warnings and mutes

Berth posts one event at a time for each guild or channel. The answer says what to reply and what to keep; Berth commits
both together. The bot itself keeps nothing, so it may be stopped and started whenever you like.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

HELP = "I know /warn USER reason, /warnings USER, /mute USER minutes and /stats."
LONGEST_MUTE = 60 * 24 * 28
# Names become part of keys, and a key has at most 512 bytes.
LONGEST_NAME = 100
# A shorter minute lets you watch a mute end.
MINUTE_MS = int(os.environ.get("MINUTE_MS", "60000"))
# Berth sends these along with every event. Everything else is read when it is needed.
PRELOAD = ["count/messages", "count/warnings", "count/mutes", "count/mutes-lifted"]


class Call:
    """One event, what is stored for its target, and the answer that is being put together."""

    def __init__(self, request):
        self.event = request["event"]
        self.now = self.event["received_at"]
        self.state = request["state"]["kv"]
        self.local = request["local"]
        self.set, self.timers = {}, []

    def get(self, key, default=None):
        """Returns a stored value: one this call has set, one that was sent along, or one that Berth is asked for."""
        if key in self.set:
            return self.set[key]
        if key in self.state or key in PRELOAD:
            return self.state.get(key, default)
        try:
            return self.read("kv/" + quote(key, safe=""))["value"]
        except HTTPError as why:
            if why.code != 404:
                raise
            return default

    def scan(self, prefix):
        """Returns the stored values whose keys begin with `prefix`, by what follows it."""
        found = self.read("kv?limit=1000&prefix=" + quote(prefix, safe=""))["entries"]
        return {entry["key"].removeprefix(prefix): entry["value"] for entry in found}

    def read(self, path):
        """Asks Berth. The token is good for this target and as long as this call runs."""
        url = f"{self.local['url']}/v1/local/targets/{quote(self.event['target'], safe=':')}/{path}"
        request = Request(url, headers={"Authorization": "Bearer " + self.local["token"]})
        with urlopen(request, timeout=2) as answer:
            return json.load(answer)

    def count(self, what):
        """Adds one to a counter and returns it."""
        key = "count/" + what
        self.set[key] = self.get(key, 0) + 1
        return self.set[key]

    def note(self, user, text):
        """Adds a line to what is known of a user; the last twenty are kept."""
        notes = self.get("notes/" + user, [])
        self.set["notes/" + user] = (notes + [{"at": self.now, "text": text}])[-20:]

    def answer(self, reply):
        """Returns what Berth is told. A mute that is over is stored as null and deleted."""
        gone = [key for key, value in self.set.items() if value is None]
        kept = {key: value for key, value in self.set.items() if value is not None}
        return {"reply": reply, "kv": {"set": kept, "delete": gone}, "timers": self.timers}


def handle(call):
    """Does what an event asks for and returns the reply, or None when there is nothing to say."""
    event = call.event
    if event["timer"]:
        return unmute(call, event["timer"]["payload"])
    if event["command"]:
        command = COMMANDS.get(event["command"]["name"])
        if not command:
            return private(f"I don't know /{event['command']['name']}. {HELP}")
        return command(call, event["command"]["user"], *first_word(event["command"]["args"]))
    if event["message"]:
        call.count("messages")
        call.count("messages/" + event["message"]["user"][:LONGEST_NAME])
    return None


def warn(call, by, user, reason):
    if not user or not reason:
        return private("Say whom and why: /warn USER reason")
    call.count("warnings")
    so_far = call.count("warned/" + user)
    call.note(user, f"warned by {by}: {reason}")
    return public(f"{user} has been warned: {reason} ({times(so_far, 'warning')})")


def warnings(call, _by, user, _rest):
    if not user:
        return private("Say whose: /warnings USER")
    lines = [f"{user} has {times(call.get('count/warned/' + user, 0), 'warning')}."]
    lines += ["- " + note["text"] for note in call.get("notes/" + user, [])]
    until = call.get("mute/" + user)
    if until:
        minutes = -(-max(0, until - call.now) // MINUTE_MS)
        lines.append(f"Muted for another {times(minutes, 'minute')}.")
    return private("\n".join(lines))


def mute(call, by, user, minutes):
    if not user or not (minutes.isascii() and minutes.isdigit()) or not 1 <= int(minutes) <= LONGEST_MUTE:
        return private(f"Say whom and how long: /mute USER minutes (1 to {LONGEST_MUTE})")
    until = call.now + int(minutes) * MINUTE_MS
    call.set["mute/" + user] = until
    # A second mute of the same user replaces the first one's timer.
    call.timers.append({"id": "unmute/" + user, "at": until, "payload": user})
    call.count("mutes")
    call.note(user, f"muted by {by} for {times(int(minutes), 'minute')}")
    return public(f"{user} is muted for {times(int(minutes), 'minute')}.")


def unmute(call, user):
    call.set["mute/" + user] = None
    call.count("mutes-lifted")
    call.note(user, "the mute was lifted")


def stats(call, _by, _user, _rest):
    messages, warned, mutes, lifted = (call.get(key, 0) for key in PRELOAD)
    people = sorted(call.scan("count/messages/").items(), key=lambda person: (-person[1], person[0]))
    busiest = ", ".join(f"{user} {count}" for user, count in people[:3])
    return public(
        f"{times(messages, 'message')}, {times(warned, 'warning')}, {times(mutes, 'mute')} ({lifted} lifted)."
        + (f" Busiest: {busiest}." if busiest else "")
    )


COMMANDS = {"warn": warn, "warnings": warnings, "mute": mute, "stats": stats}


def public(text):
    return {"text": text}


def private(text):
    return {"text": text, "private": True}


def times(count, what):
    return f"{count} {what}" + ("" if count == 1 else "s")


def first_word(args):
    """Splits the first word off. A mention (`<@123>`, `<@U1|bob>`, `@bob`) is reduced to what it mentions.

    What is too long for a name is none."""
    word, _, rest = args.strip().partition(" ")
    word = word.removeprefix("<@").lstrip("!&@").rstrip(">").split("|")[0]
    return word if len(word) <= LONGEST_NAME else "", rest.strip()


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open between events
    wbufsize = -1  # sends an answer in one piece

    def do_GET(self):
        if self.path != "/v1/describe":
            return self.send(404, {"error": "there is /v1/describe and /v1/events"})
        self.send(200, {"api": ["1"], "name": "moderation-python", "version": "1.0.0", "preload": PRELOAD})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/events":
            return self.send(404, {"error": "there is /v1/describe and /v1/events"})
        try:
            call = Call(json.loads(body))
        except (ValueError, LookupError, TypeError) as why:
            return self.send(400, {"error": f"this is no event: {why!r}"})
        try:
            self.send(200, call.answer(handle(call)))
        except (OSError, LookupError, TypeError) as why:
            # What went wrong inside is a 500, and Berth tries again.
            self.send(500, {"error": repr(why)})

    def send(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing of single requests."""


if __name__ == "__main__":
    # A call that is cut off here has changed nothing: Berth makes it again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Server)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

"""A stand-in for an engine, for tests only: ranks meet over TCP, rank 0 answers chat completions.

Runs on lab hosts with nothing but Python. What it does wrong is told by REHEARSAL_* variables.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--world", type=int, required=True)
    parser.add_argument("--leader", required=True)
    parser.add_argument("--rendezvous", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()
    say(f"rank {args.rank} begins")
    if os.environ.get("REHEARSAL_ORPHAN") == str(args.rank):
        stubborn = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
    if os.environ.get("REHEARSAL_ABSENT") == str(args.rank):
        time.sleep(600)
    meet = lead if args.rank == 0 else join
    peers = meet(args)
    if not os.environ.get("REHEARSAL_DEAF"):  # as vLLM's rank 0, which notices nothing before its next request
        threading.Thread(target=watch, args=(peers,), daemon=True).start()
    say(f"all {args.world} ranks have met")
    if os.environ.get("REHEARSAL_DIES") == str(args.rank):
        say(f"ValueError: rank {args.rank} cannot load its shard")
        sys.exit(3)
    if "REHEARSAL_JOB" in os.environ:
        generate(args.rank, os.environ["REHEARSAL_JOB"])
    time.sleep(float(os.environ.get("REHEARSAL_LOAD", "0")))
    if args.rank == 0:
        serve(args.port)
    signal.pause()


def generate(rank: int, told: str) -> None:
    """Do as a generation that ends: rank 0 asks a person where it is told to, rank 1 ends as it is told to."""
    if rank:
        os._exit(0 if told == "ask" else int(told))
    for line in iter(sys.stdin.readline, "/exit\n") if told == "ask" else ():
        os.write(1, b"you said " + line.encode())
    say("the answer")
    time.sleep(0.5)
    os._exit(0)


def say(text: str) -> None:
    stream = sys.stderr if "REHEARSAL_JOB" in os.environ and text != "the answer" else sys.stdout
    stream.write(text + "\n")
    stream.flush()


def lead(args: argparse.Namespace) -> list[socket.socket]:
    listener = socket.create_server(("0.0.0.0", args.rendezvous))
    peers = [listener.accept()[0] for _ in range(args.world - 1)]
    for peer in peers:
        peer.sendall(b"x")
    return peers


def join(args: argparse.Namespace) -> list[socket.socket]:
    while True:
        try:
            peer = socket.create_connection((args.leader, args.rendezvous), 5)
            break
        except OSError:
            time.sleep(0.1)
    peer.settimeout(None)
    peer.recv(1)
    return [peer]


def watch(peers: list[socket.socket]) -> None:
    for peer in peers:
        peer.recv(1)
        say("RuntimeError: a peer has gone")
        os._exit(1)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as OpenAI's protocol has it, streamed where asked to, and SGLang's /generate."""

    def do_POST(self) -> None:
        key = os.environ.get("VLLM_API_KEY")
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = "hello from the rehearsal"
        if len(asked.get("messages", ())) > 1:
            text = f"you began with: {asked['messages'][0]['content']}"
        if key and self.headers.get("Authorization") != "Bearer " + key:
            self.answer(401, {"error": "no key"})
        elif os.environ.get("REHEARSAL_NEVER_READY"):
            self.answer(503, {"error": "still capturing"})
        elif self.path == "/generate":
            about = {"completion_tokens": 2, "finish_reason": {"type": "length", "length": 2}}
            self.answer(200, {"text": f"{asked['text']} there was", "meta_info": about})
        elif asked.get("stream"):
            self.stream(text, asked)
        else:
            message = {"role": "assistant", "content": text}
            self.answer(200, {"model": "tiny", "choices": [{"message": message}], "usage": {"completion_tokens": 4}})

    def stream(self, text: str, asked: dict[str, list[object]]) -> None:
        words = text.split(" ")
        question = str(asked["messages"][-1])
        if "count" in question:
            words = [str(number) for number in range(1000)]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            if "think" in question:
                self.tell(delta={"reasoning_content": "let me see"})
            for number, word in enumerate(words):
                self.tell(delta={"content": " " * bool(number) + word})
                time.sleep(float(os.environ.get("REHEARSAL_PACE", "0")))
            self.tell(delta={}, finish="stop")
            self.wfile.write(b'data: {"choices": [], "usage": {"completion_tokens": %d}}\n\n' % len(words))
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            say("the client has gone")

    def tell(self, delta: dict[str, str], finish: str | None = None) -> None:
        event = {"model": "tiny", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()

    def answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def serve(port: int) -> None:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()


if __name__ == "__main__":
    main()

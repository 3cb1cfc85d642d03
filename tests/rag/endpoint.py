"""A real Chat Completions endpoint on the loopback address that does as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One reply. ``wait``: seconds before it. ``cut``: the connection is closed in the middle."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: bool = False


@dataclass
class Endpoint:
    """What the server was asked, and what it will say: the replies in turn, the last one for ever."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> Reply:
        with self.lock:
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def chat(text: str | None, finish: str = "stop", **more: Any) -> Reply:
    """A whole reply."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return Reply(json.dumps({"choices": [choice], **more}).encode())


def sse(bits: Sequence[str], *, done: bool = True, finish: str | None = "stop", cut: bool = False) -> Reply:
    """A streamed reply."""
    lines = [": a comment", 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}', ""]
    for bit in bits:
        lines += ["data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": bit}}]}), ""]
    if finish:
        usage = {"prompt_tokens": 5, "completion_tokens": len(bits)}
        lines += [
            "data: " + json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}),
            "",
        ]
        lines += ["data: " + json.dumps({"choices": [], "usage": usage}), ""]
    if done:
        lines += ["data: [DONE]", ""]
    body = ("\n".join(lines) + "\n").encode()
    return Reply(body, headers={"content-type": "text/event-stream"}, cut=cut)


@contextmanager
def serving(*replies: Reply) -> Iterator[Endpoint]:
    """The endpoint, up while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            endpoint.bodies.append(json.loads(raw))
            endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
            endpoint.paths.append(self.path)
            reply = endpoint.next()
            time.sleep(reply.wait)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body) + (100 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(reply.body)
            if reply.cut:
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that hangs up is part of the tests

    server = Server(("127.0.0.1", 0), Handler)
    endpoint = Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1", list(replies))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

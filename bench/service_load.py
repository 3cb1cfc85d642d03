"""Load on ``twindex serve`` over loopback, beside a bare FastAPI route on the same machine in the same run.

    python bench/service_load.py INDEX QUERIES.jsonl                        # throughput, latency, overhead
    python bench/service_load.py INDEX QUERIES.jsonl --minutes 30           # then 30 minutes of search, write, delete

Prints one JSON object. Requests come from ``wrk`` (Debian package) where it is installed, since a Python client would
take the processor that is being measured; the mixed load comes from a few threads at a fixed rate.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from twindex.retrieval.engine import Searcher

ECHO = """
import sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from twindex.api.service.workers import Workers, listen
class Body(BaseModel):
    query: str
    k: int = 10
    mode: str = "sparse"
app = FastAPI()
@app.post("/v1/search")
async def echo(body: Body) -> dict[str, str]:
    return {"query": body.query}
def serve(listener):
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])
Workers(serve, listen("127.0.0.1", int(sys.argv[1])), int(sys.argv[2])).run()
"""
SCRIPT = """
local queries = {}
for line in io.lines("%s") do queries[#queries + 1] = line end
local place = 0
request = function()
  place = place %% #queries + 1
  return wrk.format("POST", "/v1/search", {["Content-Type"] = "application/json"}, queries[place])
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %%d %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), latency.max,
    summary.errors.status, summary.errors.connect +
    summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], url: str, path: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(url + path, timeout=2).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit(f"{command[:4]} did not start")
            time.sleep(0.05)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def wrk(url: str, bodies: Path, *, connections: int, seconds: int, folder: Path) -> dict[str, Any]:
    script = folder / "load.lua"
    script.write_text(SCRIPT % bodies)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    if found is None:
        raise SystemExit(out)
    requests, micros, p50, p99, most, status, broken = map(int, found.groups())
    return {
        "connections": connections,
        "requests_per_second": round(requests / micros * 1e6, 1),
        "p50_ms": p50 / 1000,
        "p99_ms": p99 / 1000,
        "max_ms": most / 1000,
        "errors": status + broken,
    }


def in_process(index: Path, queries: list[str], seconds: float) -> float:
    """Median milliseconds of a sparse search without HTTP."""
    with Searcher.open(index) as searcher:
        for query in queries[:50]:
            searcher.search(query, mode="sparse")
        times = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            searcher.search(queries[len(times) % len(queries)], mode="sparse").to_dict()
            times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def memory(process: int) -> int:
    """Bytes of its own that the process group holds: anonymous pages, those shared after a fork counted once.

    Pages of mapped files are left out: whether those of a library count as private depends on what other programs of
    the machine have it loaded, too, and those of an index are the system's cache.
    """
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == process:
                rollup = (folder / "smaps_rollup").read_text()
                total += 1024 * sum(int(n) for n in re.findall(r"^Pss_Anon:\s+(\d+) kB", rollup, re.MULTILINE))
        except (OSError, ProcessLookupError):
            continue
    return total


def mixed(url: str, name: str, queries: list[str], *, minutes: float, rate: float, group: int) -> dict[str, Any]:
    """Search, write and delete at a fixed rate: 90, 8 and 2 of 100 requests."""
    counts: dict[str, int] = {}
    times: list[float] = []
    samples: list[int] = []
    guard, end, begun = threading.Lock(), time.monotonic() + 60 * minutes, time.monotonic()
    ticket = iter(range(10**9))

    def work() -> None:
        rng = random.Random(threading.get_ident())
        with httpx.Client(base_url=url, timeout=30) as client:
            while True:
                with guard:
                    due = begun + next(ticket) / rate
                if due > end:
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                started = time.perf_counter()
                outcome = one(client, rng)
                took = time.perf_counter() - started
                with guard:
                    counts[outcome] = counts.get(outcome, 0) + 1
                    times.append(took)

    def one(client: httpx.Client, rng: random.Random) -> str:
        kind = rng.choices(("search", "write", "delete"), (90, 8, 2))[0]
        doc = f"load-{rng.randrange(2000)}"
        try:
            if kind == "search":
                body = {"query": rng.choice(queries), "mode": "sparse"}
                status = client.post(f"/v1/indexes/{name}/search", json=body).status_code
            elif kind == "write":
                body = {"documents": [{"id": doc, "text": " ".join(rng.choices(queries, k=5))}]}
                status = client.post(f"/v1/indexes/{name}/documents", json=body).status_code
            else:
                status = client.delete(f"/v1/indexes/{name}/documents/{doc}").status_code
        except httpx.TransportError as error:
            return f"{kind} {type(error).__name__}"
        return kind if status == 200 else f"{kind} {status}"

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(5.0, 60 * minutes / 20))
        samples.append(memory(group))
    ordered = sorted(times)
    warm = samples[len(samples) // 3 :] or samples  # the first third is for warming up
    third = max(1, len(warm) // 3)
    first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
    return {
        "minutes": minutes,
        "rate": rate,
        "requests": counts,
        "errors": sum(n for kind, n in counts.items() if " " in kind),
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p99_ms": round(1000 * ordered[int(len(ordered) * 0.99)], 2),
        "memory_mb": [round(sample / 1e6, 1) for sample in samples[:: max(1, len(samples) // 20)]],
        "memory_growth_after_warm_up": round(last / first - 1, 4),
        "memory_highest_over_median": round(max(warm) / statistics.median(warm) - 1, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path, help="JSON lines with the key text")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second of the mixed load")
    options = parser.parse_args()
    queries = [json.loads(line)["text"] for line in options.queries.read_text().splitlines()]
    out: dict[str, Any] = {"workers": options.workers, "cores": os.cpu_count(), "python": sys.version.split()[0]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = folder / "bench"
        shutil.copytree(options.index, index)
        bodies = folder / "bodies.jsonl"
        bodies.write_text("".join(json.dumps({"query": q, "k": 10, "mode": "sparse"}) + "\n" for q in queries))
        out["in_process_p50_ms"] = round(in_process(index, queries, options.seconds / 2), 3)
        (folder / "echo.py").write_text(ECHO)
        for kind in ("echo", "twindex"):
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            if kind == "echo":
                command = [sys.executable, str(folder / "echo.py"), str(port), str(options.workers)]
                path = "/openapi.json"
            else:
                command = [sys.executable, "-m", "twindex.api", "serve", str(index)]
                command += ["--port", str(port), "--workers", str(options.workers)]
                path = "/v1/ready"
            with running(command, url, path) as process:
                time.sleep(3)
                wrk(url, bodies, connections=16, seconds=2, folder=folder)  # warm
                out[kind] = [
                    wrk(url, bodies, connections=connections, seconds=options.seconds, folder=folder)
                    for connections in (1, 16)
                ]
                if kind == "twindex" and options.minutes:
                    out["mixed"] = mixed(
                        url, "bench", queries, minutes=options.minutes, rate=options.rate, group=process.pid
                    )
        out["overhead_p50_ms"] = round(out["twindex"][0]["p50_ms"] - out["in_process_p50_ms"], 3)
        out["throughput_of_echo"] = round(
            out["twindex"][1]["requests_per_second"] / out["echo"][1]["requests_per_second"], 3
        )
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()

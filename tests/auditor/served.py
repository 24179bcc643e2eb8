"""A server and a node that say what a test tells them to, over real HTTP on the loopback address."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from auditor.chain import TOPICS
from auditor.facts import ChainLog, Facts

RANGE_MAX = 1 << 40
"""A node refuses to look through more blocks at once."""


@contextlib.contextmanager
def served(records: list[bytes], evidence: Mapping[str, bytes], chain: Facts) -> Iterator[str]:
    """The URL of a server with this log and evidence; a POST to it is answered as by a node of this chain."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/v1/log"):
                self._say(200, b"".join(records))
            elif (digest := self.path.rpartition("/")[2]) in evidence:
                self._say(200, evidence[digest])
            else:
                self._say(404, b"{}")

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer = {"result": told(chain, question["method"], question["params"])}
            except LookupError as reason:
                answer = {"error": {"code": -32000, "message": str(reason)}}
            self._say(200, json.dumps({"jsonrpc": "2.0", "id": question["id"]} | answer).encode())

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(chain: Facts, method: str, parameters: list[Any]) -> Any:
    """What a node of this chain answers. LookupError where it refuses."""
    match method:
        case "eth_chainId":
            return hex(chain.chain_id)
        case "eth_blockNumber":
            return hex(chain.head)
        case "eth_getBlockByNumber":
            found = next((it for it in chain.blocks if it.number == int(parameters[0], 16)), None)
            return found and {"number": hex(found.number), "hash": found.hash, "timestamp": hex(found.timestamp_s)}
        case "eth_getLogs":
            first, last = (int(parameters[0][name], 16) for name in ("fromBlock", "toBlock"))
            if last - first >= RANGE_MAX:
                raise LookupError("query returned more than 10000 results")
            return [log_of(it) for it in chain.logs if first <= it.block <= last]
        case "eth_call":
            held = {hex(it.block): it.amount for it in chain.balances}
            return f"0x{int(held[parameters[1]]):064x}"
        case "eth_getTransactionReceipt":
            spent = next((it for it in chain.gas if it.tx == parameters[0]), None)
            return spent and {"blockNumber": hex(spent.block), "gasUsed": hex(int(spent.wei)), "effectiveGasPrice": "0x1"}
        case _:
            raise LookupError(f"the method {method} does not exist")


def log_of(it: ChainLog) -> dict[str, Any]:
    topic = next(topic for topic, kind in TOPICS.items() if kind == it.kind)
    if it.kind == "Anchored":
        topics, data = [topic, f"0x{int(it.amount):064x}"], f"0x{it.subject}"
    else:
        word, who = it.subject.encode().ljust(32, b"\0").hex(), it.who[2:].rjust(64, "0")
        topics, data = [topic, f"0x{word}", f"0x{who}"], f"0x{int(it.amount):064x}"
    place = {"blockNumber": hex(it.block), "blockHash": it.block_hash, "transactionHash": it.tx, "logIndex": hex(it.log_index)}
    return place | {"topics": topics, "data": data}

"""A browser as `gridledger demo --open` starts it: it looks at one address, touches nothing, and notes each change that it sees.

BROWSER="python -m tests.system.onlooker %s NOTES &"
"""

import json
import sys
from pathlib import Path

from tests.explorer.served import browser

POLL_MS, LOOKS_MAX = 200, 1_200
NUMBERS = """() => Object.fromEntries([...document.querySelectorAll("span.legend > span")].map(
    each => [each.innerText.replace(/\\d+/g, "").trim().toLowerCase(), Number((each.querySelector("b") || {}).innerText || 0)]))"""


def look(url: str, notes: Path) -> None:
    """Until the job is closed, or whoever started this is tired of it."""
    with browser() as chromium, notes.open("w") as out:
        page = chromium.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda fault: complaints.append(str(fault)))
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.goto(url)
        page.evaluate("window.first = true")
        last: object = None
        for _ in range(LOOKS_MAX):
            seen = {
                "state": page.inner_text("h1").split()[-1].lower(),
                "numbers": page.evaluate(NUMBERS),
                "loaded_once": page.evaluate("window.first === true"),
                "complaints": list(complaints),
            }
            if seen != last:
                print(json.dumps({"url": url, **seen}), file=out, flush=True)
                last = seen
            if seen["state"] == "completed":
                return
            page.wait_for_timeout(POLL_MS)


if __name__ == "__main__":
    look(sys.argv[1], Path(sys.argv[2]))

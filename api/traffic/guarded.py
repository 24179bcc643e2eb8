"""What every answer says to a browser, whoever made it and whatever went wrong: take it for nothing but what it is, run nothing of it, show
it in nobody's frame. The pages say more of themselves; what an answer says itself stays.
"""

from starlette.types import Message, Send

GUARDS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
)


def guarded(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            names = {name for name, _ in headers}
            message = {**message, "headers": [*headers, *(guard for guard in GUARDS if guard[0] not in names)]}
        await send(message)

    return sent

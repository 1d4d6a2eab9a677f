"""A program that answers what boards have heard, asked by an agent of kind webhook, which signs with its token.

SECRET=... python answer.py          # and in config.yaml:
#   flow: {kind: webhook, url: "http://127.0.0.1:8090/voice", webhook: {token_signs: true}}
"""

import hashlib
import hmac
import os
import time

from aiohttp import web

SECRET = os.environ.get("SECRET", "")


def is_theirs(headers, body):
    stamp, code = headers.get("X-Earshot-Timestamp", ""), headers.get("X-Earshot-Signature", "")
    wanted = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    fresh = stamp.isdecimal() and abs(time.time() - int(stamp)) < 60
    return (
        fresh
        and bool(SECRET)
        and hmac.compare_digest(code.encode("utf-8", "replace"), f"sha256={wanted}".encode())
    )


async def voice(request):
    if not is_theirs(request.headers, await request.read()):
        return web.json_response({"error": "not signed"}, status=401)
    heard = await request.json()
    if "time" in heard["text"]:
        return web.json_response({"reply": time.strftime("It is %H:%M.")})
    return web.json_response(
        {"reply": f"I cannot do that in the {heard['room'] or 'house'}.", "understood": False}
    )


app = web.Application()
app.router.add_post("/voice", voice)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=8090)

"""`/route` as a plain Quart-Trio app on Hypercorn, to compare with.

python benchmarks/peers/quart_trio_route.py PORT
"""

import sys

import hypercorn.trio
import trio
from hypercorn.config import Config
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.get("/route")
async def route() -> dict[str, str]:
    """The addresses."""
    return {"tcp_addr": "127.0.0.1:5100", "ws_addr": "ws://127.0.0.1:5200", "wss_addr": ""}


config = Config()
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
config.errorlog = None
trio.run(hypercorn.trio.serve, app, config)

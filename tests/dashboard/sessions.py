"""Streamlit sessions as browsers open them: a websocket, the script's reruns, no browser around it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

MOST_BYTES = 256 * 2**20
PATIENCE_S = 120.0


@dataclass(slots=True)
class Session:
    """One open page; `script` is the hash of the page that the server has sent."""

    socket: Any
    exceptions: int = 0

    async def react(self, query: str, page: str = "") -> float:
        """Ask for a rerun at a link; return seconds until its script has finished."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        begun = time.monotonic()
        await self.socket.send(message.SerializeToString())
        while True:
            told = ForwardMsg()
            told.ParseFromString(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
            if told.WhichOneof("type") == "delta" and told.delta.new_element.WhichOneof("type") == "exception":
                self.exceptions += 1
            if told.WhichOneof("type") == "script_finished":
                return time.monotonic() - begun


async def opened(server: str) -> Session:
    """Open a session at a server's address ("http://127.0.0.1:8501")."""
    address = server.replace("http://", "ws://") + "/_stcore/stream"
    socket = await websockets.connect(address, subprotocols=["streamlit"], origin=server, max_size=MOST_BYTES)
    return Session(socket)

"""Streamlit sessions as browsers open them: a websocket, the script's reruns, uploads, no browser around it."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

MOST_BYTES = 256 * 2**20
PATIENCE_S = 120.0
Result = TypeVar("Result")


@dataclass(slots=True)
class Session:
    """One open page of the server at an address; `said` are the errors, warnings and notes of the last rerun."""

    address: str
    socket: Any
    exceptions: int = 0
    uploader: str = ""
    said: list[str] = field(default_factory=list)

    async def react(self, query: str, page: str = "", upload: tuple[str, FileURLs, int] | None = None) -> float:
        """Ask for a rerun at a link; return seconds until its script has finished."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        if upload is not None:
            _hold(message, self.uploader, *upload)
        begun = time.monotonic()
        self.said = []
        await self.socket.send(message.SerializeToString())
        while True:
            told = await self._told()
            if told.WhichOneof("type") == "delta":
                self._note(told)
            # A page that asks to be drawn anew ends early, and what it says then comes with the next end.
            early = told.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN
            if told.WhichOneof("type") == "script_finished" and not early:
                return time.monotonic() - begun

    async def _told(self) -> ForwardMsg:
        told = ForwardMsg()
        told.ParseFromString(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
        return told

    def _note(self, told: ForwardMsg) -> None:
        element = told.delta.new_element
        kind = element.WhichOneof("type")
        self.exceptions += kind == "exception"
        if kind == "alert":
            self.said.append(element.alert.body)
        if kind == "file_uploader":
            self.uploader = element.file_uploader.id

    async def place(self, name: str) -> FileURLs:
        """Ask where a file of this name is to be uploaded to."""
        message = BackMsg()
        message.file_urls_request.request_id = name
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = "any"
        await self.socket.send(message.SerializeToString())
        while True:
            told = await self._told()
            if told.WhichOneof("type") == "file_urls_response":
                return told.file_urls_response.file_urls[0]

    async def upload(self, query: str, name: str, data: bytes) -> list[str]:
        """Upload a file, wait until it has been read, and return what the page says of it."""
        place = await self.place(name)
        status = await asyncio.to_thread(put, self.address, place.upload_url, name, [data])
        assert status < 300, status
        held = (name, place, len(data))
        await self.react(query, upload=held)
        while any("in a process of its own" in text for text in self.said):
            await asyncio.sleep(0.3)
            await self.react(query, upload=held)
        return self.said


def _hold(message: BackMsg, uploader: str, name: str, place: FileURLs, size: int) -> None:
    state = message.rerun_script.widget_states.widgets.add()
    state.id = uploader
    file = state.file_uploader_state_value.uploaded_file_info.add()
    file.file_id, file.name, file.size = place.file_id, name, size
    file.file_urls.CopyFrom(place)


def put(address: str, path: str, name: str, parts: Iterable[bytes]) -> int:
    """Send a file as browsers do, in parts of unknown total length; return the status of the answer.

    599 where the server closes the connection without an answer.
    """
    with urllib.request.urlopen(f"{address}/_stcore/health", timeout=30) as answer:
        cookies = answer.headers.get_all("Set-Cookie") or []
    token = next((each.partition("=")[2].partition(";")[0] for each in cookies if "xsrf" in each), "")

    def body() -> Iterable[bytes]:
        yield f'--limit\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'.encode()
        yield b"Content-Type: application/octet-stream\r\n\r\n"
        yield from parts
        yield b"\r\n--limit--\r\n"

    headers = {
        "Content-Type": "multipart/form-data; boundary=limit",
        "X-Xsrftoken": token,
        "Cookie": f"_streamlit_xsrf={token}",
    }
    asked = urllib.request.Request(address + path, data=body(), headers=headers, method="PUT")
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except OSError:
        return 599


def finished(visit: Coroutine[Any, Any, Result]) -> Result:
    """Run a visit in a thread of its own: a browser's driver keeps a loop running in the tests' one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, visit).result()


async def opened(server: str) -> Session:
    """Open a session at a server's address ("http://127.0.0.1:8501")."""
    address = server.replace("http://", "ws://") + "/_stcore/stream"
    socket = await websockets.connect(address, subprotocols=["streamlit"], origin=server, max_size=MOST_BYTES)
    return Session(server, socket)

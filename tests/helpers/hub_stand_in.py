"""A local server that answers as the Hugging Face hub does, as far as `huggingface_hub` asks it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import pytest

TOKENS = {"hf_ann": "ann", "hf_bob": "bob", "hf_reader": "reader"}
READ_ONLY = "reader"


@dataclass
class Repository:
    """One repository: its commits, oldest first, each with all of its files."""

    private: bool
    commits: list[tuple[str, str, dict[str, bytes]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.commit("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})

    def commit(self, message: str, added: dict[str, bytes]) -> str:
        files = {**(self.commits[-1][2] if self.commits else {}), **added}
        sha = hashlib.sha1(f"{len(self.commits)}{message}{sorted(files)}".encode()).hexdigest()
        self.commits.append((sha, message, files))
        return sha

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        if revision == "main":
            return self.commits[-1][0], self.commits[-1][2]
        return next(((sha, files) for sha, _, files in self.commits if sha == revision), None)


class HubStandIn(ThreadingHTTPServer):
    """Answers at `url`; `repositories` by name, `requests` as method and path, `broken` a status for every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.broken: int | None = None
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> HubStandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: HubStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, path))
        if self.server.broken:
            self._json({"error": "broken on purpose"}, self.server.broken)
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.user = TOKENS.get(token)
        if token and self.user is None and not path.startswith("/upload/"):
            self._json({"error": "Invalid credentials in Authorization header"}, 401)
            return
        method = "GET" if self.command == "HEAD" else self.command
        for verb, pattern, answer in _ROUTES:
            if verb == method and (match := re.fullmatch(pattern, path)):
                answer(self, body, *match.groups())
                return
        self._json({"error": f"the stand-in knows no {self.command} {path}"}, 501)

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, content: Any, status: int = 200, code: str = "") -> None:
        headers = {"Content-Type": "application/json", **({"X-Error-Code": code} if code else {})}
        self._send(json.dumps(content).encode(), status, headers)

    def _visible(self, name: str) -> Repository | None:
        """The repository, where this user may see it; otherwise the answer that there is none."""
        found = self.server.repositories.get(name)
        if found is not None and not (found.private and self.user != name.split("/")[0]):
            return found
        self._json({"error": "Repository not found"}, 404 if self.user else 401, "RepoNotFound")
        return None

    def _at(self, found: Repository, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The files at a revision, where there is one; otherwise the answer that there is none."""
        if (at := found.at(revision)) is None:
            self._json({"error": "Invalid rev id"}, 404, "RevisionNotFound")
        return at

    def _may_write(self, owner: str) -> bool:
        if self.user == owner and self.user != READ_ONLY:
            return True
        self._json({"error": "You don't have the rights"}, 403)
        return False

    def info(self, _: bytes, name: str, revision: str | None = None) -> None:
        if (found := self._visible(name)) is None:
            return
        if (at := self._at(found, revision or "main")) is None:
            return
        siblings = [{"rfilename": each} for each in sorted(at[1])]
        content = {"_id": "1", "id": name, "modelId": name, "sha": at[0], "private": found.private, "tags": []}
        self._json({**content, "siblings": siblings, "downloads": 0, "likes": 0})

    def tree(self, _: bytes, name: str, revision: str) -> None:
        if (found := self._visible(name)) is None or (at := self._at(found, revision)) is None:
            return
        entries = [
            {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for path, content in sorted(at[1].items())
        ]
        self._json(entries)

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        owner = asked.get("organization") or self.user
        name = f"{owner}/{asked['name']}"
        if not self._may_write(owner):
            return
        status = 409 if name in self.server.repositories else 200
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.server.repositories.setdefault(name, Repository(private))
        self._json({"url": f"{self.server.url}/{name}", "name": name, "id": "1"}, status)

    def validate(self, body: bytes) -> None:
        self._json({"errors": [], "warnings": []} if json.loads(body)["content"].startswith("---\n") else {}, 200)

    def preupload(self, body: bytes, name: str, _: str) -> None:
        if not self._may_write(name.split("/")[0]):
            return
        modes = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for each in json.loads(body)["files"]
        ]
        self._json({"files": modes})

    def batch(self, body: bytes, name: str) -> None:
        if not self._may_write(name.split("/")[0]):
            return
        objects = [
            {**each, "authenticated": True, "actions": {"upload": {"href": f"{self.server.url}/upload/{each['oid']}"}}}
            for each in json.loads(body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._json({"error": "another content than was announced"}, 400)
            return
        self.server.large[oid] = body
        self._send(b"")

    def commit(self, body: bytes, name: str, _: str) -> None:
        if not self._may_write(name.split("/")[0]):
            return
        message, added, found = "", {}, self.server.repositories[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
                if value.get("parentCommit") not in (None, found.commits[-1][0]):
                    self._json({"error": "A commit has happened since"}, 412)
                    return
            elif line["key"] == "file":
                added[value["path"]] = base64.b64decode(value["content"])
            else:
                added[value["path"]] = self.server.large[value["oid"]]
        sha = found.commit(message, added)
        self._json({"success": True, "commitOid": sha, "commitUrl": f"{self.server.url}/{name}/commit/{sha}"})

    def resolve(self, _: bytes, name: str, revision: str, path: str) -> None:
        if (found := self._visible(name)) is None or (at := self._at(found, revision)) is None:
            return
        sha, files = at
        if path not in files:
            self._json({"error": "Entry not found"}, 404, "EntryNotFound")
            return
        tag = f'"{hashlib.sha256(files[path]).hexdigest()}"'
        self._send(files[path], headers={"ETag": tag, "X-Repo-Commit": sha})


_REPOSITORY = r"([^/]+/[^/]+)"
_ROUTES = (
    ("GET", f"/api/models/{_REPOSITORY}", _Handler.info),
    ("GET", f"/api/models/{_REPOSITORY}/revision/([^/]+)", _Handler.info),
    ("GET", f"/api/models/{_REPOSITORY}/tree/([^/]+)", _Handler.tree),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("POST", f"/api/models/{_REPOSITORY}/preupload/([^/]+)", _Handler.preupload),
    ("POST", rf"/{_REPOSITORY}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/upload/([0-9a-f]+)", _Handler.upload),
    ("POST", f"/api/models/{_REPOSITORY}/commit/([^/]+)", _Handler.commit),
    ("GET", f"/{_REPOSITORY}/resolve/([^/]+)/(.+)", _Handler.resolve),
)


@contextmanager
def hub_of(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    """A hub where this process is logged in as ann, with an empty cache."""
    from huggingface_hub import constants

    with HubStandIn() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # later than 0.30
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_ann")
        yield server

"""Downloads from a real HTTP server on this machine, which can break off, refuse and lie."""

import hashlib
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.data.download import _OnlyEncrypted, digest, download
from orchestrator.interface.errors import UsageError

CONTENT = bytes(range(256)) * 8000  # 2 MB
SHA = hashlib.sha256(CONTENT).hexdigest()[:12]


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT; ``cuts`` holds, for the coming requests, after how many bytes to hang up."""

    cuts: list[int]
    status: int
    ranges: bool
    requests: list[str | None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        if self.server.status == 302:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            return
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        if asked and self.server.ranges:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            start = 0
            self.send_response(200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else len(body)
        self.wfile.write(body[:cut])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.cuts, made.requests, made.status, made.ranges = [], [], 200, True
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def fetch(server: Server, path: Path, sha: str = SHA, attempts: int = 4) -> Path:
    url = f"http://127.0.0.1:{server.server_address[1]}/file.json.gz"
    return download(url, path, sha, attempts=attempts, pause=0.01)


def refusal(server: Server, path: Path, sha: str = SHA, attempts: int = 2) -> str:
    with pytest.raises(UsageError) as caught:
        fetch(server, path, sha, attempts)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    return str(caught.value)


def test_a_whole_file(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = fetch(server, tmp_path / "new" / "file.json.gz")
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.json.gz"]
    assert "file.json.gz" in capfd.readouterr().err  # the progress bar


def test_goes_on_where_the_connection_broke_off(server: Server, tmp_path: Path) -> None:
    server.cuts = [500_000, 700_000]
    assert fetch(server, tmp_path / "f").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=500000-", "bytes=1200000-"]


def test_the_next_command_goes_on_too(server: Server, tmp_path: Path) -> None:
    server.cuts = [500_000]
    text = refusal(server, tmp_path / "f", attempts=1)
    assert "broken off after 0.5 of 2.0 MB" in text
    assert "0.5 MB are kept" in text
    assert (tmp_path / "f.part").stat().st_size == 500_000
    assert fetch(server, tmp_path / "f").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=500000-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [500_000], False
    assert fetch(server, tmp_path / "f").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=500000-"]


def test_a_complete_part_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT)
    assert fetch(server, tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"", b"rubbish", CONTENT + b"more"])
def test_a_wrong_digest_deletes_the_file(server: Server, tmp_path: Path, left: bytes) -> None:
    if left:
        (tmp_path / "f.part").write_bytes(left)
    text = refusal(server, tmp_path / "f", sha="0" * 12 if not left else SHA)
    assert "SHA-256" in text
    assert "deleted" in text
    assert list(tmp_path.iterdir()) == []
    assert fetch(server, tmp_path / "f").read_bytes() == CONTENT


def test_no_redirect_leaves_https() -> None:
    handler, url = _OnlyEncrypted(), "https://example.org/file.json.gz"
    request = urllib.request.Request(url)
    asked = ("", 302, "Found", {})
    again = handler.redirect_request(request, *asked, "https://example.org/other")  # type: ignore[arg-type]
    assert again is not None and again.full_url == "https://example.org/other"
    with pytest.raises(UsageError, match=r"leads to http://example.org/other, which is not HTTPS"):
        handler.redirect_request(request, *asked, "http://example.org/other")  # type: ignore[arg-type]


def test_redirects_are_looked_at(server: Server, tmp_path: Path) -> None:
    """By the opener that downloads, which here follows one as from an encrypted page."""
    looked: list[str] = []

    def look(self: object, request: object, *given: object) -> None:
        looked.append(str(given[-1]))
        raise UsageError("refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_OnlyEncrypted, "redirect_request", look)
        server.status = 302
        assert refusal(server, tmp_path / "file.json.gz") == "refused"
    assert looked == ["http://127.0.0.1:1/elsewhere"]


def test_not_found_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.status = 404
    assert "HTTP 404" in refusal(server, tmp_path / "f")
    assert len(server.requests) == 1


def test_a_server_in_trouble_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.status = 503
    assert "HTTP 503" in refusal(server, tmp_path / "f", attempts=3)
    assert len(server.requests) == 3


def test_no_network_names_the_way_out(server: Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}/file.json.gz"
    server.socket.close()
    with pytest.raises(UsageError) as caught:
        download(url, tmp_path / "file.json.gz", SHA, attempts=2, pause=0.01)
    text = str(caught.value)
    assert "\n" not in text
    assert "put the file file.json.gz into a folder and name that by --data-dir" in text


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in refusal(server, tmp_path / "file" / "sub" / "f")


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    assert digest(tmp_path / "x").startswith(SHA)

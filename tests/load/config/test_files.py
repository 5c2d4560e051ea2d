"""Files that configs name: fetched from real servers, and CSV of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from osmia.load.config.cells import DelimitedText, read_cells
from osmia.load.config.files import Files, fetch_url
from osmia.load.plan import Column, ColumnType, JsonValue
from osmia.model.errors import InputError


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answers `/good`, nothing else."""
        is_good = self.path == "/good"
        self.send_response(200 if is_good else 404)
        self.end_headers()
        self.wfile.write(b"a,b\n" if is_good else b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Where a web server is."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_url_is_fetched(address: str, tmp_path: Path) -> None:
    """What stands behind it is the file."""
    assert Files(tmp_path, fetch_url).content(f"{address}/good") == b"a,b\n"


@pytest.mark.parametrize(
    ("path", "refusal"),
    [("/bad", "the server answers 404 Not Found"), (":1/", "it cannot be fetched"), ("/a b", "it cannot be fetched")],
)
def test_url_that_cannot_be_fetched_is_said(address: str, path: str, refusal: str) -> None:
    """With what the server, the network or the URL has against it."""
    url = f"http://127.0.0.1{path}" if path.startswith(":") else address + path

    with pytest.raises(InputError, match=refusal):
        fetch_url(url)


def test_only_web_addresses_are_fetched() -> None:
    """No file and no other scheme is read by way of a URL."""
    with pytest.raises(InputError, match="no http or https URL"):
        fetch_url("file:///etc/hostname")


def test_working_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the original; what is not there is looked for beside the config."""
    here, beside = tmp_path / "here", tmp_path / "beside"
    here.mkdir()
    beside.mkdir()
    (here / "both").write_text("here")
    (beside / "both").write_text("beside")
    (beside / "one").write_text("beside")
    monkeypatch.chdir(here)
    files = Files(beside, fetch_url)

    assert (files.content("both"), files.content("one")) == (b"here", b"beside")


def test_folder_is_no_file(tmp_path: Path) -> None:
    """And a pipe or device neither: reading it might never end."""
    with pytest.raises(InputError, match="it is no file"):
        Files(tmp_path, fetch_url).content(str(tmp_path))


# ---- CSV ----

ONE = (Column(0, "a"),)


def _cells(text: str, kind: ColumnType = ColumnType.STRING) -> list[JsonValue]:
    return [row[0] for row in read_cells(text.encode(), DelimitedText(), (Column(0, "a", kind),))]


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        (ColumnType.STRING, "x\n 7\n", ["x", "7"]),
        (ColumnType.STRING, '"a, ""b""\nc"\n', ['a, "b"\nc']),
        (ColumnType.INT, "7\n-3\n", [7, -3]),
        (ColumnType.FLOAT, "0.5\n1e3\n", [0.5, 1000.0]),
        (ColumnType.BOOL, "true\nF\n1\n", [True, False, True]),
        (ColumnType.JSON, '"{""a"": [1]}"\nnull\n', [{"a": [1]}, None]),
        (ColumnType.STRING, "\ufeffx\r\n\r\ny", ["x", "y"]),
    ],
)
def test_cells_are_what_their_column_says(kind: ColumnType, text: str, values: list[JsonValue]) -> None:
    """Text, numbers, booleans and JSON; quotes, empty lines and byte order marks."""
    assert _cells(text, kind) == values


@pytest.mark.parametrize(
    ("kind", "text", "refusal"),
    [
        (ColumnType.INT, "1\nx\n", r"line 2: column 0 \(a\) is 'x', which is no int"),
        (ColumnType.INT, "1_0\n", "which is no int"),
        (ColumnType.FLOAT, "nan\n", "which is no float"),
        (ColumnType.BOOL, "yes\n", "which is no bool"),
        (ColumnType.JSON, "{\n", "which is no json"),
        (ColumnType.JSON, "NaN\n", "which is no json"),
        (ColumnType.INT, "a\nb\nc\nd\ne\n", "and 2 more lines"),
        (ColumnType.STRING, '"a"b\n', "is no such CSV"),
        (ColumnType.STRING, "\n", "has no rows"),
    ],
)
def test_cells_that_are_not_are_told_with_their_line(kind: ColumnType, text: str, refusal: str) -> None:
    """The first few of them, and how many more."""
    with pytest.raises(InputError, match=refusal):
        _cells(text, kind)


def test_switches_of_csv() -> None:
    """Headings, empty lines, stray quotes and other delimiters."""
    form = DelimitedText(delimiter="\t", skips_first_line=True, skips_empty_lines=False, allows_stray_quotes=True)
    columns = (Column(1, "b"), Column(0, "a"))

    rows = read_cells(b'h\ti\n"x"y\tz\n\n', form, columns)

    assert rows == (("z", "xy"), ("", ""))


def test_bytes_that_are_no_text_are_said() -> None:
    """CSV is UTF-8."""
    with pytest.raises(InputError, match=r"is no UTF-8 text \(byte 1\)"):
        read_cells(b"a\xff", DelimitedText(), ONE)

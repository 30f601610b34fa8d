"""URLs as sources, against a real server on this machine; object stores in test_buckets."""

import contextlib
import io
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.errors import GendataError, ParamsError
from gendata.ingest import IngestParams, SourceParams, infer_source, load_sources, preview, scan, urls
from gendata.ingest.remote import RemoteParams, forget

ROWS = "".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(40)).encode()


class Site:
    """What a server has, and how it misbehaves: a function per path, which may answer in place of it."""

    def __init__(self):
        self.files, self.tags, self.odd = {}, {}, {}
        self.asked, self.sent = Counter(), Counter()
        self.headers = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.answer(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request):
        path = request.path.partition("?")[0]
        self.asked[path] += 1
        self.headers[path] = dict(request.headers)
        if path in self.odd and self.odd[path](request):
            return
        if path not in self.files:
            self.reply(request, 404)
            return
        data, tag = self.files[path], self.tags.get(path, f'"{len(self.files[path])}"')
        if request.headers.get("If-None-Match") == tag:
            self.reply(request, 304)
            return
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if asked and request.headers.get("If-Range") == tag:
            start = int(asked[1])
            told = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.reply(request, 206, data[start:], {"ETag": tag, "Content-Range": told})
        else:
            self.reply(request, 200, data, {"ETag": tag})

    def reply(self, request, status, body=b"", headers=None, length=None):
        request.send_response(status)
        for name, value in ({"Content-Length": str(len(body) if length is None else length)} | (headers or {})).items():
            request.send_header(name, value)
        request.end_headers()
        self.sent[request.path] += len(body)
        request.wfile.write(body)
        if length is not None:
            request.close_connection = True


@pytest.fixture
def site(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    site = Site()
    yield site
    site.close()


def quick(**options):
    return IngestParams(workers=2, remote=RemoteParams(**({"retries": 1, "timeout": 5.0} | options)))


def table(site, path="/data.jsonl"):
    return SourceParams("table", "real", site.url + path)


def same(result, other):
    assert result.items == other.items
    assert result.rejects == other.rejects
    assert result.listing == other.listing


def test_a_url_gives_what_the_local_file_gives(site, run, project):
    site.files["/a/data.jsonl"] = ROWS
    Path("data.jsonl").write_bytes(ROWS)
    remote = run(table(site, "/a/data.jsonl"))
    assert len(remote.items) == 40
    same(remote, run(SourceParams("table", "real", "data.jsonl")))


def test_files_and_captions_that_braces_list(site, run, project, image):
    files = {"/x/1.png": image(color=1), "/x/2 ä.png": image(color=2), "/x/1.txt": b"a caption", "/x/notes.md": b"note"}
    for path, data in files.items():
        site.files[path.replace(" ", "%20").replace("ä", "%C3%A4")] = data
        Path("x").mkdir(exist_ok=True)
        Path(path[1:]).write_bytes(data)
    listed = "/x/{1.png,1.txt,2%20%C3%A4.png,notes.md}"
    remote = run(SourceParams("files", "real", site.url + listed))
    assert remote.item("1.png")["text"] == "a caption"
    assert [i["uri"] for i in remote.items] == ["1.png", "2 ä.png", "notes.md"]
    same(remote, run(SourceParams("files", "real", "x/{1.png,1.txt,2 ä.png,notes.md}")))


def test_what_did_not_change_is_not_fetched_again(site, run):
    site.files["/data.jsonl"] = ROWS
    first = run(table(site))
    sent = site.sent["/data.jsonl"]
    same(run(table(site)), first)
    assert (site.sent["/data.jsonl"], site.asked["/data.jsonl"]) == (sent, 2)
    site.files["/data.jsonl"] = ROWS + b'{"text": "new"}\n'
    changed = run(table(site))
    assert len(changed.items) == 41
    assert changed.listing[0]["sha256"] != first.listing[0]["sha256"]


@pytest.mark.parametrize("change", ["write", "delete"])
def test_a_mirror_that_was_meddled_with_is_fetched_again(site, run, project, change):
    site.files["/data.jsonl"] = ROWS
    first = run(table(site))
    (mirrored,) = Path(".gendata/cache/remote").glob("*/files/data.jsonl")
    mirrored.write_bytes(b'{"text": "meddled"}\n') if change == "write" else mirrored.unlink()
    same(run(table(site)), first)


def test_without_validators_all_is_fetched_each_time(site, run):
    bodies = iter([ROWS, b'{"text": "other"}\n'])
    site.odd["/data.jsonl"] = lambda request: site.reply(request, 200, next(bodies)) or True
    assert len(run(table(site)).items) == 40
    assert [i["text"] for i in run(table(site)).items] == ["other"]


def test_a_time_is_a_version_once_it_is_old_enough(site, run):
    site.files["/data.jsonl"] = ROWS
    for written, times in (("Mon, 01 Jan 2024 00:00:00 GMT", 1), (None, 2)):
        sent = []

        def timed(request, written=written, sent=sent):
            headers = {"Last-Modified": written or request.date_time_string()}
            if request.headers.get("If-Modified-Since") == written and written:
                site.reply(request, 304)
            else:
                sent.append(1)
                site.reply(request, 200, ROWS, headers)
            return True

        site.odd["/data.jsonl"] = timed
        run(SourceParams("table", "real", f"{site.url}/data.jsonl"))
        run(SourceParams("table", "real", f"{site.url}/data.jsonl"))
        assert len(sent) == times


def test_files_that_the_url_names_no_more_leave_the_mirror(site, run, project):
    site.files |= {f"/{n}.txt": f"text {n}".encode() for n in range(3)}
    run(SourceParams("files", "real", site.url + "/{0..2}.txt"))
    result = run(SourceParams("files", "real", site.url + "/{1..2}.txt"))
    assert [i["uri"] for i in result.items] == ["1.txt", "2.txt"]
    assert sorted(p.name for p in Path(".gendata/cache/remote").glob("*/files/*")) == ["1.txt", "2.txt"]
    assert site.sent["/1.txt"] == len("text 1")  # the mirror is that of the folder: nothing came twice


def test_one_bad_file_is_one_reject(site, run):
    site.files |= {"/0.txt": b"zero", "/1.txt": b"one", "/6.txt": b"x" * 500, "/9.txt": b"nine"}
    site.odd["/2.txt"] = lambda request: site.reply(request, 403) or True
    site.odd["/3.txt"] = lambda request: site.reply(request, 200, b"cut", length=100) or True
    site.odd["/4.txt"] = lambda request: site.reply(request, 302, headers={"Location": "file:///etc/passwd"}) or True
    site.odd["/5.txt"] = lambda request: site.reply(request, 302, headers={"Location": "/5.txt"}) or True
    site.odd["/7.txt"] = lambda request: site.reply(request, 200, b"packed", {"Content-Encoding": "gzip"}) or True
    result = run(SourceParams("files", "real", site.url + "/{0..9}.txt"), quick(max_file_bytes=499, retries=1))
    assert [i["text"] for i in result.items] == ["zero", "one", "nine"]
    assert result.reasons() == {
        "2.txt": "denied",
        "3.txt": "incomplete",
        "4.txt": "redirected",
        "5.txt": "redirected",
        "6.txt": "remote-too-large",
        "7.txt": "content-encoded",
        "8.txt": "not-found",
    }
    assert [r["problem"] for r in result.listing if r["uri"] == "8.txt"] == ["not-found"]


def test_a_body_without_a_length_stops_at_the_limit(site, run):
    def endless(request):
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        block = b"%x\r\n" % (1 << 16) + b"x" * (1 << 16) + b"\r\n"
        for _ in range(10_000):
            try:
                request.wfile.write(block)
            except OSError:
                break
            site.sent["endless"] += 1 << 16
        request.close_connection = True
        return True

    site.files["/b.txt"], site.odd["/a.txt"] = b"fine", endless
    result = run(SourceParams("files", "real", site.url + "/{a,b}.txt"), quick(max_file_bytes=1 << 20))
    assert result.reasons() == {"a.txt": "remote-too-large"}
    assert site.sent["endless"] < 100 << 20


def test_one_file_that_cannot_be_had_is_an_error(site, project):
    with pytest.raises(GendataError, match=r"source s: http://127.0.0.1:\d+/data.jsonl: the server has no such file"):
        scan({"s": table(site)}, project, Path("out"), quick())


def test_a_server_that_fails_once_is_asked_again(site, run):
    site.files["/data.jsonl"] = ROWS
    site.odd["/data.jsonl"] = lambda r: site.asked["/data.jsonl"] == 1 and (site.reply(r, 500) or True)
    assert len(run(table(site)).items) == 40
    assert site.asked["/data.jsonl"] == 2


def test_a_server_that_keeps_failing_ends_the_scan_and_what_came_is_kept(site, run, project):
    site.files |= {"/a.txt": b"a text", "/b.txt": b"another"}
    site.odd["/b.txt"] = lambda request: site.reply(request, 503, headers={"Retry-After": "0"}) or True
    both = SourceParams("files", "real", site.url + "/{a,b}.txt")
    with pytest.raises(GendataError, match=r"b\.txt: status 503, after 3 attempts; run again"):
        scan({"s": both}, project, Path("out"), quick(retries=2, connections=1))
    del site.odd["/b.txt"]
    assert len(run(both).items) == 2
    assert site.sent["/a.txt"] == len(b"a text")


def test_nobody_there(project):
    with pytest.raises(GendataError, match=r"127\.0\.0\.1:9/x\.jsonl: x\.jsonl: .*, after 1 attempt;"):
        scan({"s": SourceParams("table", "real", "http://127.0.0.1:9/x.jsonl")}, project, Path("o"), quick(retries=0))


def test_a_server_that_says_nothing_is_given_up(site, project):
    site.odd["/data.jsonl"] = lambda request: time.sleep(3) or True
    began = time.monotonic()
    with pytest.raises(GendataError, match="no answer in time"):
        scan({"s": table(site)}, project, Path("out"), quick(timeout=0.3, retries=0))
    assert time.monotonic() - began < 2.5


def test_a_cut_body_goes_on_where_it_ended(site, run):
    body = os.urandom(3 << 20).hex().encode()

    def cut(request):
        if "Range" in request.headers:
            return False
        site.reply(request, 200, body[: 2 << 20], {"ETag": '"1"'}, length=len(body))
        return True

    site.files["/big.txt"], site.tags["/big.txt"], site.odd["/big.txt"] = body, '"1"', cut
    result = run(SourceParams("files", "real", site.url + "/big.txt"))
    assert result.items[0]["text"].encode() == body
    assert site.sent["/big.txt"] == len(body)


@pytest.mark.parametrize("etag", ['"2"', 'W/"1"'])
def test_another_version_is_not_put_behind_the_first(site, run, etag):
    old, new = b"a" * (2 << 20), b"b" * (2 << 20)

    def cut(request):
        if site.asked["/big.txt"] > 1:
            return False
        site.reply(request, 200, old[: 1 << 20], {"ETag": '"1"' if etag == '"2"' else etag}, length=len(old))
        return True

    site.files["/big.txt"], site.tags["/big.txt"], site.odd["/big.txt"] = new, etag, cut
    assert run(SourceParams("files", "real", site.url + "/big.txt")).items[0]["text"].encode() == new


def test_a_server_that_answers_another_range_is_not_believed(site, run):
    body = b"0123456789" * 100_000

    def wrong(request):
        if site.asked["/big.txt"] == 1:
            site.reply(request, 200, body[:500_000], {"ETag": '"1"'}, length=len(body))
        elif site.asked["/big.txt"] == 2:
            site.reply(request, 206, body[7:], {"ETag": '"1"', "Content-Range": f"bytes 7-999999/{len(body)}"})
        return site.asked["/big.txt"] < 3

    site.files["/big.txt"], site.odd["/big.txt"] = body, wrong
    assert run(SourceParams("files", "real", site.url + "/big.txt"), quick(retries=3)).items[0]["text"] == body.decode()


def test_redirects_stay_with_the_host_or_go_where_params_say(site, run, project):
    site.files["/data.jsonl"] = ROWS
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    site.odd["/here"] = lambda request: site.reply(request, 301, headers={"Location": "/data.jsonl"}) or True
    site.odd["/there"] = lambda request: (
        site.reply(request, 302, headers={"Location": f"{elsewhere}/data.jsonl?token=hidden"}) or True
    )
    site.odd["/a.jsonl"], site.odd["/b.jsonl"] = site.odd["/here"], site.odd["/there"]
    assert len(run(table(site, "/a.jsonl")).items) == 40
    with pytest.raises(GendataError, match=r"redirected to the host localhost; .* ingest\.remote\.hosts") as failed:
        scan({"s": table(site, "/b.jsonl")}, project, Path("out"), quick())
    assert "hidden" not in str(failed.value)
    assert len(run(table(site, "/b.jsonl"), quick(hosts=("localhost",))).items) == 40


_TLS = """
import sys
from pathlib import Path
from gendata.errors import GendataError
from gendata.ingest import IngestParams, SourceParams, scan
from gendata.ingest.remote import RemoteParams
try:
    print(scan({"s": SourceParams("table", "real", sys.argv[1])}, Path.cwd(), Path("tls"), IngestParams(
        remote=RemoteParams(retries=0, timeout=5.0))))
except GendataError as error:
    print(error)
"""


def certificate(folder):
    """A key and a certificate of 127.0.0.1, signed by itself, in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = made.add_extension(place, critical=False).sign(key, hashes.SHA256())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    path = folder / "both.pem"
    path.write_bytes(secret + signed.public_bytes(encoding))
    return path


def test_certificates_are_verified_and_https_never_becomes_http(site, project, tmp_path):
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    site.server.socket = context.wrap_socket(site.server.socket, server_side=True)
    secure = site.url.replace("http://", "https://")
    site.files["/data.jsonl"] = ROWS
    site.odd["/down.jsonl"] = lambda request: (
        site.reply(request, 302, headers={"Location": f"{site.url}/data.jsonl"}) or True
    )

    def told(path, **environment):
        command = [sys.executable, "-c", _TLS, secure + path]
        env = {k: v for k, v in os.environ.items() if k != "SSL_CERT_FILE"} | environment
        return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=True).stdout

    assert "no connection (self-signed certificate)" in told("/data.jsonl")
    assert "'units': 1, 'problems': 0" in told("/data.jsonl", SSL_CERT_FILE=str(pem))
    assert "from https to what is not encrypted" in told("/down.jsonl", SSL_CERT_FILE=str(pem))


def test_limits_of_a_source(site, project):
    site.files |= {f"/{n}.txt": b"x" * 100 for n in range(9)}
    source = SourceParams("files", "real", site.url + "/{0..8}.txt")
    with pytest.raises(GendataError, match=r"more bytes than ingest\.remote\.max_source_bytes"):
        scan({"s": source}, project, Path("out"), quick(max_source_bytes=500))
    with pytest.raises(GendataError, match=r"9 files, more than ingest\.remote\.max_files"):
        scan({"s": source}, project, Path("out"), quick(max_files=8))


def test_ingest_says_that_the_mirror_is_gone(site, run, project):
    site.files["/data.jsonl"] = ROWS
    with pytest.raises(ParamsError, match=r"sources\.s\.path: .*/data\.jsonl is not fetched; run `gendata run`"):
        run(table(site), between=lambda: shutil.rmtree(".gendata"))
    assert len(run(table(site)).items) == 40


def test_an_archive_and_a_list_of_shards(site, run, project, image):
    for n in range(3):
        with io.BytesIO() as buffer:
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                for name, data in ((f"{n}.png", image(color=n)), (f"{n}.txt", f"caption {n}".encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
            site.files[f"/shard-{n:03}.tar"] = buffer.getvalue()
            Path(f"shard-{n:03}.tar").write_bytes(buffer.getvalue())
    for kind in ("webdataset", "archive"):
        remote = run(SourceParams(kind, "real", site.url + "/shard-{000..002}.tar"))
        assert len(remote.items) == 3
        same(remote, run(SourceParams(kind, "real", "shard-{000..002}.tar")))


def test_tables_that_braces_list(site, run):
    site.files |= {f"/t-{n}.jsonl": ROWS for n in range(2)}
    result = run(SourceParams("table", "real", site.url + "/t-{0,1}.jsonl"))
    assert [len(result.items), result.items[-1]["uri"]] == [80, "t-1.jsonl#40"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("ftp://h/x.jsonl", "only http://, https://, s3:// and local paths"),
        ("file:///etc/passwd", "only http://"),
        ("simplecache::https://h/x.jsonl", "only http://"),
        ("reference://x", "only http://"),
        ("https://user:secretword@h/x.jsonl", "no user name or password in a URL; ~/.netrc"),
        ("s3://AKIA:secretword@bucket/x", "no user name or password"),
        ("https://h/x.jsonl?api_key=secretword", "seems to hold a credential"),
        ("https://h/x.jsonl?X-Amz-Signature=secretword", "seems to hold a credential"),
        ("https://h/folder/", "HTTP has no listings"),
        ("https://h", "HTTP has no listings"),
        ("https://h/*.jsonl", "HTTP has no listings"),
        ("https:///x.jsonl", "no name of a host"),
        ("https://{a,b}/x.jsonl", "no name of a host"),
        ("https://h/../x.jsonl", "a name that no file can have"),
        ("https://h/%2e%2e/x.jsonl", "a name that no file can have"),
        ("https://h/a%2fb.jsonl", "a name that no file can have"),
        ("https://h/a%00b.jsonl", "a name that no file can have"),
        ("https://h/%ff.jsonl", "not UTF-8"),
        ("s3://bucket//x", "a name that no file can have"),
    ],
)
def test_urls_that_are_refused(project, path, told):
    with pytest.raises(ParamsError, match=re.escape(told)) as failed:
        load_sources({"s": {"kind": "table", "origin": "real", "path": path}}, project)
    assert "secretword" not in str(failed.value)


def test_a_folder_over_http_is_refused(project):
    with pytest.raises(ParamsError, match="HTTP has no folders"):
        load_sources({"s": {"kind": "folder", "origin": "real", "path": "https://h/x"}}, project)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://h/data.JSONL?download=1", "table"),
        ("https://h/p-{00..07}.parquet", "table"),
        ("https://h/shard-{000..127}.tar", "archive"),
        ("https://h/{a.png,b.md}", "files"),
        ("https://h/book.txt", "files"),
        ("s3://bucket/prefix", "folder"),
        ("s3://bucket", "folder"),
    ],
)
def test_the_kind_that_a_url_suggests(url, kind):
    assert infer_source(url) == kind


def test_no_kind_suits_a_name_without_an_ending():
    with pytest.raises(ParamsError, match="its ending says no kind"):
        infer_source("https://h/download?id=3")


def test_a_query_is_sent_and_not_shown(site, project):
    with pytest.raises(GendataError, match=r"/data\.jsonl: the server") as failed:
        scan({"s": table(site, "/data.jsonl?version=7")}, project, Path("out"), quick())
    assert "version" not in str(failed.value)


def test_netrc_is_read_and_its_password_goes_to_its_host_alone(site, run, project, monkeypatch):
    Path("netrc").write_text("machine 127.0.0.1 login me password word\n")
    Path("netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(Path("netrc").resolve()))
    site.files["/data.jsonl"] = ROWS
    elsewhere = site.url.replace("127.0.0.1", "localhost")
    site.odd["/a.jsonl"] = lambda request: (
        site.reply(request, 302, headers={"Location": f"{elsewhere}/data.jsonl"}) or True
    )
    assert len(run(table(site, "/a.jsonl"), quick(hosts=("localhost",))).items) == 40
    assert site.headers["/a.jsonl"]["Authorization"].startswith("Basic ")
    assert "Authorization" not in site.headers["/data.jsonl"]


def test_a_preview_fetches_a_few_files_which_the_scan_then_has(site, run, project):
    site.files |= {f"/{n}.txt": f"text {n}".encode() for n in range(9)}
    source = SourceParams("files", "real", site.url + "/{0..8}.txt")
    assert [item.uri for item in preview("s", source, project, 3)] == ["0.txt", "1.txt", "2.txt"]
    assert sum(site.asked.values()) == 3
    assert len(run(source).items) == 9
    assert sum(site.sent.values()) == 9 * len("text 0")


def test_mirrors_of_other_sources_are_removed(site, run, project):
    site.files["/data.jsonl"] = ROWS
    run(table(site))
    forget({"s": table(site)}, project)
    assert len(list(Path(".gendata/cache/remote").iterdir())) == 1
    forget({"t": table(site)}, project)
    assert list(Path(".gendata/cache/remote").iterdir()) == []


@given(st.sampled_from(["https://", "http://h/", "s3://", "s3://b/"]), st.text(max_size=30))
def test_no_url_leads_out_of_its_mirror(scheme, text):
    told = ""
    try:
        url = urls.parse(scheme + text)
    except ValueError as error:
        told = str(error)
    if told:
        assert len(told.splitlines()) == 1
        return
    assert ".." not in Path(urls.local("s", scheme + text)).parts
    assert Path(urls.local("s", scheme + text)).is_relative_to(urls.MIRRORS / urls.mirror("s", url).name)
    if url.is_web:
        assert urlsplit(url.request(url.rest)).netloc == url.host


_HEADERS = st.sampled_from(
    ["Content-Length", "ETag", "Last-Modified", "Date", "Location", "Content-Range", "Content-Encoding", "Retry-After",
     "Transfer-Encoding", "Connection", "Set-Cookie"]
)  # fmt: skip
_VALUES = st.sampled_from([b"5", b"-1", b"chunked", b"gzip", b"bytes 0-4/5", b"//", b"http://[", b"99999999999999"])


@given(
    st.sampled_from([200, 200, 206, 204, 301, 302, 304, 404, 416, 418, 503, 999]),
    st.dictionaries(
        _HEADERS, _VALUES | st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b""))
    ),
    st.binary(max_size=20),
)
def test_whatever_a_server_answers_is_content_or_a_reason(tmp_path_factory, status, headers, body):
    root = tmp_path_factory.mktemp("fuzz")
    answer = b"HTTP/1.1 %d X\r\n" % status
    answer += b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers.items()) + b"\r\n" + body
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answers, args=(server, answer))
        thread.start()
        source = SourceParams("files", "real", f"http://127.0.0.1:{server.getsockname()[1]}/{{a,b}}.txt")
        try:
            for _ in range(2):  # what was remembered of the first answer is said in the second request
                with contextlib.suppress(GendataError):
                    scan({"s": source}, root, root / "out", quick(retries=0, timeout=1.0, connections=1))
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _answers(server, answer):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)


_SCAN = """
import sys
from pathlib import Path
from gendata.ingest import IngestParams, SourceParams, scan
from gendata.ingest.remote import RemoteParams
scan({"s": SourceParams("files", "real", sys.argv[1])}, Path.cwd(), Path("killed"), IngestParams(workers=2))
"""


def test_a_killed_fetch_goes_on_and_ends_as_if_unbroken(site, run, project):
    """Killed at several points, each time in the middle of a body."""
    for n in range(6):
        site.files[f"/{n}.txt"] = os.urandom(1 << 20).hex().encode()
        site.tags[f"/{n}.txt"] = f'"{n}"'

    def slowly(request):
        data = site.files[request.path]
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        request.send_response(206 if start else 200)
        request.send_header("ETag", site.tags[request.path])
        request.send_header("Content-Length", str(len(data) - start))
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.end_headers()
        for at in range(start, len(data), 1 << 18):
            block = data[at : min(at + (1 << 18), len(data))]
            try:
                request.wfile.write(block)
            except OSError:
                break
            site.sent["slow"] += len(block)
            time.sleep(0.02)
        return True

    site.odd = dict.fromkeys(site.files, slowly)
    total = sum(map(len, site.files.values()))
    url = site.url + "/{0..5}.txt"
    for share in (0.2, 0.5):
        with subprocess.Popen([sys.executable, "-c", _SCAN, url], cwd=project) as child:
            while site.sent["slow"] < share * total:
                assert child.poll() is None
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
        assert not list(Path(".gendata/cache/remote").glob("*/files"))
    site.odd = {}
    resumed = run(SourceParams("files", "real", url))
    assert sum(site.sent[path] for path in site.files) < 0.8 * total
    Path(".gendata").rename("elsewhere")
    same(resumed, run(SourceParams("files", "real", url)))
    assert len(resumed.items) == 6

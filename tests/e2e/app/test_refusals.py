"""What the server refuses, and how it says so: wrong uploads, wrong callers, wrong requests, odd names."""

import json
import re
import socket
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from examples.http_app.app import create_app
from examples.http_app.auth import Keys
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from isomix import Studio
from isomix.errors import InvalidOptions

NOBODYS = "0" * 32
FORM = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def _check_problem(answer, status, code):
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize(
    ("data", "fields", "status", "code"),
    [
        (b"these are words, not sounds\n" * 100, {}, 415, "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2000), {}, 415, "unsupported_format"),
        (b"", {}, 422, "corrupt_audio"),
        (b"RIFF\xff\xff\xff\x7fWAVEfmt " + bytes(200), {}, 422, "corrupt_audio"),
        (None, {"model": "no such model"}, 404, "unknown_model"),
    ],
)
def test_a_wrong_upload_is_refused(served, noise, data, fields, status, code):
    """Each kind of wrong upload has its own code and leaves nothing behind."""
    before = served.list_objects()
    with served.client() as ann:
        answer = ann.post("/upload", data=fields, files={"file": ("take.wav", noise(1) if data is None else data)})
    _check_problem(answer, status, code)
    assert served.list_objects() == before


def test_limits_are_told_with_their_numbers(served, noise):
    """A recording that is too long or of a kind that the tier does not take is refused with the facts."""
    with served.client("tiny") as tiny:
        problem = _check_problem(tiny.post("/upload", files={"file": ("a.wav", noise(5.5))}), 413, "too_long")
        assert (problem["limit_seconds"], round(problem["actual_seconds"], 1)) == (5.0, 5.5)
        flac = b"fLaC" + bytes(100)
        assert tiny.post("/upload", files={"file": ("a.flac", flac)}).status_code in (415, 422)


def test_more_jobs_than_the_quota_are_refused(served, noise):
    """While an owner's only job runs, another upload is a 429 that names the quota."""
    project_id = served.upload(noise(4.5), owner="tiny", model="testing:slow-200ms")
    with served.client("tiny") as tiny:
        problem = _check_problem(tiny.post("/upload", files={"file": ("a.wav", noise(1))}), 429, "quota_exceeded")
    assert (problem["quota"], problem["limit"]) == ("concurrent_jobs", 1)
    served.wait(project_id, owner="tiny")


@pytest.mark.parametrize(
    ("kind", "content", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_media_type"),
        ("multipart/form-data", b"", 415, "unsupported_media_type"),
        (f"multipart/form-data; boundary={'b' * 999}", b"", 415, "unsupported_media_type"),
        (FORM, b"no boundary here", 400, "bad_request"),
        (FORM, b"--b\r\n\r\n", 400, "bad_request"),
        (FORM, FIELD + b"x\r\n--b--\r\n", 422, "unprocessable_entity"),
        (FORM, FIELD + b"x" * 5000 + b"\r\n--b--\r\n", 413, "request_entity_too_large"),
        (FORM, FILE + b"x\r\n" + FIELD + b"hpss\r\n--b--\r\n", 422, "unprocessable_entity"),
        (FORM, FILE + b"x\r\n" + FILE + b"x\r\n--b--\r\n", 422, "unprocessable_entity"),
        (FORM, FILE + b"RIFF", 400, "bad_request"),
    ],
)
def test_what_is_no_upload_form_is_refused(served, kind, content, status, code):
    """A body that is no whole form with one file in the end is refused, and nothing is kept."""
    before = served.list_objects()
    with served.client() as ann:
        answer = ann.post("/upload", content=content, headers={"Content-Type": kind})
    _check_problem(answer, status, code)
    assert served.list_objects() == before


ROUTES = [
    ("GET", "/status/{id}"),
    ("GET", "/projects/{id}/stems/vocals"),
    ("HEAD", "/projects/{id}/stems/vocals"),
    ("GET", "/projects/{id}/peaks/vocals"),
    ("GET", "/projects/{id}/preview"),
    ("GET", "/projects/{id}/preview/{attempt}/vocals/0.flac"),
    ("POST", "/export"),
    ("POST", "/cancel/{id}"),
    ("POST", "/reseparate/{id}"),
    ("DELETE", "/projects/{id}"),
]


@pytest.fixture(scope="module")
def anns(served, noise):
    """Return a project of Ann's that is ready."""
    return served.wait(served.upload(noise(1)))


@pytest.mark.parametrize("whose", ["bob's view of ann's", "nobody's", "malformed"])
@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_what_is_not_yours_is_not_there(served, anns, method, route, whose):
    """Another owner's project answers exactly as one that does not exist: 404."""
    project_id = {"bob's view of ann's": anns["project_id"], "nobody's": NOBODYS}.get(whose, "..%2f..%00;'--")
    body = {"POST": {"project_id": project_id} if route == "/export" else {}}.get(method)
    with served.client("bob") as bob:
        answer = bob.request(method, route.format(id=project_id, attempt=anns["attempt"]), json=body)
        if whose == "malformed" and route != "/export":
            assert answer.status_code in (404, 405)  # its slashes make it another route, which is none
        elif method == "HEAD":
            assert answer.status_code == 404
        else:
            _check_problem(answer, 404, "project_not_found")
    with served.client() as ann:
        assert ann.get(f"/status/{anns['project_id']}").json() == anns


@pytest.mark.parametrize(
    ("method", "route", "status", "code"),
    [
        ("GET", "/projects/{id}/stems/piano", 404, "unknown_stem"),
        ("GET", "/projects/{id}/peaks/..%2f..%2fetc", 404, None),
        ("GET", "/projects/{id}/preview/{attempt}/vocals/99999.flac", 409, "stem_not_ready"),
        ("GET", "/projects/{id}/preview/{attempt}/vocals/-1.flac", 422, "invalid_request"),
        ("GET", "/projects/{id}/preview/{none}-1/vocals/0.flac", 409, "stem_not_ready"),
        ("GET", "/projects/{id}/preview/mixture/vocals/0.flac", 422, "invalid_request"),
        ("POST", "/cancel/{id}", 409, "invalid_transition"),
        ("GET", "/projects?limit=0", 422, "invalid_request"),
        ("GET", "/projects?before=yesterday", 422, "invalid_request"),
        ("GET", "/projects?before=0001-01-01T00:00:00%2B14:00", 422, "invalid_request"),
        ("PUT", "/upload", 405, "method_not_allowed"),
        ("GET", "/export", 405, "method_not_allowed"),
        ("GET", "/no/such/thing", 404, "not_found"),
        ("GET", "/..%2f..%2fpyproject.toml", 404, "not_found"),
        ("GET", "/%2e%2e/app.py", 404, "not_found"),
    ],
)
def test_a_wrong_request_is_a_problem(served, anns, method, route, status, code):
    """Every wrong request has a problem with its code, never a traceback, and nothing outside the page is served."""
    path = route.format(id=anns["project_id"], attempt=anns["attempt"], none=NOBODYS)
    with served.client() as ann:
        answer = ann.request(method, path)
    _check_problem(answer, status, code or answer.json()["code"])


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"mix": {"stems": {"piano": {}}}}, 404, "unknown_stem"),
        ({"mix": {"gain_db": 61}}, 422, "invalid_request"),
        ({"mix": {"gain_db": "3"}}, 422, "invalid_request"),
        ({"mix": {"start_seconds": 3, "end_seconds": 2}}, 422, "invalid_options"),
        ({"mix": {"start_seconds": 99}}, 422, "invalid_options"),
        ({"mix": {"volume": 1}}, 422, "invalid_request"),
        ({"format": "exe"}, 422, "invalid_request"),
        ({"format": "mp3", "encoding": "int16"}, 422, "invalid_options"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(served, anns, change, status, code):
    """A mix document that does not fit is refused with the reason."""
    with served.client() as ann:
        _check_problem(ann.post("/export", json={"project_id": anns["project_id"], **change}), status, code)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"project_id": NaN}', b'{"\\ud800": 1}', b"\xff\xfe"])
def test_json_that_is_none_is_a_problem(served, content):
    """A body that is no document of the kind is 422, with odd numbers and characters in it too."""
    with served.client() as ann:
        answer = ann.post("/export", content=content, headers={"Content-Type": "application/json"})
    _check_problem(answer, 422, "invalid_request")


def test_stems_that_are_not_made_yet_are_409(served, noise):
    """Stems, peaks and exports of a project in work are refused as not ready."""
    project_id = served.upload(noise(20), model="testing:slow")
    with served.client() as ann:
        _check_problem(ann.get(f"/projects/{project_id}/stems/vocals"), 409, "stem_not_ready")
        _check_problem(ann.get(f"/projects/{project_id}/peaks/vocals"), 409, "stem_not_ready")
        _check_problem(ann.post("/export", json={"project_id": project_id}), 409, "stem_not_ready")
        ann.delete(f"/projects/{project_id}")


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "key-of-ann "}, {"Authorization": "Bearer wrong"}])
def test_without_a_key_there_is_nothing(served, headers):
    """A missing or wrong key is 401 and says which scheme would do."""
    headers = {name: value.replace("ann ", "nobody") for name, value in headers.items()}
    for path in ("/projects", "/models", f"/status/{NOBODYS}"):
        answer = httpx.get(served.url + path, headers=headers)
        _check_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_comes_in_three_ways(served):
    """A key is taken from either header or from the query."""
    for given in ({"headers": {"Authorization": "Bearer key-of-bob"}}, {"params": {"key": "key-of-bob"}}):
        assert httpx.get(f"{served.url}/limits", **given).json()["tier"] == "unlimited"
    assert httpx.get(f"{served.url}/limits", headers={"X-API-Key": "key-of-tiny"}).json()["tier"] == "tiny"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [("/ws/{id}", "?key=wrong", 4401), ("/ws/{id}", "?key=key-of-bob", 4404), ("/ws/none", "?key=key-of-bob", 4404)],
)
def test_a_socket_that_is_refused_says_why(served, anns, path, query, code):
    """A WebSocket without right or without a project closes with its own code."""
    address = served.url.replace("http", "ws", 1) + path.format(id=anns["project_id"]) + query
    with connect(address) as refused, pytest.raises(ConnectionClosed) as closed:
        refused.recv(timeout=30)
    assert closed.value.rcvd.code == code


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b'he said \\"hi\\".wav', 'he said "hi".wav'),
        (b"../../etc/passwd.wav", "passwd.wav"),
        (b"C:\\\\evil\\\\x.wav", None),
        (b"a\rSet-Cookie: x=1.wav", None),
        (b"%0d%0aSet-Cookie: x=1.wav", "%0d%0aSet-Cookie: x=1.wav"),
        ("canção 日本 \u202egpj.🎵.wav".encode(), None),
        (b"\xff\xfe\x00.wav", None),
        (b"x" * 3000 + b".wav", None),
        (b"';alert(1)//<script>.wav", None),
    ],
)
def test_a_file_name_is_only_a_name(served, noise, given, kept):
    """A name leads nowhere and adds no header: it is cleaned, and comes back in one quoted, encoded line."""
    with served.client() as ann:
        body = FILE.replace(b'"a"', b'"' + given + b'"') + noise(0.2) + b"\r\n--b--\r\n"
        answer = ann.post("/upload", content=body, headers={"Content-Type": FORM})
        if answer.status_code == 400:  # the form itself is broken by the name
            return
        final = served.wait(answer.json()["project_id"])
        fetched = ann.get(final["stems"][0]["url"])
    name = final["name"]
    assert name.isprintable()
    assert "/" not in name
    assert len(name) <= 255
    assert kept in (None, name)
    assert "Set-Cookie" not in fetched.headers
    found = re.fullmatch(
        r"attachment; filename=\"([ -~]*)\"; filename\*=UTF-8''([\w.~%-]+)", fetched.headers["Content-Disposition"]
    )
    assert '"' not in found[1]
    assert unquote(found[2]) == f"{name.removesuffix('.wav')} - vocals.flac"


def test_what_nobody_expected_is_a_problem_too(serve):
    """An error that is nobody's gives 500 without its inner details, and the usual headers."""

    class Broken(Studio):
        def status(self, *_: object, **__: object) -> None:
            raise RuntimeError("the secret inside")

    with Broken.open("memory://", "memory://broken", "inline") as studio:
        answer = httpx.get(f"{serve(create_app(studio))}/status/{NOBODYS}")
    _check_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("text", ["key", "=ann", "key=ann:platinum", "a=ann:pro,b=ann:free"])
def test_keys_that_cannot_be_read_stop_the_start(text):
    """Keys without owner, of no tier, or of two tiers for one owner are refused, and not shown."""
    with pytest.raises(InvalidOptions):
        Keys.from_environment({"ISOMIX_API_KEYS": text})
    assert "s3cret" not in repr(Keys.from_environment({"ISOMIX_API_KEYS": "s3cret=ann:pro"}))


def test_a_request_that_is_no_http_is_no_traceback(served, caplog):
    """Garbage on the line gives 400, and no traceback in the log."""
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(b"\x16\x03\x01garbage\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert not [record for record in caplog.records if record.exc_info]
    assert json.loads(httpx.get(f"{served.url}/health").text)["database"] == "ok"

"""The journey of a recording through the server, as any client makes it."""

import io
import json
from contextlib import ExitStack
from socket import SHUT_RDWR

import httpx
import numpy as np
import pytest
import soundfile
from examples.http_app.app import create_app
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from isomix import Studio

NAMES = ("vocals", "drums", "bass", "other")
RECORDING_SECONDS = 8.0


@pytest.fixture(scope="module", params=["embedded", "services"])
def served(request, served):
    """Return the application on embedded defaults, then on PostgreSQL, S3 and Redis."""
    return served if request.param == "embedded" else request.getfixturevalue("served_by_services")


@pytest.fixture(scope="module")
def recording(noise):
    return noise(RECORDING_SECONDS)


@pytest.fixture(scope="module")
def ready(served, recording):
    """Return the final status of a separated recording."""
    return served.wait(served.upload(recording, name="Canção nº 1.wav"))


@pytest.fixture
def ann(served):
    with served.client() as client:
        yield client


def _decode(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def _watch(address):
    """Return everything a WebSocket says, and the code of its end."""
    said = []
    with connect(address) as socket:
        try:
            while True:
                said.append(json.loads(socket.recv(timeout=30)))
        except ConnectionClosed as closed:
            return said, closed.rcvd.code


def test_a_socket_tells_the_way_to_the_end(served, recording):
    """A WebSocket tells rising progress and playable seconds, then that the stems are there, and closes."""
    project_id = served.upload(recording, model="testing:slow-200ms")
    said, code = _watch(served.socket(f"/ws/{project_id}"))
    assert code == 1000
    assert [status["status"] for status in said[:-1]] == ["pending"] * (len(said) - 1)
    assert said[-1]["status"] == "ready"
    assert {stem["name"] for stem in said[-1]["stems"]} == set(NAMES)
    for fact in ("progress", "playable_seconds"):
        values = [status[fact] for status in said]
        assert values == sorted(values)
        assert len(set(values)) > 2
    assert said[-1]["playable_seconds"] == RECORDING_SECONDS


def test_the_upload_says_where_to_look(served, ann, recording):
    """What an upload answers leads to the same status by address and by WebSocket."""
    accepted = ann.post("/upload", files={"file": ("a.wav", recording)}).json()
    said, _ = _watch(served.socket(accepted["ws_url"]))
    assert ann.get(accepted["status_url"]).json() == said[-1]


def test_projects_are_listed_newest_first_by_pages(served, ann, noise):
    """Projects come newest first, and the page after one begins where it ended."""
    ids = [served.upload(noise(0.5), owner="lee") for _ in range(3)]
    with served.client("lee") as lee:
        first = lee.get("/projects", params={"limit": 2}).json()["projects"]
        rest = lee.get("/projects", params={"before": first[-1]["created_at"]}).json()["projects"]
    assert [project["project_id"] for project in first + rest] == ids[::-1]
    assert not set(ids) & {project["project_id"] for project in ann.get("/projects").json()["projects"]}


def test_stems_sum_to_the_mixture(ann, ready, recording):
    """The stems that are fetched sum to the recording, and are as long as the status says."""
    stems = [_decode(ann.get(stem["url"]).content) for stem in ready["stems"]]
    np.testing.assert_allclose(sum(stems), _decode(recording), atol=4 / 2**15)
    assert all(
        len(audio) == stem["duration_seconds"] * 44100 for audio, stem in zip(stems, ready["stems"], strict=True)
    )


@pytest.mark.parametrize(
    ("asked", "status", "part", "told"),
    [
        ("bytes=0-9", 206, slice(0, 10), "bytes 0-9/{size}"),
        ("bytes=100-", 206, slice(100, None), "bytes 100-{last}/{size}"),
        ("bytes=-7", 206, slice(-7, None), None),
        ("bytes=5-99999999999", 206, slice(5, None), "bytes 5-{last}/{size}"),
        ("bytes=0-1,4-5", 200, slice(None), None),
        ("bytes=9-2", 200, slice(None), None),
        ("lines=1-2", 200, slice(None), None),
    ],
)
def test_a_range_is_that_part_of_the_file(ann, ready, asked, status, part, told):
    """A single range gives its bytes; what is no single range gives the whole."""
    url = ready["stems"][0]["url"]
    whole = ann.get(url).content
    answer = ann.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, whole[part])
    assert answer.headers["Content-Length"] == str(len(answer.content))
    if told:
        assert answer.headers["Content-Range"] == told.format(size=len(whole), last=len(whole) - 1)


@pytest.mark.parametrize("asked", ["bytes=99999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(ann, ready, asked):
    """A range that has no byte of the file is a 416 that tells the size."""
    stem = ready["stems"][0]
    answer = ann.get(stem["url"], headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{stem['size_bytes']}"


def test_what_a_client_has_is_not_sent_again(ann, ready):
    """An ETag that still holds gives 304, for stems, peaks and segments; one that does not gives the whole."""
    preview = ann.get(f"/projects/{ready['project_id']}/preview").json()
    segment = preview["urls"].format(stem="vocals", segment=0)
    for url in (ready["stems"][0]["url"], ready["stems"][0]["peaks_url"], segment):
        etag = ann.get(url).headers["ETag"]
        again = ann.get(url, headers={"If-None-Match": f'"other", {etag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert ann.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    stale = ann.get(ready["stems"][0]["url"], headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert stale.status_code == 200


def test_head_tells_what_get_would(ann, ready):
    """HEAD has the headers of GET and no body."""
    for url in (ready["stems"][0]["url"], ready["stems"][0]["peaks_url"], "/"):
        head, get = (ann.request(method, url, headers={"Accept-Encoding": "identity"}) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(len(get.content))
        assert head.headers["ETag"] == get.headers["ETag"]


def test_only_what_names_its_version_is_kept_for_ever(ann, ready):
    """Addresses with the stem's version may be cached for ever, bare ones and outdated ones have to be asked again."""
    for key in ("url", "peaks_url"):
        url = ready["stems"][0][key]
        assert "immutable" in ann.get(url).headers["Cache-Control"]
        for other in (url.partition("?")[0], url[:-1] + "x"):
            assert ann.get(other).headers["Cache-Control"] == "private, no-cache"


def test_preview_segments_are_the_stem_in_pieces(ann, ready):
    """The segments of the preview, one after the other and louder by their gain, are the stem."""
    preview = ann.get(f"/projects/{ready['project_id']}/preview").json()
    assert preview["complete"]
    for stem in ready["stems"]:
        urls = [preview["urls"].format(stem=stem["name"], segment=part["index"]) for part in preview["segments"]]
        answers = [ann.get(url) for url in urls]
        assert all("immutable" in answer.headers["Cache-Control"] for answer in answers)
        pieces = np.concatenate([_decode(answer.content) for answer in answers])
        np.testing.assert_allclose(
            pieces * 10 ** (preview["gain_db"] / 20), _decode(ann.get(stem["url"]).content), atol=4 / 2**15
        )


def test_peaks_are_the_extremes_of_the_stem(ann, ready):
    """The waveform has a least and a greatest value per pixel, which are the stem's."""
    stem = ready["stems"][0]
    peaks = ann.get(stem["peaks_url"]).json()
    audio = _decode(ann.get(stem["url"]).content)
    assert (peaks["version"], peaks["bits"], len(peaks["data"])) == (2, 8, 2 * peaks["length"])
    assert max(peaks["data"]) / 128 == pytest.approx(audio.max(), abs=2 / 128)
    assert min(peaks["data"]) / 128 == pytest.approx(audio.min(), abs=2 / 128)


def test_an_export_is_the_sum_of_the_stems_with_their_gains(ann, ready):
    """What is exported is what the mix document says: gains, mute, a part of the recording."""
    mix = {
        "stems": {"vocals": {"gain_db": -6}, "drums": {"mute": True}, "bass": {"gain_db": 3}},
        "gain_db": -1,
        "start_seconds": 1,
        "end_seconds": 3.5,
    }
    body = {"project_id": ready["project_id"], "mix": mix, "format": "wav", "encoding": "float32"}
    answer = ann.post("/export", json=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "audio/wav")
    assert float(answer.headers["X-Isomix-Gain-Db"]) == 0
    gains = {"vocals": -6, "bass": 3, "other": 0}
    stems = {stem["name"]: _decode(ann.get(stem["url"]).content) for stem in ready["stems"]}
    expected = sum(stems[name] * 10 ** ((gain - 1) / 20) for name, gain in gains.items())
    np.testing.assert_allclose(_decode(answer.content), expected[44100 : 44100 * 7 // 2], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "media_type"), [("wav", "audio/wav"), ("flac", "audio/flac"), ("mp3", "audio/mpeg"), ("ogg", "audio/ogg")]
)
def test_every_format_can_be_exported(ann, ready, kind, media_type):
    """Each format comes as what it is, under the recording's name, and has the recording's length."""
    answer = ann.post("/export", json={"project_id": ready["project_id"], "format": kind})
    assert answer.headers["Content-Type"] == media_type
    assert (
        f"filename*=UTF-8''Can%C3%A7%C3%A3o%20n%C2%BA%201%20%28mix%29.{kind}" in answer.headers["Content-Disposition"]
    )
    assert len(_decode(answer.content)) == pytest.approx(RECORDING_SECONDS * 44100, abs=2000)


def test_a_recording_can_be_separated_again(served, ann, noise):
    """Another separation of a project is accepted, and its stems take the place of the first."""
    project_id = served.upload(noise(1.0))
    served.wait(project_id)
    assert ann.post(f"/reseparate/{project_id}", json={"model": "hpss"}).status_code == 202
    assert [stem["name"] for stem in served.wait(project_id)["stems"]] == ["drums", "bass", "other"]


def test_cancel_and_delete(served, ann, noise):
    """A running separation can be cancelled; then the project can be deleted, and is gone."""
    project_id = served.upload(noise(30.0), model="testing:slow")
    assert ann.post(f"/cancel/{project_id}").status_code == 200
    assert served.wait(project_id)["status"] == "cancelled"
    assert ann.delete(f"/projects/{project_id}").status_code == 204
    assert ann.get(f"/status/{project_id}").status_code == 404


def test_a_failed_separation_says_why(served, noise):
    """The status of a separation that failed has a code and a message."""
    final = served.wait(served.upload(noise(5.0), model="testing:failing"))
    assert final["status"] == "failed"
    assert final["error"]["code"] == "out_of_memory"
    assert final["error"]["message"]
    assert "Traceback" not in final["error"]["message"]


def test_watchers_come_and_go(served, ann, noise, caplog):
    """Many watchers leave without a word; nobody else notices, and nothing is logged."""
    project_id = served.upload(noise(6.0), model="testing:slow-200ms")
    with ExitStack() as stack:
        watchers = [stack.enter_context(connect(served.socket(f"/ws/{project_id}"))) for _ in range(80)]
        assert all(json.loads(watcher.recv(timeout=30))["status"] == "pending" for watcher in watchers)
        assert ann.get(f"/status/{project_id}").status_code == 200
        for watcher in watchers:
            watcher.socket.shutdown(SHUT_RDWR)
    said, code = _watch(served.socket(f"/ws/{project_id}"))
    assert (said[-1]["status"], code) == ("ready", 1000)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def test_models_and_limits(served, ann):
    """The models are listed with one default, hpss is always there, and limits are those of the caller."""
    models = {model["name"]: model for model in ann.get("/models").json()}
    assert [name for name, model in models.items() if model["default"]] == ["testing:tiny"]
    assert models["hpss"]["available"]
    assert ann.get("/limits").json()["max_bytes"] is None
    with served.client("tiny") as tiny:
        assert tiny.get("/limits").json()["formats"] == ["wav"]


def test_the_page_and_its_headers(served, ann):
    """The page is served without a key, as itself, with headers that keep others from framing or feeding it."""
    page = httpx.get(served.url + "/")
    assert page.headers["Content-Type"].startswith("text/html")
    for answer in (page, ann.get("/models"), ann.get("/nowhere")):
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_other_origins_only_where_they_are_named(served, serve):
    """A named origin and the page's own may ask from a browser; another may not, though no key is needed."""
    url = serve(create_app(served.studio, origins=["https://mine.example"]))
    for origin, allowed in (("https://mine.example", "https://mine.example"), ("https://other.example", None)):
        answer = httpx.get(f"{url}/health", headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert httpx.get(f"{url}/projects", headers={"Origin": origin}).status_code == (200 if allowed else 401)
    assert httpx.get(f"{url}/projects", headers={"Origin": url}).status_code == 200


def test_a_store_that_signs_can_be_asked_itself(served, ready, serve):
    """Where redirects are wanted, a stem is fetched at a signed address if its store has such, and is the same."""
    path = ready["stems"][0]["url"]
    with served.client() as ann:
        streamed = ann.get(path).content
    url = serve(create_app(served.studio, keys=served.keys, redirects=True))
    answer = httpx.get(url + path, headers={"X-API-Key": "key-of-ann"})
    if served.studio.settings.storage.startswith("s3"):
        assert (answer.status_code, answer.headers["Cache-Control"]) == (307, "no-store")
        answer = httpx.get(answer.headers["Location"])
    assert (answer.status_code, answer.content) == (200, streamed)


def test_health_tells_what_is_wrong(serve, tmp_path):
    """Health is 200 while all is well, and 503 with the part that is not."""
    storage = tmp_path / "objects"
    with Studio.open("memory://", str(storage), "background") as studio:
        url = serve(create_app(studio))
        well = httpx.get(f"{url}/health")
        assert (well.status_code, well.json()["storage"]) == (200, "ok")
        for folder in list(storage.iterdir()):
            folder.rename(tmp_path / folder.name)
        storage.rmdir()
        storage.write_text("in the way")
        ill = httpx.get(f"{url}/health")
        assert (ill.status_code, ill.json()["database"]) == (503, "ok")
        assert ill.json()["storage"] != "ok"

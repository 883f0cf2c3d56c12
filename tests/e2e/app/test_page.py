"""The page of the reference application, in a real browser against the real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.e2e.app.listening import RATE, export, record_in_page, render_in_page, snr_db

from isomix.domain.mix import Mix

pytest_plugins = ("tests.e2e.app.browser",)

PLAYER = "isomixTest.view.mixer.player"
PHONE = {"viewport": {"width": 375, "height": 812}, "has_touch": True}
NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, select, [role=slider], [role=meter]")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
  .map((one) => one.outerHTML)"""


def upload(page: Any, path: Path) -> str:
    """Upload a file and return the project's id."""
    page.locator("#file").set_input_files(path)
    page.wait_for_url(re.compile(r"#/p/"))
    return page.url.rpartition("/")[2]


def wait_for_status(page: Any, status: str, seconds: float = 120) -> None:
    """Wait until the page says so."""
    page.wait_for_selector(f".song[data-status={status}]", timeout=seconds * 1000)


def wait_for(page: Any, condition: str, seconds: float = 60) -> None:
    """Wait until a JavaScript expression is true."""
    page.wait_for_function(f"() => {condition}", timeout=seconds * 1000)


@pytest.fixture
def song(server, open_page, make_recording):
    """Return the page of a song that is ready."""
    page = open_page(server)
    upload(page, make_recording(14))
    wait_for_status(page, "ready")
    return page


def test_the_whole_journey_with_real_weights(
    spleeter_weights, start_server, open_page, tmp_path, record_property, real_song
):
    """A real song sounds before its separation ends, and its export is what the browser renders of the same mix."""
    page = open_page(start_server(ISOMIX_MODEL="spleeter+hpss"))
    upload(page, real_song)
    page.wait_for_selector(".mixer")
    page.locator(".play-button").click()
    wait_for(page, f"{PLAYER}.position > 0.5 && {PLAYER}.state === 'playing'")
    heard = page.evaluate(f"""() => {{
      const samples = new Float32Array(1024);
      {PLAYER}.graph.meters[0].getFloatTimeDomainData(samples);
      return [document.querySelector(".song").dataset.status, Math.max(...samples),
        document.querySelector(".job .progress").ariaValueNow];
    }}""")
    assert heard[0] == "pending"
    assert heard[1] > 0
    assert 0 < int(heard[2]) < 100
    loaded = page.evaluate("""() => {
      const first = performance.getEntriesByName("isomix-first-sound")[0].startTime;
      return performance.getEntriesByType("resource").filter((one) => one.responseEnd <= first)
        .reduce((sum, one) => sum + one.transferSize, 0);
    }""")
    record_property("bytes_before_first_sound", loaded)
    assert 0 < loaded < 1e6

    wait_for_status(page, "ready")
    page.get_by_role("button", name="Mute Drums").click()
    page.get_by_role("slider", name="Gain of Vocals").fill("-4.5")
    page.get_by_role("slider", name="Pan of Other").fill("-0.4")
    path, mix, gain_db = export(page, tmp_path, start="0:02", end="0:21.5", fade_in="1.5", fade_out="2")
    assert Mix.from_dict(mix).stems["drums"].mute
    assert mix["stems"]["vocals"]["gain_db"] == -4.5
    exported, rate = soundfile.read(path, dtype="float32")
    rendered = render_in_page(page, mix) * 10 ** (gain_db / 20)
    assert (rate, exported.T.shape) == (RATE, rendered.shape)
    assert snr_db(exported.T, rendered) >= 60


@pytest.mark.parametrize("channels", [1, 2])
def test_an_export_is_what_the_browser_renders(channels, server, open_page, make_recording, tmp_path):
    """Solo, pan, gains and the master gain mean the same to the server and to the browser, in mono and in stereo."""
    page = open_page(server)
    upload(page, make_recording(9.5, f"{channels}.wav", channels))
    wait_for_status(page, "ready")
    page.get_by_role("button", name="Solo Vocals").click()
    page.get_by_role("button", name="Solo Bass").click()
    page.get_by_role("slider", name="Pan of Vocals").fill("0.7")
    page.get_by_role("slider", name="Gain of Bass").fill("6")
    page.get_by_role("slider", name="Master gain").fill("-3")
    path, mix, gain_db = export(page, tmp_path)
    exported, _ = soundfile.read(path, dtype="float32", always_2d=True)
    rendered = render_in_page(page, mix) * 10 ** (gain_db / 20)
    assert exported.T.shape == rendered.shape
    assert snr_db(exported.T, rendered) >= 60


@pytest.mark.parametrize("loop", [None, {"start": 1.25, "end": 3.5}])
def test_what_plays_has_no_seams(loop, server, open_page, make_recording):
    """Segments join sample by sample on the audio clock, and so do the ends of a loop."""
    page = open_page(server, bypass_csp=True)
    upload(page, make_recording(14))
    wait_for_status(page, "ready")
    recorded = record_in_page(page, 8, loop)
    rendered = render_in_page(page)[0]
    if loop:
        start, end = (round(loop[edge] * RATE) for edge in ("start", "end"))
        rendered = np.tile(rendered[start:end], 4)
    recorded = recorded[np.flatnonzero(np.abs(recorded) > 1e-6)[0] :]
    rendered = rendered[np.flatnonzero(np.abs(rendered) > 1e-6)[0] :]
    count = min(len(recorded), len(rendered))
    assert count > 6 * RATE
    assert snr_db(rendered[:count], recorded[:count]) >= 60


def test_progress_moves_and_listening_waits_for_more(start_server, open_page, make_recording):
    """Playback that catches up with the separation waits, and goes on by itself."""
    page = open_page(start_server(ISOMIX_MODEL="testing:slow-1600ms"))
    upload(page, make_recording(9))
    page.wait_for_selector(".mixer")
    shares = {page.locator(".job .progress").get_attribute("aria-valuenow")}
    page.keyboard.press("Space")
    wait_for(page, f"{PLAYER}.position > 0.9 && {PLAYER}.state === 'buffering'")
    assert page.locator(".waiting").text_content() == "Waiting for more…"
    shares.add(page.locator(".job .progress").get_attribute("aria-valuenow"))
    wait_for(page, f"{PLAYER}.position > 1.5 && {PLAYER}.state === 'playing'")
    assert len(shares) > 1
    wait_for_status(page, "ready")


def test_memory_does_not_grow_with_the_song(server, open_page, make_recording):
    """However far somebody jumps, only a few segments stay decoded."""
    page = open_page(server)
    upload(page, make_recording(60))
    wait_for_status(page, "ready")
    page.keyboard.press("Space")
    for seconds in range(2, 58, 5):
        page.evaluate(f"{PLAYER}.seek({seconds})")
        wait_for(page, f"{PLAYER}.position > {seconds} && {PLAYER}.state === 'playing'")
    assert page.evaluate("isomixTest.view.preview.keptSegments") <= 5


@pytest.mark.parametrize(
    ("locale", "titles"),
    [
        ("en-US", ["Invalid format", "The file is damaged", "The file is too large", "Your plan's quota is used up"]),
        (
            "pt-BR",
            ["Formato inválido", "O arquivo está danificado", "O arquivo é grande demais", "A cota do seu"],
        ),
    ],
)
def test_refused_uploads_say_why(locale, titles, start_server, open_page, make_recording, tmp_path):
    """A wrong type, a corrupt file, too many bytes and a used-up quota are told in the user's language."""
    page = open_page(start_server(ISOMIX_MODEL="testing:slow-2000ms", ISOMIX_TIER="free"), locale=locale)
    (tmp_path / "letter.mp3").write_text("Dear diary, today I have learnt that this is no song.")
    (tmp_path / "broken.flac").write_bytes(b"fLaC" + bytes(range(256)) * 40)
    with (tmp_path / "huge.wav").open("wb") as huge:
        huge.write(make_recording(1).read_bytes())
        huge.truncate(60 << 20)
    for name, title in zip(("letter.mp3", "broken.flac", "huge.wav"), titles[:3], strict=True):
        page.locator("#file").set_input_files(tmp_path / name)
        page.locator(".card.error", has_text=title).wait_for()
    song = make_recording(10)
    upload(page, song)
    page.goto(page.url.partition("#")[0] + "#/")
    page.locator("#file").set_input_files(song)
    page.locator(".card.error", has_text=titles[3]).wait_for()


def test_a_failed_separation_says_so(start_server, open_page, make_recording):
    """The status, the reason and what to do are shown, in Portuguese too, and it can be tried again."""
    page = open_page(start_server(ISOMIX_MODEL="testing:failing"), locale="pt-BR")
    upload(page, make_recording(6))
    wait_for_status(page, "failed")
    assert page.locator(".song-head .badge").text_content() == "Erro no processamento"
    assert page.locator(".card.error .error-title").text_content()
    page.get_by_role("button", name="Separar de novo").click()
    wait_for_status(page, "pending")
    wait_for_status(page, "failed")


def test_a_running_separation_can_be_cancelled(start_server, open_page, make_recording):
    """The button cancels it, and the page says that it is cancelled."""
    page = open_page(start_server(ISOMIX_MODEL="testing:slow-1000ms"))
    upload(page, make_recording(30))
    page.get_by_role("button", name="Cancel separation").click()
    wait_for_status(page, "cancelled")
    assert page.locator(".song-card").text_content().startswith("This separation was cancelled.")


def test_a_reload_finds_the_songs_again(song):
    """After a reload the song is open, its mix is remembered, and the list has it until it is deleted."""
    song.get_by_role("button", name="Mute Bass").click()
    song.reload()
    wait_for_status(song, "ready")
    song.wait_for_selector(".mixer")
    assert song.get_by_role("button", name="Mute Bass").get_attribute("aria-pressed") == "true"
    identity = song.url.rpartition("/")[2]
    entry = song.locator(f".project[data-id='{identity}']")
    assert entry.locator(".project-name").text_content() == "Canção.wav"
    entry.get_by_role("button", name="Delete Canção.wav").click()
    song.get_by_role("dialog").get_by_role("button", name="Delete").click()
    entry.wait_for(state="detached")
    song.get_by_role("heading", name="Take a song apart.").wait_for()


def test_a_socket_that_drops_is_replaced(start_server, open_page, make_recording):
    """The page polls while there is no socket, and listens to a new one as soon as there is."""
    server = start_server(ISOMIX_MODEL="testing:slow-1000ms")
    page = open_page(server)
    sockets = []

    def hold(socket):
        sockets.append(socket)
        if len(sockets) == 2:
            return socket.close(code=1011)  # it stays away for a while
        upstream = socket.connect_to_server()
        upstream.on_message(lambda message: socket.close(code=1011) if len(sockets) == 1 else socket.send(message))
        return None

    page.route_web_socket("**/ws/**", hold)
    polled = []
    page.on("request", lambda request: "/status/" in request.url and polled.append(request.url))
    upload(page, make_recording(12))
    page.wait_for_selector(".link[data-link=polling]")
    page.wait_for_selector(".link[data-link=live]")
    assert polled
    assert len(sockets) == 3
    wait_for_status(page, "ready")


def test_a_queue_without_workers_is_explained(server, open_page, make_recording):
    """The page tells the place in the queue, and that no worker is online."""
    page = open_page(server)
    news = {"phase": "queued", "status": "pending", "queue_position": 2, "worker_online": False, "playable_seconds": 0}

    def change(socket):
        upstream = socket.connect_to_server()
        upstream.on_message(lambda message: socket.send(json.dumps({**json.loads(message), **news})))

    page.route_web_socket("**/ws/**", change)
    upload(page, make_recording(5))
    page.locator(".job .facts", has_text="2 ahead in the queue").wait_for()
    assert page.locator(".job .warning").text_content().startswith("No worker is online.")


def test_a_killed_worker_is_recovered(start_server, open_page, make_recording):
    """A server that is killed in the middle comes back; the page says what happened, and the song gets ready."""
    server = start_server(ISOMIX_MODEL="testing:slow-700ms", ISOMIX_LEASE_SECONDS="3")
    page = open_page(server)
    upload(page, make_recording(12))
    page.wait_for_selector(".mixer")
    page.keyboard.press("Space")
    wait_for(page, f"{PLAYER}.position > 0.3")
    server.kill()
    page.wait_for_selector(".link[data-link=polling]")
    server.start()
    page.locator(".job .warning", has_text="A worker was lost").wait_for(timeout=60_000)
    wait_for_status(page, "ready")
    wait_for(page, f"{PLAYER}.position > 3")
    assert render_in_page(page).shape == (2, 12 * RATE)


def test_a_key_is_asked_for(start_server, open_page, make_recording):
    """Where the server wants a key, the page asks for it once per tab and uses it for everything."""
    server = start_server(ISOMIX_MODEL="testing:tiny", ISOMIX_API_KEYS="s3cret=ann:pro")
    page = open_page(server)
    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_label("API key").fill("s3cret")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready]")
    upload(page, make_recording(4))
    wait_for_status(page, "ready")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Drums").click()
    assert soundfile.info(download.value.path()).frames == 4 * RATE
    page.reload()
    wait_for_status(page, "ready")


def test_the_keyboard_alone_is_enough(song, tmp_path):
    """Play, seek, loop, mute, solo and export work without a pointer, and the focus is always seen."""
    song.keyboard.press("Space")
    wait_for(song, f"{PLAYER}.state === 'playing'")
    song.keyboard.press("ArrowRight")
    wait_for(song, f"{PLAYER}.position > 5")
    song.keyboard.press("i")
    song.keyboard.press("ArrowRight")
    song.keyboard.press("o")
    assert song.locator(".loop-text").text_content().startswith("Loop from 0:0")
    song.keyboard.press("l")
    assert song.get_by_role("button", name="Loop", exact=True).get_attribute("aria-pressed") == "false"
    song.keyboard.press("m")
    song.keyboard.press("2")
    assert song.get_by_role("button", name="Mute Drums").get_attribute("aria-pressed") == "true"
    song.keyboard.press("s")
    song.keyboard.press("1")
    assert song.get_by_role("button", name="Solo Vocals").get_attribute("aria-pressed") == "true"
    song.keyboard.press("Home")
    song.keyboard.press("?")
    assert song.get_by_role("dialog", name="Keyboard shortcuts").is_visible()
    song.keyboard.press("Escape")
    for _ in range(12):
        song.keyboard.press("Tab")
        outline = song.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", song.evaluate("document.activeElement.outerHTML")
    song.keyboard.press("e")
    with song.expect_download():
        song.locator("#export-format").focus()
        song.keyboard.press("Tab")
        for _ in range(6):
            song.keyboard.press("Tab")
        song.keyboard.press("Enter")


def test_every_control_has_a_name(song):
    """A screen reader has something to say for each control, on the song's page, in dialogs and on the start page."""
    assert song.evaluate(NAMELESS) == []
    song.locator("button.export").click()
    assert song.evaluate(NAMELESS) == []
    song.keyboard.press("Escape")
    song.get_by_role("link", name="New song").click()
    song.wait_for_selector(".welcome")
    assert song.evaluate(NAMELESS) == []


def test_a_phone_needs_no_sideways_scrolling(server, open_page, make_recording):
    """At 375 px everything fits, before and after the upload and in the dialogs."""
    page = open_page(server, **PHONE)
    page.wait_for_selector(".welcome")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    upload(page, make_recording(8, "A song with a name that is far too long for the width of a phone.wav"))
    page.wait_for_selector(".mixer")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    wait_for_status(page, "ready")
    page.locator("button.export").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.locator(".export-dialog").bounding_box()["width"] <= 375


def test_a_song_can_be_dropped_on_the_page(server, open_page, make_recording):
    """A file that is dropped anywhere is uploaded, and told in Portuguese if that is the browser's language."""
    page = open_page(server, locale="pt-BR")
    page.wait_for_selector(".welcome")
    data = list(make_recording(3).read_bytes())
    transfer = page.evaluate_handle(
        """(data) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(data)], "solta.wav", { type: "audio/wav" }));
          return transfer;
        }""",
        data,
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    page.wait_for_url(re.compile(r"#/p/"))
    wait_for_status(page, "ready")
    assert page.locator(".song-title").text_content() == "solta.wav"
    assert page.locator(".song-head .badge").text_content() == "Pronta"


def test_nothing_moves_for_who_wants_no_motion(server, open_page):
    """Animations stop for users who prefer reduced motion."""
    page = open_page(server, reduced_motion="reduce")
    page.wait_for_selector(".drop-art i")
    assert page.evaluate("document.getAnimations().length") == 0


@pytest.fixture(scope="module")
def real_song(tmp_path_factory):
    """Return the recording that `make demo` separates, over and over, for 75 seconds."""
    from examples.demo import CLIP, CLIP_FILE

    import isomix
    from isomix.models.store import WeightsStore

    clip = WeightsStore().get(CLIP) / CLIP_FILE.name
    audio, rate = isomix.read(clip, stream=0)
    times = -(-75 * rate // audio.shape[1])
    path = tmp_path_factory.mktemp("song") / "Falcon 69.wav"
    soundfile.write(path, np.tile(audio, times)[:, : 75 * rate].T, rate)
    return path

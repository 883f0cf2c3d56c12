"""What the page plays, renders and exports, as arrays."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

RATE = 44100
RENDER = """async (mix) => {
  const rendered = await isomixTest.renderOffline(mix);
  const sides = [0, 1].map((side) => rendered.getChannelData(side));
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(new Blob(sides));
  });
  return url.slice(url.indexOf(",") + 1);
}"""
RECORDER = """registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([input]) {
    this.port.postMessage(input[0]?.slice() ?? new Float32Array(128));
    return true;
  }
});"""
RECORD = """async ({ seconds, loop, recorder: source }) => {
  const { player } = isomixTest.view.mixer;
  await player.play();
  player.pause();
  const { graph } = player;
  const module = new Blob([source], { type: "text/javascript" });
  await graph.context.audioWorklet.addModule(URL.createObjectURL(module));
  const recorder = new AudioWorkletNode(graph.context, "recorder", { channelCount: 2, channelCountMode: "explicit" });
  const blocks = [];
  recorder.port.onmessage = ({ data }) => blocks.push(data);
  graph.master.connect(recorder);
  player.setLoop(loop);
  player.seek(loop?.start ?? 0);
  await player.play();
  const wanted = (seconds * graph.context.sampleRate) / 128;
  while (blocks.length < wanted) await new Promise((resolve) => setTimeout(resolve, 50));
  graph.master.disconnect(recorder);
  player.pause();
  return blocks.flatMap((block) => [...block]);
}"""


def render_in_page(page: Any, mix: dict[str, Any] | None = None) -> np.ndarray:
    """Return what the page's OfflineAudioContext makes of a mix: (2, samples)."""
    data = base64.b64decode(page.evaluate(RENDER, mix))
    return np.frombuffer(data, np.float32).reshape(2, -1)


def snr_db(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Return the energy of the reference against that of the difference, in dB."""
    noise = np.sum((reference.astype(np.float64) - estimate) ** 2)
    return float(10 * np.log10(np.sum(reference.astype(np.float64) ** 2) / max(noise, 1e-30)))


def record_in_page(page: Any, seconds: float, loop: dict[str, float] | None) -> np.ndarray:
    """Return the left channel of what the page plays, taken from its audio thread; it needs ``bypass_csp``."""
    return np.array(page.evaluate(RECORD, {"seconds": seconds, "loop": loop, "recorder": RECORDER}), np.float32)


def export(page: Any, folder: Path, **fields: str) -> tuple[Path, dict[str, Any], float]:
    """Export through the dialog; return the file, the mix document that was sent and the shared gain in dB."""
    page.locator("button.export").click()
    page.locator("#export-format").select_option(fields.pop("format", "wav"))
    encoding = fields.pop("encoding", "float32")
    if encoding:
        page.locator("#export-encoding").select_option(encoding)
    for name, value in fields.items():
        page.locator(f"#export-{name.replace('_', '-')}").fill(value)
    with page.expect_download() as download, page.expect_response("**/export") as answer:
        page.locator(".export-dialog button.primary").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    mix = json.loads(answer.value.request.post_data)["mix"]
    return path, mix, float(answer.value.headers["x-isomix-gain-db"])

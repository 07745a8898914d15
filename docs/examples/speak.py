"""Text to speech: espeak-ng (apt-get install espeak-ng) writes a WAV into the work folder, which becomes the output."""

import json
import os
import subprocess
import sys

asked = json.load(sys.stdin)
path = os.path.join(os.environ["MILLRACE_WORK_DIR"], "speech.wav")
subprocess.run(
    ["espeak-ng", "-v", asked["voice"], "-s", str(asked["words_per_minute"]), "-w", path, "--stdin"],
    input=asked["text"],
    text=True,
    check=True,
)
print(json.dumps({"event": "file", "path": path, "content_type": "audio/wav"}))

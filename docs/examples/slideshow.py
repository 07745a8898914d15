"""Pictures to a video: ffmpeg (apt-get install ffmpeg) says how far it is, which becomes the progress."""

import json
import os
import subprocess
import sys


def tell(**event):
    print(json.dumps(event), flush=True)


asked = json.load(sys.stdin)
pictures, seconds = asked["pictures"], asked["seconds"]
size = f"{asked['width']}:{asked['height']}"
path = os.path.join(os.environ["MILLRACE_WORK_DIR"], "slideshow.mp4")

command = ["ffmpeg", "-nostdin", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.2"]
for picture in pictures:
    command += ["-loop", "1", "-t", str(seconds), "-i", picture]
fitted = f"scale={size}:force_original_aspect_ratio=decrease,pad={size}:-1:-1,setsar=1,fps=25,format=yuv420p"
each = "".join(f"[{n}:v]{fitted}[p{n}];" for n in range(len(pictures)))
joined = "".join(f"[p{n}]" for n in range(len(pictures)))
command += ["-filter_complex", f"{each}{joined}concat=n={len(pictures)}:v=1:a=0", "-c:v", "libx264", path]

running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
for line in running.stdout:
    name, _, value = line.strip().partition("=")
    if name == "out_time_us" and value.isdigit():
        tell(event="progress", percent=min(100, int(value) / (seconds * len(pictures) * 1e4)))
if running.wait() != 0:
    sys.exit("ffmpeg could not make a video of these pictures")
tell(event="file", path=path, content_type="video/mp4")

"""A model in ten lines: the input is JSON on stdin, the answer is events on stdout, one JSON object a line."""

import collections
import json
import re
import sys

text = json.load(sys.stdin)["text"]
print("counting", len(text), "characters")  # a line that is no event is a line of the log
counts = collections.Counter(re.findall(r"\w+", text.lower()))
most_common = counts.most_common(1)
answer = {"words": sum(counts.values()), "most_common": most_common[0][0] if most_common else None}
print(json.dumps({"event": "result", "output": answer}))

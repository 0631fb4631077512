"""Ask the service of a project, as a client would: `ask.py URL FILE OUT`, run inside the project.

Sends the rows of a CSV file, writes what came back as late labels to OUT, and prints a JSON object.
"""

import json
import sys
import urllib.request
from pathlib import Path

from my_ml_project.ops.core.project import schema
from my_ml_project.ops.data import dataset
from my_ml_project.ops.training.golden import as_sent

url, source, out = sys.argv[1:]
rows = dataset.read_csv(Path(source)).drop(columns=schema.IDENTIFIER)
body = json.dumps({"rows": as_sent(rows)}, allow_nan=False).encode()
with urllib.request.urlopen(urllib.request.Request(f"{url}/predict", body)) as reply:  # noqa: S310
    answer = json.load(reply)
with urllib.request.urlopen(f"{url}/metrics") as reply:  # noqa: S310
    lines = reply.read().decode().splitlines()
one = answer["predictions"]
labels = "".join(f"{each['prediction_id']},{each['label']}\n" for each in one)
Path(out).write_text(f"prediction_id,label\n{labels}", "utf-8")
print(
    json.dumps(
        {
            "scores": [each["score"] for each in one],
            "labels": [each["label"] for each in one],
            "classes": answer["classes"],
            "first": one[0]["prediction_id"],
            "nonfinite": sum(
                float(line.split()[-1]) for line in lines if line.startswith("ml_nonfinite_total")
            ),
        }
    )
)

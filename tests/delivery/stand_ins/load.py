"""Ask the service without a pause until stdin is closed; print how many requests had which end."""

import http.client
import json
import sys
import threading
import time
from collections import Counter

port, golden, rows = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with open(golden, encoding="utf-8") as file:  # noqa: PTH123
    inputs = json.load(file)["inputs"]
# Many rows are filled up with blanks, which JSON allows, to nearly what a request may have.
BODY = json.dumps({"rows": (inputs * 1000)[: rows or len(inputs)]})
if rows:
    BODY = BODY.ljust(1000 * 1000)
ends: Counter[str] = Counter()
going = True


def ask(times: int) -> None:
    """Ask as a client that keeps its connection, or as one that opens a new one each time."""
    while going:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            for _ in range(times):
                connection.request("POST", "/predict", BODY)
                answer = connection.getresponse()
                answer.read()
                ends[str(answer.status)] += 1
                time.sleep(0.02)
                if answer.will_close:
                    break
        except (OSError, http.client.HTTPException) as error:
            ends[repr(error)] += 1
        finally:
            connection.close()


clients = [threading.Thread(target=ask, args=(times,)) for times in (20, 1)]
for client in clients:
    client.start()
sys.stdin.read()
going = False
for client in clients:
    client.join()
sys.stdout.write(json.dumps(ends))

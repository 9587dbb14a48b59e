"""LiteRT's `benchmark_model`, as pushed to a phone of the tests: hands its options to the helper, prints the answer.

A process that loads the interpreter anew for every model would take ten times as long as what it measures.
`LoopbackPhone.write_tool` puts the line with this machine's Python in front, and the ABI it is built for behind.
"""

import json
import os
import signal
import socket
import sys


def main(abi):
    if abi != os.environ["PHONE_ABI"]:
        print(f"{sys.argv[0]}: not executable: 64-bit ELF file", file=sys.stderr)
        return 126
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ["PHONE_HELPER"])
    request = {"arguments": sys.argv, "folder": os.getcwd(), "phone": os.environ["PHONE_ROOT"]}
    connection.sendall(json.dumps(request).encode() + b"\n")
    for line in connection.makefile(encoding="utf-8"):
        answer = json.loads(line)
        if "text" in answer:
            sys.stdout.write(answer["text"])
            sys.stdout.flush()
        if answer.get("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "code" in answer:
            return answer["code"]
    return 1

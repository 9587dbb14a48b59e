"""LiteRT's `benchmark_model`, as pushed to a phone of the tests: hands its options to the helper, prints the answer.

A process that loads the interpreter anew for every model would take ten times as long as what it measures; so would one
that imports half of Python: `_socket` is what `socket` is made of.
`LoopbackPhone.write_tool` puts the line with this machine's Python in front, and the ABI it is built for behind.
"""

import _socket
import os
import sys

_SIGKILL = 9


def main(abi):
    if abi != os.environ["PHONE_ABI"]:
        os.write(2, f"{sys.argv[0]}: not executable: 64-bit ELF file\n".encode())
        return 126
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(os.environ["PHONE_HELPER"])
    request = "\0".join([os.environ["PHONE_ROOT"], os.getcwd(), *sys.argv]).encode()
    connection.sendall(len(request).to_bytes(4, "big") + request)
    # Text as it is to be printed, then a zero byte and the exit code; no code means that the tool is killed.
    end = b""
    while data := connection.recv(65536):
        text, mark, code = data.partition(b"\0")
        os.write(1, b"" if end else text)
        end += mark + code if mark else b""
    if end == b"\0":
        os.kill(os.getpid(), _SIGKILL)
    return int(end[1:] or 1)

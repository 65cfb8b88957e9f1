"""Runs a program that takes datagrams on standard input and gives them on standard output, such as openssl s_client or
gnutls-cli: each line in hex that comes in is given to it as bytes. Whenever it prints something, all that it has printed so far is
printed as a line in hex, for no datagram is known to come in one piece.

    datagram_pipe.py PROGRAM ARGUMENT...
"""
import ctypes
import os
import signal
import subprocess
import sys
import threading


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main():
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             preexec_fn=end_with_parent)

    def give():
        for line in sys.stdin:
            try:
                os.write(child.stdin.fileno(), bytes.fromhex(line))
            except OSError:
                return
        child.stdin.close()

    threading.Thread(target=give, daemon=True).start()
    printed = b""
    while received := os.read(child.stdout.fileno(), 65536):
        printed += received
        print(printed.hex(), flush=True)
    print("ENDED", child.wait(), flush=True)
    os._exit(0)  # Without waiting for who reads the input.


main()

"""A program whose output is a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios


def sent_to_terminal(words, stream, columns=0, **more):
    """(exit status, text): what a program sends to a terminal that is its "stdout" or "stderr"."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(words, **{**more, stream: theirs}) as process:
        os.close(theirs)
        sent = b""
        try:
            while part := os.read(ours, 65536):
                sent += part
        except OSError:  # the terminal is closed: its process has ended
            pass
        os.close(ours)
    return process.returncode, sent.decode()

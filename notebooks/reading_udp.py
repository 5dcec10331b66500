import json
import socket
import sys
import time

ADDRESS = ("localhost", 9997)


def receive(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(ADDRESS)
        sock.settimeout(20)
        expected = 1
        for _ in range(count):
            datagram, sender = sock.recvfrom(65_535)
            row = json.loads(datagram)
            if row["seq"] != expected:
                print("expected", expected, "but got", row["seq"])
            expected = row["seq"] + 1
            print("from port", sender[1], "came", row["text"])


def send(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for seq in range(1, count + 1):
            datagram = json.dumps({"seq": seq, "text": f"row {seq}"}).encode("utf-8")
            sock.sendto(datagram, ADDRESS)
            time.sleep(0.1)


if __name__ == "__main__":
    if sys.argv[1:] not in (["receive"], ["send"]):
        how = "python notebooks/reading_udp.py receive"
        sys.exit(f"It needs a word: type {how}, then the same with send in another terminal.")
    try:
        {"receive": receive, "send": send}[sys.argv[1]](5)
    except TimeoutError:
        sys.exit("No row came for 20 seconds: start it again, then start send in another terminal.")
    except OSError as error:
        sys.exit(f"{error}: end the other program at port {ADDRESS[1]}, or change ADDRESS.")
    except KeyboardInterrupt:
        sys.exit("Stopped by hand.")

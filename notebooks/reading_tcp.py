import json
import socket
import sys
import time

ADDRESS = ("localhost", 9996)


def receive():
    with socket.create_server(ADDRESS) as server:
        server.settimeout(5)
        connection, _ = server.accept()
        unfinished = b""
        with connection:
            while data := connection.recv(1000):
                *lines, unfinished = (unfinished + data).split(b"\n")
                for line in lines:
                    print("came", json.loads(line)["text"])
        if unfinished:
            print("the sender broke off in the middle of a row")


def send(count):
    with socket.create_connection(ADDRESS) as sock:
        for seq in range(1, count + 1):
            line = json.dumps({"seq": seq, "text": f"row {seq}"}) + "\n"
            sock.sendall(line.encode("utf-8"))
            time.sleep(0.1)


if __name__ == "__main__":
    receive() if sys.argv[1] == "receive" else send(5)

import json
import socket
import sys
import time

ADDRESS = ("localhost", 9996)


def receive():
    with socket.create_server(ADDRESS) as server:
        server.settimeout(20)
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
    if sys.argv[1:] not in (["receive"], ["send"]):
        how = "python notebooks/reading_tcp.py receive"
        sys.exit(f"It needs a word: type {how}, then the same with send in another terminal.")
    try:
        receive() if sys.argv[1] == "receive" else send(5)
    except TimeoutError:
        sys.exit(
            "Nobody connected for 20 seconds: start it again, then start send in another terminal."
        )
    except ConnectionRefusedError:
        sys.exit("Nobody listens: start it with receive in another terminal, then send again.")
    except ConnectionError:
        sys.exit("The other end has gone: start receive again, then send.")
    except OSError as error:
        sys.exit(f"{error}: end the other program at port {ADDRESS[1]}, or change ADDRESS.")
    except KeyboardInterrupt:
        sys.exit("Stopped by hand.")

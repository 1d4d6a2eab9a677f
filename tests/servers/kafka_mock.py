"""librdkafka's mock cluster as a process of its own: ``python -m tests.servers.kafka_mock BROKERS CONTROL``.

It is C code in the wheel of confluent-kafka, which shows no more of it than how many brokers there are. On the socket
CONTROL it takes a line at a time: ``down`` and ``up`` for all brokers, ``advertise PORT`` for the first one, ``topic
TOPIC PARTITIONS COPIES`` for a new one, ``deny TOPIC`` and ``allow TOPIC``, ``delete TOPIC PARTITION BEFORE`` for what
is older than an offset, ``refuse API`` for the next request of a kind.
"""

from __future__ import annotations

import ctypes
import socketserver
import sys
from pathlib import Path

import confluent_kafka

PRODUCER = 0
DENIED = 29  # TOPIC_AUTHORIZATION_FAILED
_POINTER = ctypes.c_void_p


def library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    loaded = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
    loaded.rd_kafka_new.restype = _POINTER
    loaded.rd_kafka_mock_cluster_new.restype = _POINTER
    loaded.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return loaded


class Cluster:
    def __init__(self, brokers: int) -> None:
        self.library = library()
        reason = ctypes.create_string_buffer(512)
        handle = self.library.rd_kafka_new(PRODUCER, None, reason, len(reason))
        self.handle = _POINTER(self.library.rd_kafka_mock_cluster_new(_POINTER(handle), brokers))
        self.numbers = range(1, brokers + 1)
        self.library.rd_kafka_mock_group_initial_rebalance_delay_ms(self.handle, 0)

    @property
    def addresses(self) -> str:
        found: bytes = self.library.rd_kafka_mock_cluster_bootstraps(self.handle)
        return found.decode()

    def carry_out(self, order: str, argument: str) -> None:
        mock = self.library
        match order:
            case "down":
                for number in self.numbers:
                    mock.rd_kafka_mock_broker_set_down(self.handle, number)
            case "up":
                for number in self.numbers:
                    mock.rd_kafka_mock_broker_set_up(self.handle, number)
            case "advertise":
                mock.rd_kafka_mock_broker_set_host_port(self.handle, 1, b"127.0.0.1", int(argument))
            case "topic":
                name, partitions, copies = argument.split()
                mock.rd_kafka_mock_topic_create(self.handle, name.encode(), int(partitions), int(copies))
            case "deny" | "allow":
                error = DENIED if order == "deny" else 0
                mock.rd_kafka_mock_topic_set_error(self.handle, argument.encode(), error)
            case "refuse":
                errors = (ctypes.c_int * 1)(DENIED)
                mock.rd_kafka_mock_push_request_errors_array(self.handle, int(argument), 1, errors)
            case "delete":
                topic, partition, before = argument.split()
                mock.rd_kafka_mock_partition_delete_records(
                    self.handle, topic.encode(), int(partition), ctypes.c_int64(int(before))
                )
            case _:
                raise ValueError(order)


def main(brokers: int, control: str) -> None:
    cluster = Cluster(brokers)

    class Orders(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            order, _, argument = self.rfile.readline().decode().strip().partition(" ")
            cluster.carry_out(order, argument)
            self.wfile.write(b"done\n")

    with socketserver.UnixStreamServer(control, Orders) as server:
        print("addresses", cluster.addresses, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

"""Where backends are: names, their addresses and TTLs, and resolvers that fail."""

import socket
import time

import pytest
from harness.agent import config, service
from harness.backends import TlsBackend, echo
from harness.dns import AAAA, REFUSED, SERVFAIL, A, DnsServer, PrivateResolver, why_not
from harness.net import HANG, connect, expect_reset, free_port, in_parallel, recv_exact, wait_for

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

RETRY = 8  # seconds within which a failing name has certainly been asked for again


@pytest.fixture
def dns():
    with DnsServer() as server:
        yield server


class Gateway:
    """An agent whose services point to names, with its own view of /etc."""

    def __init__(self, tmp_path, start, ca, certificate):
        self._tmp_path, self._start, self._ca = tmp_path, start, ca
        self._certificate = certificate
        self.listens = {}

    def run(self, servers, addresses, hosts="", options="", agent=None, **keys):
        """`addresses`: service name to its `address`, or to a list of them."""
        self.etc = PrivateResolver(self._tmp_path / "etc", servers, hosts, options)
        port = free_port()
        self.listens = {
            name: (f"127.0.{i // 250}.{i % 250 + 1}", port) for i, name in enumerate(addresses)
        }
        text = config(
            *(
                service(name, "{}:{}".format(*self.listens[name]), address, self._ca, **keys)
                for name, address in addresses.items()
            ),
            certificate=self._certificate,
            agent=agent,
        )
        self.agent = self._start(text, preexec=self.etc.enter)
        return self

    def call(self, name="backend"):
        host, port = self.listens[name]
        return connect(port, host=host)

    def says(self, name="backend", text=b"hello"):
        """True when a new connection reaches a backend that echoes."""
        try:
            with self.call(name) as sock:
                sock.sendall(text)
                return recv_exact(sock, len(text)) == text
        except (OSError, AssertionError):
            return False

    def resets(self, name="backend"):
        """A new caller gets a reset; returns after how many seconds."""
        begun = time.monotonic()
        try:
            with self.call(name) as sock:
                expect_reset(sock)
        except ConnectionResetError:
            pass  # while it still connected
        return time.monotonic() - begun


@pytest.fixture
def gate(tmp_path, start, ca, gateway):
    return Gateway(tmp_path, start, ca, gateway)


@pytest.fixture
def backend(leaf, ca):
    with TlsBackend(echo, leaf, ca) as server:
        yield server


def twins(leaf, ca, first="127.0.0.1", second="127.0.0.2"):
    """Two backends on one port of two addresses."""
    port = free_port()
    return TlsBackend(echo, leaf, ca, port, first), TlsBackend(echo, leaf, ca, port, second)


# Answers of every kind


def test_a_name_leads_to_its_address(gate, dns, backend):
    dns.set("api.test", "127.0.0.1")
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    assert gate.says()
    line = gate.agent.wait_log(msg="name resolved", host="api.test")
    assert (line["services"], line["addresses"], line["ttl"]) == ("backend", "127.0.0.1", "60")
    assert gate.agent.ended(reason="ok")["upstream"] == f"127.0.0.1:{backend.port}"


def test_capital_letters_and_a_trailing_dot_are_the_same_name(gate, dns, backend):
    dns.set("api.test", "127.0.0.1")
    gate.run([dns], {"a": f"API.Test.:{backend.port}", "b": f"api.test:{backend.port}"})
    assert gate.says("a") and gate.says("b")
    assert dns.count("api.test", A) == 1


def test_a_cname_chain(gate, dns, backend):
    dns.set("api.test", cname="b.test", ttl=300)
    dns.set("b.test", cname="c.test", ttl=7)
    dns.set("c.test", "127.0.0.1", ttl=200)
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    assert gate.says()
    assert gate.agent.wait_log(msg="name resolved")["ttl"] == "7"


def test_a_cname_loop_fails_like_any_name_without_address(gate, dns):
    dns.set("api.test", cname="b.test")
    dns.set("b.test", cname="api.test")
    gate.run([dns], {"backend": "api.test:443"})
    gate.agent.wait_log(msg="name does not resolve", host="api.test")
    gate.resets()
    gate.agent.ended(reason="dns_failed", side="network")


def test_both_families_are_used(gate, dns, leaf, ca):
    four, six = twins(leaf, ca, "127.0.0.1", "::1")
    dns.set("api.test", "127.0.0.1", "::1")
    with four, six:
        gate.run([dns], {"backend": f"api.test:{four.port}"}, prewarm=0)  # for the order
        assert gate.says()
        addresses = gate.agent.wait_log(msg="name resolved")["addresses"].split()
        assert sorted(addresses) == ["127.0.0.1", "::1"]
        first = four if addresses[0] == "127.0.0.1" else six
        second = six if first is four else four
        assert len(first.sessions) == 1
        first.__exit__()
        assert gate.says()
        assert len(second.sessions) == 1


def test_a_name_with_ipv6_alone(gate, dns, leaf, ca):
    dns.set("api.test", "::1")
    with TlsBackend(echo, leaf, ca, host="::1") as backend:
        gate.run([dns], {"backend": f"api.test:{backend.port}"})
        assert gate.says()


def test_a_truncated_answer_is_asked_for_again_over_tcp(gate, dns, backend):
    dns.set("api.test", "127.0.0.1", truncate=True)
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    assert gate.says()
    assert dns.count("api.test", A, "tcp") == 1


def test_more_addresses_than_fit_a_datagram(gate, dns, backend):
    many = [f"192.0.2.{i}" for i in range(1, 150)]
    dns.set("api.test", "127.0.0.1", *many)
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    assert len(gate.agent.wait_log(msg="name resolved")["addresses"].split()) == 64


def test_etc_hosts_comes_first_and_is_followed(gate, dns, leaf, ca):
    one, two = twins(leaf, ca)
    dns.set("api.test", "127.0.0.9")
    with one, two:
        gate.run([dns], {"backend": f"api.test:{one.port}"}, hosts="127.0.0.1 api.test\n")
        assert gate.says()
        assert dns.count("api.test") == 0
        assert gate.agent.wait_log(msg="name resolved")["source"] == "/etc/hosts"
        gate.etc.hosts.write_text("127.0.0.2 other api.test\n")
        gate.agent.wait_log(msg="addresses changed", addresses="127.0.0.2")
        wait_for(lambda: gate.says() and two.used, what="the workers to know")


def test_the_search_list(gate, dns, backend):
    dns.set("api.corp.test", "127.0.0.1")
    gate.run([dns], {"backend": f"api:{backend.port}"}, options="search corp.test\n")
    assert gate.says()


def test_several_names_are_tried_in_the_order_of_the_file(gate, dns, leaf, ca):
    one, two = twins(leaf, ca)
    dns.set("a.test", "127.0.0.1")
    dns.set("b.test", "127.0.0.2")
    with one, two:
        names = [f"a.test:{one.port}", f"b.test:{one.port}"]
        gate.run([dns], {"backend": names}, prewarm=0)  # for the order
        gate.agent.wait_log(msg="name resolved", host="a.test")
        gate.agent.wait_log(msg="name resolved", host="b.test")
        assert gate.says()
        assert (len(one.sessions), len(two.sessions)) == (1, 0)
        one.__exit__()
        assert gate.says()
        assert len(two.sessions) == 1


def test_one_name_of_two_fails(gate, dns, backend):
    dns.set("b.test", "127.0.0.1")
    gate.run([dns], {"backend": [f"a.test:{backend.port}", f"b.test:{backend.port}"]})
    assert gate.says()


# Time


def test_a_new_address_serves_new_connections_and_old_ones_go_on(gate, dns, leaf, ca):
    one, two = twins(leaf, ca)
    dns.set("api.test", "127.0.0.1", ttl=1)
    with one, two:
        gate.run([dns], {"backend": f"api.test:{one.port}"})
        with gate.call() as old:
            old.sendall(b"before")
            assert recv_exact(old, 6) == b"before"
            dns.set("api.test", "127.0.0.2", ttl=1)
            gate.agent.wait_log(msg="addresses changed", addresses="127.0.0.2")
            wait_for(lambda: gate.says() and two.used, what="the workers to know")
            before = len(one.used)
            assert gate.says() and len(one.used) == before
            old.sendall(b"after")
            assert recv_exact(old, 5) == b"after"


def test_the_ttl_is_kept(gate, dns, backend):
    dns.set("short.test", "127.0.0.1", ttl=1)
    dns.set("long.test", "127.0.0.1", ttl=3600)
    gate.run([dns], {"a": "short.test:443", "b": "long.test:443"})
    dns.wait_for_queries(4, name="short.test", qtype=A)
    assert dns.count("long.test", A) == 1


def test_a_ttl_of_0_is_no_flood(gate, dns):
    dns.set("api.test", "127.0.0.1", ttl=0)
    begun = time.monotonic()
    gate.run([dns], {"backend": "api.test:443"})
    dns.wait_for_queries(3, name="api.test", qtype=A)
    assert time.monotonic() - begun > 1.9


def test_another_order_of_the_same_addresses_is_no_change(gate, dns):
    dns.set("api.test", "127.0.0.1", "127.0.0.2", ttl=1)
    gate.run([dns], {"backend": "api.test:443"})
    dns.wait_for_queries(1, name="api.test", qtype=A)
    dns.set("api.test", "127.0.0.2", "127.0.0.1", ttl=1)
    dns.wait_for_queries(3, name="api.test", qtype=A)
    assert not gate.agent.find_log(msg="addresses changed")


# Failure


def test_started_while_dns_is_down_it_serves_as_soon_as_dns_is_up(gate, backend):
    dns = DnsServer()
    dns.set("api.test", "127.0.0.1")
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    gate.agent.wait_log(msg="name does not resolve", host="api.test")
    gate.resets()
    ended = gate.agent.ended(reason="dns_failed")
    assert "api.test" in ended["detail"], ended
    with dns:
        wait_for(gate.says, RETRY, "the service to work")
        gate.agent.wait_log(msg="name resolved", host="api.test")


def test_a_resolver_that_is_silent_is_waited_for_within_the_connect_budget(gate, dns, backend):
    dns.set("api.test", silent=True)
    gate.run([dns], {"backend": f"api.test:{backend.port}"}, connect_timeout="1s")
    assert 0.9 < gate.resets() < 3
    gate.agent.ended(reason="dns_failed", side="network")
    dns.set("api.test", "127.0.0.1")
    wait_for(gate.says, 2 * RETRY, "the service to work")


def test_a_caller_waits_for_an_answer_that_comes_in_time(gate, dns, backend):
    dns.set("api.test", silent=True)
    gate.run([dns], {"backend": f"api.test:{backend.port}"}, connect_timeout="10s")
    with gate.call() as sock:
        sock.sendall(b"early")
        dns.wait_for_queries(1, name="api.test")
        dns.set("api.test", "127.0.0.1")
        assert recv_exact(sock, 5) == b"early"


def test_a_name_that_does_not_exist_disturbs_no_other_service(gate, dns, backend):
    dns.set("api.test", "127.0.0.1")
    gate.run([dns], {"bad": "nowhere.test:443", "good": f"api.test:{backend.port}"})
    gate.agent.wait_log(msg="name does not resolve", host="nowhere.test", detail="no such name")

    def succeed():
        begun = time.monotonic()
        assert gate.says("good")
        return time.monotonic() - begun

    times = in_parallel([lambda: gate.resets("bad"), succeed] * 20)
    assert max(times) < 5
    ended = gate.agent.ended(service="bad", reason="dns_failed")
    assert "nowhere.test: no such name" in ended["detail"]
    assert "upstream" not in ended


@pytest.mark.parametrize("failure", [{"rcode": SERVFAIL}, {"rcode": REFUSED}, {"silent": True}, {}])
def test_the_last_good_answer_is_kept(gate, dns, backend, failure):
    dns.set("api.test", "127.0.0.1", ttl=1)
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    assert gate.says()
    dns.set("api.test", **failure)
    line = gate.agent.wait_log(2 * RETRY, msg="name does not resolve", host="api.test")
    assert line["kept"] == "127.0.0.1"
    assert gate.says()
    dns.set("api.test", "127.0.0.1", ttl=1)
    gate.agent.wait_logs(2, 2 * RETRY, msg="name resolved")


def test_a_name_that_keeps_failing_is_told_once(gate, dns):
    gate.run([dns], {"backend": "nowhere.test:443"})
    dns.wait_for_queries(4, name="nowhere.test", qtype=A)
    assert len(gate.agent.all_log(msg="name does not resolve")) == 1


def test_a_resolver_that_is_dead_does_not_keep_the_next_from_answering(gate, dns, backend):
    dns.set("api.test", "127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        dead = DnsServer()
        silent.bind((dead.host, 53))
        gate.run([dead, dns], {"backend": f"api.test:{backend.port}"})
        assert gate.says()  # within the connect budget of 5 s


def test_one_family_that_goes_unanswered_does_not_hide_the_other(gate, dns, backend):
    dns.set("api.test", "127.0.0.1", only=A)
    gate.run([dns], {"backend": f"api.test:{backend.port}"})
    assert gate.says()  # within the connect budget of 5 s
    assert dns.count("api.test", AAAA) >= 1


def test_a_changed_resolv_conf_is_followed(gate, dns, backend):
    """Also while the old resolver goes on answering."""
    with DnsServer() as old:
        old.set("api.test", "127.0.0.9", ttl=1)
        dns.set("api.test", "127.0.0.1", ttl=1)
        gate.run([old], {"backend": f"api.test:{backend.port}"})
        gate.agent.wait_log(msg="name resolved", addresses="127.0.0.9")
        gate.etc.point_to([dns])
        gate.agent.wait_log(msg="addresses changed", addresses="127.0.0.1")
    wait_for(gate.says, what="the workers to know")


# Many


def test_one_name_of_many_services_is_asked_for_once(gate, dns, backend):
    dns.set("api.test", "127.0.0.1")
    names = {f"service-{i}": f"api.test:{backend.port}" for i in range(50)}
    gate.run([dns], names)
    assert gate.says("service-0") and gate.says("service-49")
    assert dns.count("api.test", A) == 1
    assert gate.agent.wait_log(msg="name resolved")["services"].endswith("more")


def test_a_thousand_names(gate, dns, backend):
    for i in range(1000):
        dns.set(f"api-{i}.test", "127.0.0.1")
    names = {f"service-{i}": f"api-{i}.test:{backend.port}" for i in range(1000)}
    gate.run([dns], names, prewarm=0)  # they would be too many for a backend in Python
    gate.agent.wait_logs(1000, HANG, msg="name resolved")
    assert dns.count() == 2000
    for i in (0, 500, 999):
        assert gate.says(f"service-{i}")


def test_stopping_while_questions_are_under_way(gate, dns):
    for i in range(100):
        dns.set(f"api-{i}.test", silent=True)
    gate.run([dns], {f"service-{i}": f"api-{i}.test:443" for i in range(100)})
    dns.wait_for_queries(64)
    assert gate.agent.stop() == 0

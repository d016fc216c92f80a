"""Certificates, keys, passwords and CAs change under a running agent, by their files alone: what is
good is taken, and no connection is lost; what is not is told, and the old is kept."""

import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest
from harness import crl, servers
from harness.backends import Backend, stay_silent
from harness.net import connect, free_port, is_listening, wait_for
from harness.pki import key_pem
from harness.rotation import (
    Caller,
    Pair,
    Rig,
    Secret,
    Steady,
    Teller,
    bundle,
    replace,
    rewrite,
    serial,
    shown,
    wait_shown,
)

HELD = "mtls_agent_service_held"
PROBLEM = "mtls_agent_certificate_problem"
CA_PROBLEM = "mtls_agent_ca_problem"


@pytest.fixture
def issue(ca):
    """issue() makes another certificate for the gateway."""
    return lambda issuer=ca, **options: issuer.issue("gateway", purpose="client", **options)


@pytest.fixture
def pair(tmp_path, gateway):
    """The files of the agent's identity."""
    return Pair(tmp_path / "identity", gateway)


@pytest.fixture
def teller(leaf, ca):
    """A backend that takes certificates of the CA."""
    with Teller(leaf, ca) as backend:
        yield backend


@pytest.fixture
def rig(start, short_path, ca):
    """rig(IDENTITY, BACKEND or {name: BACKEND}, key=value…) starts an agent."""

    def start_rig(identity, backends, trust=ca, **keys):
        if not isinstance(backends, dict):
            backends = {"backend": backends}
        if isinstance(identity, Pair):
            identity = {"cert": identity.cert, "key": identity.key}
        ports = {name: getattr(to, "port", to) for name, to in backends.items()}
        return Rig(start, short_path, identity, trust, ports, **keys)

    return start_rig


def expect_still(port, certificate, calls=150):
    """That so many calls one after the other present this certificate."""
    wanted = serial(certificate)
    for _ in range(calls):
        assert shown(port) == wanted


def generation(link):
    return link.status()["configuration"]["generation"]


def apply(link, pair, fresh):
    """Replaces the pair, and waits until the agent has taken it; its workers may take a moment
    more. Makes no connection."""
    before = generation(link)
    pair.put(fresh)
    wait_for(lambda: generation(link) > before, what="the change to be applied")


# Every way to change a file


@pytest.mark.threads
def test_a_pair_replaced_by_rename(rig, pair, teller, gateway, issue):
    link = rig(pair, teller, agent={"workers": 3})
    assert shown(link.port) == serial(gateway)
    fresh = issue()
    before = generation(link)
    with Steady(link.port) as steady, Caller(link.port) as old:
        pair.put(fresh)
        wait_shown(link.port, fresh)
        old.say()
    assert set(steady.seen) <= {serial(gateway), serial(fresh)}
    assert link.problem() is None and link.held() is None
    assert generation(link) > before


@pytest.mark.parametrize("first", ["cert", "key"])
def test_half_of_a_pair_is_never_taken(rig, pair, teller, gateway, issue, first):
    link = rig(pair, teller)
    fresh = issue()
    halves = [pair.put_cert, pair.put_key]
    if first == "key":
        halves.reverse()
    with Steady(link.port) as steady:
        halves[0](fresh)
        expect_still(link.port, gateway)
        halves[1](fresh)
        wait_for(lambda: serial(fresh) in steady.seen, what="the new one to be presented")
    assert steady.seen == [serial(gateway), serial(fresh)]
    wait_for(lambda: link.problem() is None, what="the problem to be over")


def test_files_rewritten_in_place(rig, pair, teller, issue):
    link = rig(pair, teller)
    for fresh in (issue(), issue(key="rsa2048"), issue()):
        with Steady(link.port):
            pair.put(fresh, rewrite)
            wait_shown(link.port, fresh)


def test_the_same_key_with_another_certificate(rig, pair, teller, gateway, issue):
    link = rig(pair, teller)
    fresh = issue(key=gateway.private_key)
    pair.put_cert(fresh)
    wait_shown(link.port, fresh)


def test_a_kubernetes_secret(rig, tmp_path, teller, gateway, issue):
    secret = Secret(tmp_path / "secret", gateway)
    link = rig(secret, teller)
    assert shown(link.port) == serial(gateway)
    for _ in range(3):
        fresh = issue()
        with Steady(link.port):
            secret.put(fresh)
            wait_shown(link.port, fresh)
    assert link.problem() is None


def test_a_folder_led_elsewhere(rig, tmp_path, teller, gateway, issue):
    """As release managers do: one link above all files."""
    fresh = issue()
    Pair(tmp_path / "v1", gateway)
    Pair(tmp_path / "v2", fresh)
    current = tmp_path / "current"
    current.symlink_to("v1")

    link = rig({"cert": current / "tls.crt", "key": current / "tls.key"}, teller)
    assert shown(link.port) == serial(gateway)
    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").rename(current)
    wait_shown(link.port, fresh)


def test_removed_and_restored(rig, pair, teller, gateway, issue):
    link = rig(pair, teller)
    fresh = issue()
    with Steady(link.port):
        pair.cert.unlink()
        pair.key.unlink()
        wait_for(link.problem, what="the loss to be told")
        assert shown(link.port) == serial(gateway)
        pair.put(fresh)
        wait_shown(link.port, fresh)
    wait_for(lambda: link.problem() is None, what="the problem to be over")


def test_a_folder_removed_and_restored(rig, pair, teller, gateway, issue):
    link = rig(pair, teller)
    fresh = issue()
    away = pair.directory.with_name("away")
    pair.directory.rename(away)
    wait_for(link.problem, what="the loss to be told")
    assert shown(link.port) == serial(gateway)
    Pair(pair.directory, fresh)
    wait_shown(link.port, fresh)


@pytest.mark.parametrize("half", ["cert", "key"])
def test_what_is_half_written_is_not_taken(rig, pair, teller, gateway, issue, half):
    link = rig(pair, teller)
    fresh = issue()
    path = getattr(pair, half)
    whole = Path(fresh.cert).read_bytes() if half == "cert" else key_pem(fresh.private_key)
    other = pair.put_key if half == "cert" else pair.put_cert
    with Steady(link.port):
        other(fresh, rewrite)
        with path.open("wb", buffering=0) as out:
            out.write(whole[: len(whole) // 2])
            expect_still(link.port, gateway)
            out.write(whole[len(whole) // 2 :])
        wait_shown(link.port, fresh)


# What is not good


def spoil_with_garbage(pair, _issue):
    replace(pair.cert, b"this is no certificate\n")


def spoil_with_nothing(pair, _issue):
    rewrite(pair.key, b"")


def spoil_with_another_key(pair, issue):
    pair.put_key(issue())


def spoil_with_another_certificate(pair, issue):
    pair.put_cert(issue())


def spoil_with_a_folder(pair, _issue):
    pair.cert.unlink()
    pair.cert.mkdir()


def complaints(link, path):
    """The log's warnings and errors that speak of this path."""
    return [
        line for line in link.agent.all_log()
        if line["level"] in ("warning", "error") and str(path) in " ".join(line.values())
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_with_garbage,
        spoil_with_nothing,
        spoil_with_another_key,
        spoil_with_another_certificate,
        spoil_with_a_folder,
    ],
    ids=lambda spoil: spoil.__name__.removeprefix("spoil_with_"),
)
def test_a_bad_file_keeps_the_old_and_is_told_until_it_is_mended(
    rig, pair, teller, gateway, issue, spoil
):
    link = rig(pair, teller)
    assert link.metric(PROBLEM, certificate="gateway") == 0
    with Steady(link.port):
        spoil(pair, issue)
        wait_for(link.problem, what="the problem to be told")
        assert link.metric(PROBLEM, certificate="gateway") == 1
        wait_for(lambda: complaints(link, pair.directory), what="the log to name the file")
        assert shown(link.port) == serial(gateway)
        if pair.cert.is_dir():
            pair.cert.rmdir()
        fresh = issue()
        pair.put(fresh)
        wait_shown(link.port, fresh)
    wait_for(lambda: link.problem() is None, what="the problem to be over")
    assert link.metric(PROBLEM, certificate="gateway") == 0


def test_what_was_bad_is_told_once(rig, pair, teller):
    link = rig(pair, teller)
    replace(pair.cert, b"garbage\n")
    wait_for(lambda: complaints(link, pair.directory), what="the log to name the file")
    for _ in range(200):
        assert shown(link.port)
    assert len(complaints(link, pair.directory)) == 1


# Passwords


def test_an_encrypted_key_and_its_password(rig, pair, tmp_path, teller, gateway, issue):
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("first\n")
    pair.put_key(gateway, password=b"first")

    link = rig({"cert": pair.cert, "key": pair.key, "password_file": password}, teller)
    assert shown(link.port) == serial(gateway)
    fresh = issue()
    with Steady(link.port):
        pair.put_cert(fresh)
        pair.put_key(fresh, password=b"second")
        replace(password, b"second\n")
        wait_shown(link.port, fresh)
        replace(password, b"wrong\n")
        wait_for(link.problem, what="the wrong password to be told")
        assert "second" not in link.agent.dump() and "wrong" not in (link.problem() or "")


def test_a_pkcs12_file_and_its_password(rig, tmp_path, teller, gateway, issue):
    store, password = tmp_path / "client.pfx", tmp_path / "password"
    for path in (store, password):
        path.touch(0o600)
    store.write_bytes(Path(gateway.pkcs12(password="first")).read_bytes())
    password.write_text("first\n")

    link = rig({"pkcs12": store, "password_file": password}, teller)
    assert shown(link.port) == serial(gateway)
    second, third = issue(), issue()
    with Steady(link.port):
        replace(store, Path(second.pkcs12(password="first")).read_bytes())
        wait_shown(link.port, second)
        replace(store, Path(third.pkcs12(password="other")).read_bytes())
        replace(password, b"other\n")
        wait_shown(link.port, third)
    wait_for(lambda: link.problem() is None, what="the problem to be over")


# CAs


def subjects(link):
    return [entry["subject"] for entry in link.status()["cas"][0]["certificates"]]


@pytest.mark.threads
def test_a_ca_replaced_by_a_bundle_and_then_by_the_new(
    rig, pair, teller, tmp_path, ca, other_ca
):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    link = rig(pair, teller, trust=trust)
    names = {"dns": ["localhost"], "ips": ["127.0.0.1"]}
    with Steady(link.port):
        replace(trust, bundle(ca, other_ca))
        wait_for(lambda: len(subjects(link)) == 2, what="the bundle to be taken")
        teller.show(other_ca.issue("localhost", purpose="server", **names))
        replace(trust, bundle(other_ca))
        wait_for(lambda: len(subjects(link)) == 1, what="the new CA to be taken")
    assert subjects(link) == ["CN=Another CA"]
    assert link.held() is None


def test_a_ca_that_does_not_verify_the_backend_is_held(
    rig, pair, teller, tmp_path, ca, other_ca
):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    link = rig(pair, teller, trust=trust)
    with Steady(link.port):
        replace(trust, bundle(other_ca))
        wait_for(link.held, what="the new CA to be held")
        assert link.metric(HELD, service="backend") == 1
        replace(trust, bundle(ca, other_ca))
        wait_for(lambda: link.held() is None, what="the bundle to be taken")
    assert link.metric(HELD, service="backend") == 0


def test_a_bad_ca_file_keeps_the_old(rig, pair, teller, tmp_path, ca):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    link = rig(pair, teller, trust=trust)
    with Steady(link.port):
        replace(trust, bundle(ca)[:-40])
        wait_for(link.ca_problem, what="the problem to be told")
        assert link.metric(CA_PROBLEM, file=str(trust)) == 1
        replace(trust, bundle(ca))
        wait_for(lambda: link.ca_problem() is None, what="the problem to be over")
    assert link.metric(CA_PROBLEM, file=str(trust)) == 0


# The canary


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_what_a_backend_refuses_is_held_until_it_accepts(
    rig, pair, leaf, ca, other_ca, gateway, issue, tls
):
    with Teller(leaf, ca, tls=tls) as backend:
        link = rig(pair, backend)
        fresh = issue(other_ca)
        with Steady(link.port):
            pair.put(fresh)
            why = wait_for(link.held, what="the new identity to be held")
            assert "client_cert_untrusted" in why or "Another CA" in why
            assert link.metric(HELD, service="backend") == 1
            line = link.agent.wait_log(service="backend", reason="client_cert_untrusted")
            assert line["level"] in ("warning", "error")
            assert shown(link.port) == serial(gateway)
            backend.accept(ca, other_ca)
            link.agent.signal(signal.SIGHUP)
            wait_shown(link.port, fresh)
        wait_for(lambda: link.held() is None, what="it to be held no longer")
        assert link.metric(HELD, service="backend") == 0


def test_what_is_held_is_tried_again_by_itself(rig, pair, teller, ca, issue, other_ca):
    link = rig(pair, teller)
    fresh = issue(other_ca)
    with Steady(link.port):
        pair.put(fresh)
        wait_for(link.held, what="the new identity to be held")
        teller.accept(ca, other_ca)
        wait_shown(link.port, fresh, timeout=90)
    wait_for(lambda: link.held() is None, what="it to be held no longer")


def test_a_later_change_is_tried_anew(rig, pair, teller, gateway, issue, other_ca):
    link = rig(pair, teller)
    with Steady(link.port):
        pair.put(issue(other_ca))
        wait_for(link.held, what="the new identity to be held")
        assert shown(link.port) == serial(gateway)
        good = issue()
        pair.put(good)
        wait_shown(link.port, good)
    wait_for(lambda: link.held() is None, what="it to be held no longer")


def test_what_is_held_may_be_taken_back(rig, pair, teller, gateway, issue, other_ca):
    link = rig(pair, teller)
    with Steady(link.port):
        pair.put(issue(other_ca))
        wait_for(link.held, what="the new identity to be held")
        pair.put(gateway)
        wait_for(lambda: link.held() is None, what="it to be held no longer")
    assert shown(link.port) == serial(gateway)


@pytest.mark.parametrize("name", ["haproxy", "haproxy-tcp", "s_server", "gnutls-serv", "stunnel"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_a_real_server_with_the_old_ca_list(
    rig, pair, tmp_path, leaf, ca, other_ca, issue, name, tls
):
    kind = servers.ALL[name]
    if not servers.is_installed(kind):
        pytest.skip(f"{name} is not installed")
    with kind(tmp_path, leaf, ca, tls) as backend:
        link = rig(pair, backend, **backend.keys)
        pair.put(issue(other_ca))
        wait_for(link.held, what="the new identity to be held")
        with connect(link.port) as sock:
            dialect = backend.dialect(sock)
            assert dialect.ask(b"hello") == b"hello"


def test_canary_no_takes_it_at_once(rig, pair, teller, issue, other_ca):
    link = rig(pair, teller, canary="no")
    assert shown(link.port)
    pair.put(issue(other_ca))
    wait_for(lambda: shown(link.port) is None, what="the new identity to be refused")
    assert link.held() is None
    assert link.agent.wait_log(reason="client_cert_untrusted")


@pytest.fixture
def closed_port():
    return free_port()


@pytest.mark.parametrize("canary", ["yes", "no"])
def test_a_backend_that_is_down_does_not_block(
    rig, pair, leaf, ca, issue, closed_port, canary
):
    link = rig(pair, closed_port, canary=canary)
    fresh = issue()
    apply(link, pair, fresh)
    assert link.held() is None
    with Teller(leaf, ca, port=closed_port):
        wait_shown(link.port, fresh)


def test_canary_require_waits_for_a_backend_that_is_down(
    rig, pair, leaf, ca, gateway, issue, closed_port
):
    link = rig(pair, closed_port, canary="require")
    fresh = issue()
    pair.put(fresh)
    why = wait_for(link.held, what="the new identity to be held")
    assert "canary = require" in why and "connect_refused" in why
    assert "has confirmed" not in why
    with Teller(leaf, ca, port=closed_port):
        assert shown(link.port) == serial(gateway)
        link.agent.signal(signal.SIGHUP)
        wait_shown(link.port, fresh)
    wait_for(lambda: link.held() is None, what="it to be held no longer")


def test_canary_require_wants_more_than_not_worse(
    rig, pair, teller, ca, other_ca, gateway, issue
):
    """The backend takes neither: with `yes` the new would be used, as good as the old."""
    link = rig(pair, teller, canary="require")
    fresh = issue()
    teller.accept(other_ca)
    pair.put(fresh)
    wait_for(link.held, what="the new identity to be held")
    teller.accept(ca)
    assert shown(link.port) == serial(gateway)
    link.agent.signal(signal.SIGHUP)
    wait_shown(link.port, fresh)


def test_where_the_old_is_refused_as_well_the_new_is_taken(
    rig, pair, teller, ca, other_ca, issue
):
    link = rig(pair, teller)
    teller.accept(other_ca)
    fresh = issue()
    apply(link, pair, fresh)
    assert link.held() is None
    teller.accept(ca)
    wait_shown(link.port, fresh)


@pytest.mark.parametrize(
    "dates",
    [
        {"not_before": timedelta(days=-2), "not_after": timedelta(days=-1)},
        {"not_before": timedelta(days=1), "not_after": timedelta(days=2)},
    ],
    ids=["expired", "not-yet-valid"],
)
def test_a_certificate_that_is_out_of_date_is_held(rig, pair, teller, gateway, issue, dates):
    link = rig(pair, teller)
    with Steady(link.port):
        pair.put(issue(**dates))
        wait_for(lambda: link.held() or link.problem(), what="the new identity to be held")
        expect_still(link.port, gateway)


def test_one_that_has_expired_is_replaced(rig, tmp_path, teller, issue):
    lasts = 2
    begun = time.time()
    pair = Pair(tmp_path / "short", issue(not_after=timedelta(seconds=lasts)))
    link = rig(pair, teller, prewarm=0)  # no ticket from before is to be used
    wait_for(lambda: time.time() > begun + lasts + 1, what="the certificate to expire")
    assert shown(link.port) is None
    fresh = issue()
    pair.put(fresh)
    wait_shown(link.port, fresh)


@pytest.mark.threads
def test_a_slow_canary_and_what_happens_meanwhile(rig, pair, teller, gateway, issue):
    """The last content wins, though one of the backends keeps the agent waiting each time."""
    with Backend(stay_silent) as deaf:
        ports = {"good": teller, "deaf": deaf}
        link = rig(pair, ports, handshake_timeout="3s", prewarm=0)  # nobody else calls
        last = issue()
        with Steady(link.port):
            for fresh in (issue(), issue(), last):
                seen = len(deaf.sessions)
                pair.put(fresh)
                wait_for(lambda: len(deaf.sessions) > seen, what="the canary to call")
            wait_shown(link.port, last)
    assert link.held("good") is None and link.held("deaf") is None


def test_stopping_does_not_wait_for_a_canary(rig, pair, issue):
    with Backend(stay_silent) as deaf:
        link = rig(pair, deaf, handshake_timeout="30s", prewarm=0)  # nobody else calls
        pair.put(issue())
        deaf.wait_sessions()
        begun = time.monotonic()
        assert link.agent.stop() == 0
        assert time.monotonic() - begun < 10


@pytest.mark.threads
def test_each_service_for_itself(rig, pair, leaf, ca, other_ca, gateway, issue):
    fresh = issue(other_ca)
    with Teller(leaf, ca) as strict, Teller(leaf, ca, other_ca) as open_minded:
        link = rig(pair, {"strict": strict, "open": open_minded}, agent={"workers": 3})
        with Steady(link.ports["strict"]), Steady(link.ports["open"]):
            pair.put(fresh)
            wait_shown(link.ports["open"], fresh)
            wait_for(lambda: link.held("strict"), what="the other service to be held")
            assert shown(link.ports["strict"]) == serial(gateway)
        assert link.held("open") is None
        assert link.metric(HELD, service="strict") == 1
        assert link.metric(HELD, service="open") == 0


def test_a_canary_leaves_politely(rig, pair, teller, issue):
    """A backend's log must not fill with errors."""
    link = rig(pair, teller)
    for _ in range(3):
        apply(link, pair, issue())
    assert len(teller.sessions) >= 3
    for session in teller.wait_over(len(teller.sessions)):
        assert session.error is None, session.error


def test_a_canary_is_not_counted(rig, pair, teller, issue):
    link = rig(pair, teller, prewarm=0)  # nobody else is counted
    apply(link, pair, issue())
    entry = link.status()["services"][0]
    assert entry["connections"]["opened"] == 0
    assert entry["handshakes"]["full"] == 0
    assert teller.sessions


# What is held, and what happens meanwhile


@pytest.fixture
def stranger(issue, other_ca):
    """A certificate that the backend does not take."""
    return issue(other_ca)


@pytest.fixture
def held(rig, pair, stranger):
    """held(BACKEND, key=value…) starts an agent and rotates it to a certificate that is held."""

    def start_held(backend, **keys):
        link = rig(pair, backend, **keys)
        pair.put(stranger)
        wait_for(link.held, what="the new identity to be held")
        return link

    return start_held


def try_by_reload(link, *_):
    told = link.reload()
    assert told.returncode == 0 and "goes on as it was" in told.stderr, told.stderr


def try_by_signal(link, *_):
    assert link.hang_up()["msg"] == "reloaded"


def try_by_file(link, pair, issue, other_ca):
    """Another one that the backend would not take either."""
    before = link.status()["certificates"][0]["not_after"]
    pair.put(issue(other_ca, not_after=timedelta(days=9)))
    wait_for(lambda: link.status()["certificates"][0]["not_after"] != before,
             what="the next identity to be read")


@pytest.mark.parametrize("way", [try_by_reload, try_by_signal, try_by_file],
                         ids=["reload", "signal", "file"])
def test_a_hold_survives_a_restart_of_the_backend(
    held, pair, leaf, ca, other_ca, gateway, issue, way
):
    with Teller(leaf, ca) as backend:
        link = held(backend)
        why = link.held()
    assert shown(link.port) is None
    way(link, pair, issue, other_ca)
    assert link.held() == why
    with Teller(leaf, ca, port=backend.port):
        expect_still(link.port, gateway, calls=20)
    assert link.held() == why


def test_a_hold_survives_a_backend_that_takes_neither(held, teller, ca, gateway, pki):
    link = held(teller)
    teller.accept(pki.authority("Third CA"))
    try_by_reload(link)
    assert link.held()
    teller.accept(ca)
    assert shown(link.port) == serial(gateway)


def test_a_hold_ends_with_the_reload_that_finds_it_taken(held, teller, ca, other_ca, stranger):
    link = held(teller)
    teller.accept(ca, other_ca)
    told = link.reload()
    assert (told.returncode, told.stderr) == (0, "")
    assert link.held() is None
    wait_shown(link.port, stranger)


@pytest.mark.parametrize("way", [try_by_reload, try_by_file], ids=["reload", "file"])
def test_a_held_service_is_no_change_where_nothing_changes(
    held, pair, teller, other_ca, issue, way
):
    """A trial that ends as the one before leaves tickets and connections alone."""
    link = held(teller)
    before = generation(link)
    seen = len(teller.sessions)
    way(link, pair, issue, other_ca)
    assert len(teller.sessions) > seen
    assert generation(link) == before + (way is try_by_reload) and link.held()
    if way is try_by_reload:
        assert link.agent.wait_log(msg="reloaded")["unchanged"] == "1"


def test_a_held_service_gets_new_settings(held, teller, gateway):
    link = held(teller)
    text = link.agent.config.read_text()
    old, new = link.port, free_port()
    link.write(text.replace(f"127.0.0.1:{old}\n", f"127.0.0.1:{new}\nmax_connections = 1\n"))
    try_by_reload(link)
    assert link.held()
    wait_for(lambda: not is_listening(old), what="the old port to be closed")
    with Caller(new) as only:
        assert only.shown == serial(gateway)
        assert shown(new) is None
        only.say()


def test_a_ca_is_removed_from_a_held_service(held, teller, tmp_path, ca, other_ca, gateway):
    """Only what the trial failed for is held: the identity."""
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca, other_ca))
    link = held(teller, trust=trust)
    replace(trust, bundle(ca))
    wait_for(lambda: len(subjects(link)) == 1, what="the CA to be gone")
    assert link.held() and shown(link.port) == serial(gateway)
    names = {"dns": ["localhost"], "ips": ["127.0.0.1", "::1"]}
    teller.show(other_ca.issue("localhost", purpose="server", **names))
    wait_for(lambda: shown(link.port) is None, what="a backend of the removed CA to be refused")
    assert link.agent.ended(reason="cert_untrusted")
    assert link.held()


def test_a_crl_is_in_force_for_a_held_service(held, teller, tmp_path, ca, leaf, gateway):
    path = crl.write(tmp_path / "ca.crl", crl.make(ca))
    link = held(teller, crl=path)
    assert shown(link.port) == serial(gateway)
    crl.write(path, crl.make(ca, leaf))
    wait_for(lambda: shown(link.port) is None, what="the CRL to count")
    assert link.agent.ended(reason="cert_revoked")


def test_a_hold_survives_a_crl_that_refuses_the_backend(held, teller, tmp_path, ca, leaf, gateway):
    """Whom we refuse has said nothing of our identity."""
    path = crl.write(tmp_path / "ca.crl", crl.make(ca))
    link = held(teller, crl=path)
    crl.write(path, crl.make(ca, leaf))
    wait_for(lambda: shown(link.port) is None, what="the CRL to count")
    assert link.held()
    crl.write(path, crl.make(ca))
    wait_shown(link.port, gateway)
    assert link.held()


def test_status_shows_the_expiry_of_the_certificate_in_use(rig, tmp_path, teller, issue, other_ca):
    lasts, would_last = 40, 300
    pair = Pair(tmp_path / "old", issue(not_after=timedelta(days=lasts, hours=1)))
    link = rig(pair, teller)
    pair.put(issue(other_ca, not_after=timedelta(days=would_last, hours=1)))
    wait_for(link.held, what="the new identity to be held")
    assert link.service("backend")["days_left"]["own"] == lasts
    assert link.status()["certificates"][0]["days_left"] == would_last


def test_status_shows_the_expiry_of_the_cas_in_use(rig, pair, teller, tmp_path, pki, ca):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    link = rig(pair, teller, trust=trust)
    before = link.service("backend")["days_left"]["ca"]
    replace(trust, bundle(pki.authority("Brief CA", not_after=timedelta(days=20, hours=1))))
    wait_for(link.held, what="the new CA to be held")
    assert link.service("backend")["days_left"]["ca"] == before > 20


@pytest.mark.parametrize("is_strict_first", [True, False], ids=["first", "last"])
def test_one_of_two_addresses_takes_the_old_alone(
    rig, pair, leaf, ca, other_ca, gateway, stranger, is_strict_first
):
    """What is lost with the new need not be what answers first."""
    with Teller(leaf, ca) as strict, Teller(leaf, ca, other_ca) as open_minded:
        ports = [strict.port, open_minded.port]
        link = rig(pair, ports if is_strict_first else ports[::-1])
        pair.put(stranger)
        why = wait_for(link.held, what="the new identity to be held")
        assert f"127.0.0.1:{strict.port} " in why
        assert shown(link.port) == serial(gateway)
        strict.accept(ca, other_ca)
        assert link.reload().returncode == 0
        assert link.held() is None
        wait_shown(link.port, stranger)


@pytest.mark.parametrize("is_down_first", [True, False], ids=["first", "last"])
def test_one_of_two_addresses_is_down(rig, pair, teller, issue, is_down_first):
    ports = [free_port(), teller.port]
    link = rig(pair, ports if is_down_first else ports[::-1], canary="require")
    apply(link, pair, fresh := issue())
    assert link.held() is None
    wait_shown(link.port, fresh)


@pytest.mark.parametrize("kind", ["identity", "CAs"])
def test_the_address_of_a_held_service_is_changed(
    rig, pair, tmp_path, leaf, ca, other_ca, gateway, stranger, kind
):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    with Teller(leaf, ca) as here, Teller(leaf, ca) as sibling:
        link = rig(pair, here, trust=trust)
        if kind == "identity":
            pair.put(stranger)
        else:
            replace(trust, bundle(other_ca))
        wait_for(link.held, what="the new files to be held")
        text = link.agent.config.read_text()
        link.write(text.replace(f"address = 127.0.0.1:{here.port}\n",
                                f"address = 127.0.0.1:{sibling.port}\n"))
        try_by_reload(link)
        assert link.held()
        seen = len(sibling.sessions)
        wait_for(lambda: shown(link.port) and len(sibling.sessions) > seen,
                 what="a call to reach the new address")
        expect_still(link.port, gateway, calls=20)
        link.write(text)
        try_by_reload(link)
        assert link.held() and shown(link.port) == serial(gateway)


# What becomes of old connections


def retired(link, count=1):
    return link.agent.wait_logs(count, 30, msg="connection ended", reason="retired")


def rotate(link, pair, fresh):
    pair.put(fresh)
    wait_shown(link.port, fresh)


def test_retire_never_lets_them_run_on(rig, pair, teller, issue):
    link = rig(pair, teller)
    with Caller(link.port) as old:
        for _ in range(2):
            rotate(link, pair, issue())
            old.say()
        assert not old.is_over()
        old.say()
    assert not link.agent.all_log(reason="retired")


def test_retire_drain_ends_a_quiet_one(rig, pair, teller, issue):
    link = rig(pair, teller, retire="drain", agent={"shutdown_timeout": "60s"})
    fresh = issue()
    with Caller(link.port) as old:
        rotate(link, pair, fresh)
        wait_for(old.is_over, what="the old connection to end")
    assert retired(link)[0]["side"] == "local"
    with Caller(link.port) as young:
        young.say()


def test_retire_drain_spares_a_busy_one_until_shutdown_timeout(rig, pair, teller, issue):
    patience = 4
    link = rig(pair, teller, retire="drain", agent={"shutdown_timeout": f"{patience}s"})
    with Caller(link.port) as old:
        replaced = time.monotonic()
        pair.put(issue())
        with pytest.raises((OSError, AssertionError)):
            while time.monotonic() < replaced + 30:
                old.say()
        assert time.monotonic() - replaced >= patience
    retired(link)


@pytest.mark.threads
def test_retire_after_a_duration(rig, pair, teller, issue):
    link = rig(pair, teller, retire="2s", agent={"workers": 3})
    with Caller(link.port) as old:
        replaced = time.monotonic()
        rotate(link, pair, issue())
        with Caller(link.port) as young:
            wait_for(old.is_over, what="the old connection to end")
            assert time.monotonic() - replaced >= 2
            young.say()
    assert len(retired(link)) == 1


@pytest.mark.parametrize("retire", ["drain", "1s"])
def test_a_ca_that_the_backend_no_longer_passes(
    rig, pair, teller, tmp_path, ca, other_ca, retire
):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    link = rig(pair, teller, trust=trust, canary="no", retire=retire)
    with Caller(link.port) as old:
        replace(trust, bundle(ca, other_ca))
        wait_for(lambda: len(subjects(link)) == 2, what="the bundle to be taken")
        old.say()
        replace(trust, bundle(other_ca))
        wait_for(old.is_over, what="the connection to end")
    retired(link)


@pytest.mark.parametrize("retire", ["drain", "1s"])
def test_a_crl_that_the_backend_no_longer_passes(
    rig, pair, teller, tmp_path, ca, leaf, gateway, retire
):
    """To refuse it is what the CRL is for: no canary stands in its way."""
    path = crl.write(tmp_path / "ca.crl", crl.make(ca, gateway))
    link = rig(pair, teller, crl=path, retire=retire)
    with Caller(link.port) as old:
        crl.write(path, crl.make(ca))
        before = generation(link)
        wait_for(lambda: generation(link) > before, what="the harmless CRL to be taken")
        old.say()
        crl.write(path, crl.make(ca, leaf))
        wait_for(old.is_over, what="the connection to end")
    retired(link)
    assert shown(link.port) is None
    assert link.agent.wait_log(reason="cert_revoked") and link.held() is None


def test_a_ca_that_the_backend_passes_ends_nothing(
    rig, pair, teller, tmp_path, ca, other_ca
):
    trust = tmp_path / "ca.crt"
    replace(trust, bundle(ca))
    link = rig(pair, teller, trust=trust, retire="500ms")
    with Caller(link.port) as old:
        replace(trust, bundle(other_ca, ca))
        wait_for(lambda: len(subjects(link)) == 2, what="the bundle to be taken")
        begun = time.monotonic()
        while time.monotonic() < begun + 2:
            old.say()
    assert not link.agent.all_log(reason="retired")


@pytest.mark.parametrize("retire", ["drain", "2s"])
def test_an_identity_about_to_expire_ends_its_connections(
    rig, tmp_path, teller, issue, retire
):
    lasts = 8
    begun = time.time()
    pair = Pair(tmp_path / "short", issue(not_after=timedelta(seconds=lasts)))
    link = rig(pair, teller, retire=retire, agent={"shutdown_timeout": "2s"})
    with Caller(link.port) as old:
        assert not old.is_over()
        wait_for(old.is_over, what="the connection to end")
        assert time.time() <= begun + lasts + 1
    retired(link)


def test_an_identity_that_expires_ends_nothing_with_never(rig, tmp_path, teller, issue):
    lasts = 3
    begun = time.time()
    pair = Pair(tmp_path / "short", issue(not_after=timedelta(seconds=lasts)))
    link = rig(pair, teller)
    with Caller(link.port) as old:
        while time.time() < begun + lasts + 1:
            old.say()
    assert not link.agent.all_log(reason="retired")


# Care


def test_nothing_leaks_over_rotations(rig, pair, teller, issue):
    link = rig(pair, teller, retire="drain")
    identities = [issue(), issue()]
    for turn in range(2):
        rotate(link, pair, identities[turn % 2])
    before = link.descriptors()
    for turn in range(8):
        rotate(link, pair, identities[turn % 2])
    wait_for(lambda: link.descriptors() <= before + 2, what="as many descriptors as before")


def test_no_secret_is_told(rig, pair, teller, issue):
    link = rig(pair, teller)
    fresh = issue()
    pair.put_cert(issue())
    pair.put_key(fresh)
    wait_for(link.problem, what="the problem to be told")
    body = key_pem(fresh.private_key).split(b"\n")[1].decode()
    assert body not in link.agent.dump() and body not in str(link.status())

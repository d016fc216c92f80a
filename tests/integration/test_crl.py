"""Revocation lists (RFC 5280): every certificate below the anchor needs a good one, from a file or
from a URL, and without it a backend is refused."""

import contextlib
import subprocess
import time
from datetime import timedelta

import pytest
from harness import crl, net
from harness.agent import config, program, service
from harness.backends import TlsBackend, echo
from harness.crl import DAY, HOUR
from harness.live import Live
from harness.rotation import Steady, Teller, shown

SECRET = b"GET /secret HTTP/1.1\r\n\r\n"
SECOND = timedelta(seconds=1)


@pytest.fixture(params=["1.2", "1.3"])
def version(request):
    return request.param


@pytest.fixture
def serve(ca):
    """serve(LEAF) starts a backend, which the end of the test stops."""
    with contextlib.ExitStack() as running:
        yield lambda leaf, **options: running.enter_context(TlsBackend(echo, leaf, ca, **options))


@pytest.fixture
def backend(serve, leaf):
    return serve(leaf)


@pytest.fixture
def file(tmp_path):
    """file(CRL…) writes what the service is given as `crl`, and returns its path."""
    return lambda *lists: crl.write(tmp_path / "ca.crl", *lists)


@pytest.fixture
def web():
    with crl.Distribution() as server:
        yield server


def say(sock, text=SECRET):
    sock.sendall(text)
    assert net.recv_exact(sock, len(text)) == text


def passes(through):
    with through.call() as caller:
        say(caller)


def refused(through, backend, reason):
    """Makes a connection that gets no byte through. Returns the log line of the first such one."""
    before = len(backend.sessions)
    with pytest.raises(ConnectionResetError), through.call() as caller:
        caller.sendall(SECRET)
        pytest.fail(f"the caller got {caller.recv(1 << 16)}, not a reset")
    assert all(session.received == 0 for session in backend.wait_over(before + 1)[before:])
    return through.ended(reason=reason)


def wait_said(agent, words):
    net.wait_for(lambda: words in agent.dump(), what=f"the words: {words}")


# Files


@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
def test_who_is_not_listed_passes(relay, serve, ca, leaf, gateway, file, version, der):
    path = file(crl.make(ca, gateway, der=der))
    passes(relay(serve(leaf, tls=version), crl=path))


@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
def test_who_is_listed_is_refused(relay, serve, ca, leaf, gateway, file, version, der):
    backend = serve(leaf, tls=version)
    through = relay(backend, crl=file(crl.make(ca, gateway, leaf, der=der)))
    line = refused(through, backend, "cert_revoked")
    assert line["side"] == "we_refused"
    assert "CN=localhost (serial " in line["detail"]
    assert "was revoked by CN=Test CA on " in line["detail"]


def test_a_stale_crl_is_a_warning_and_then_a_refusal(relay, backend, ca, file, version):
    through = relay(backend, crl=file(crl.make(ca, made=-3 * DAY, until=-2 * HOUR)))
    wait_said(through.agent, "is stale, the next one was due 2 hours ago")
    line = refused(through, backend, "crl_unusable")
    assert line["side"] == "config"
    assert "is stale: the next one was due " in line["detail"]


def test_a_crl_that_runs_out_refuses_from_then_on(relay, backend, ca, file):
    through = relay(backend, crl=file(crl.make(ca, until=3 * SECOND)))
    passes(through)

    def is_over():
        with through.call() as caller, contextlib.suppress(OSError):
            say(caller)
        return through.agent.find_log(msg="connection ended", reason="crl_unusable")

    net.wait_for(is_over, what="the CRL to run out")


def test_the_crl_of_another_does_not_do(relay, backend, other_ca, file):
    through = relay(backend, crl=file(crl.make(other_ca)))
    wait_said(through.agent, "no CRL of `crl` is of a CA in ")
    line = refused(through, backend, "crl_unusable")
    assert "there is no CRL of CN=Test CA, which issued CN=localhost" in line["detail"]
    assert "is of CN=Another CA" in line["detail"]


def test_an_intermediate_needs_one_as_well(relay, serve, ca, file):
    middle = ca.intermediate("Middle")
    backend = serve(middle.issue("localhost", dns=["localhost"]))
    through = relay(backend, crl=file(crl.make(ca)))
    line = refused(through, backend, "crl_unusable")
    assert "there is no CRL of CN=Middle, which issued CN=localhost" in line["detail"]


def test_two_crls_in_one_file(relay, serve, ca, file):
    middle = ca.intermediate("Middle")
    backend = serve(middle.issue("localhost", dns=["localhost"]))
    passes(relay(backend, crl=file(crl.make(middle), crl.make(ca))))


def test_a_revoked_intermediate_is_refused(relay, serve, ca, file):
    middle = ca.intermediate("Middle")
    backend = serve(middle.issue("localhost", dns=["localhost"]))
    through = relay(backend, crl=file(crl.make(middle), crl.make(ca, middle)))
    assert "CN=Middle (serial " in refused(through, backend, "cert_revoked")["detail"]


def test_an_intermediate_does_not_vouch_with_anothers_signature(relay, serve, ca, other_ca, file):
    middle = ca.intermediate("Middle")
    backend = serve(middle.issue("localhost", dns=["localhost"]))
    through = relay(backend, crl=file(crl.make(middle, signer=other_ca), crl.make(ca)))
    line = refused(through, backend, "crl_unusable")
    assert "is not signed by the key of that issuer of CN=localhost" in line["detail"]


WAYS = {
    "with the root": lambda middle, crossed, root, stranger: (middle, root),
    "out of order": lambda middle, crossed, root, stranger: (root, middle),
    "with a stranger": lambda middle, crossed, root, stranger: (stranger, middle),
    "cross-signed": lambda middle, crossed, root, stranger: (middle, crossed),
}


@pytest.mark.parametrize("is_revoked", [False, True], ids=["good", "revoked"])
@pytest.mark.parametrize("way", WAYS)
def test_the_way_is_found_in_what_was_sent(relay, serve, ca, other_ca, file, way, is_revoked):
    middle = ca.intermediate("Middle")
    crossed = other_ca.intermediate("Middle", key=middle.private_key)
    sent = WAYS[way](middle, crossed, ca, other_ca)
    backend = serve(middle.issue("localhost", dns=["localhost"], chain=sent))
    lists = crl.make(middle), crl.make(ca, *[middle] if is_revoked else [])
    through = relay(backend, crl=file(*lists))
    if is_revoked:
        assert "CN=Middle (serial " in refused(through, backend, "cert_revoked")["detail"]
    else:
        passes(through)


def test_a_ca_that_may_not_sign_crls_does_not(start, serve, pki, gateway, file):
    mute = pki.authority("Mute", key_usage=("key_cert_sign",))
    backend = serve(mute.issue("localhost", dns=["localhost"]))
    port = net.free_port()
    text = service("s", port, backend.port, mute, crl=file(crl.make(mute)))
    agent = start(config(text, certificate=gateway))
    with pytest.raises(ConnectionResetError), net.connect(port) as caller:
        caller.sendall(SECRET)
        caller.recv(1)
    assert "lacks cRLSign" in agent.ended(reason="crl_unusable")["detail"]


BAD = {
    "forged": (lambda ca, other: crl.make(ca, signer=other), "not signed by our CA of that name"),
    "garbage": (lambda ca, other: b"<html>not found</html>", "holds no CRL"),
    "empty": (lambda ca, other: b"", "is empty"),
    "cut short": (lambda ca, other: crl.make(ca)[:-30], "do not pair up at line"),
    "cut short in DER": (lambda ca, other: crl.make(ca, der=True)[:-1], "is damaged or cut short"),
    "one of two": (lambda ca, other: crl.make(ca) + crl.make(ca).replace(b"M", b"!", 1),
                   "is damaged"),
    "a certificate": (lambda ca, other: open(ca.cert, "rb").read(), "is no CRL; remove it"),
}


def start_in_vain(tmp_path, text):
    """What an agent with this configuration says before it gives up."""
    path = tmp_path / "mtls-agent.conf"
    path.write_text(text)
    done = subprocess.run([program(), "run", "-c", path], capture_output=True, text=True,
                          timeout=net.HANG)
    assert done.returncode == 2, done.stderr
    return done.stderr


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_an_error_with_its_line(tmp_path, ca, other_ca, gateway, file, bad):
    make, words = BAD[bad]
    path = file(make(ca, other_ca))
    text = config(service("s", net.free_port(), 443, ca, crl=path), certificate=gateway)
    line = text.splitlines().index(f"crl = {path}") + 1
    said = start_in_vain(tmp_path, text)
    assert f"mtls-agent.conf:{line}: {path}: " in said
    assert words in said


def test_a_missing_file_is_an_error(tmp_path, ca, gateway):
    text = config(service("s", net.free_port(), 443, ca, crl=tmp_path / "none.crl"),
                  certificate=gateway)
    assert "none.crl: cannot be read: not found" in start_in_vain(tmp_path, text)


def test_a_file_replaced_under_way_counts_for_what_comes(relay, backend, ca, leaf, file):
    through = relay(backend, crl=file(crl.make(ca)))
    with through.call() as old:
        say(old)
        file(crl.make(ca, leaf))

        def is_refused():
            with through.call() as caller, contextlib.suppress(OSError):
                say(caller)
            return through.agent.find_log(msg="connection ended", reason="cert_revoked")

        net.wait_for(is_refused, what="the new CRL to count")
        say(old, b"still there")


def test_a_bad_file_under_way_keeps_the_old(relay, backend, ca, leaf, file):
    through = relay(backend, crl=file(crl.make(ca, leaf)))
    refused(through, backend, "cert_revoked")
    file(b"half of a")
    line = through.agent.wait_log(msg="a changed file cannot be used")
    assert "ca.crl: holds no CRL" in line["problem"]
    refused(through, backend, "cert_revoked")


# URLs


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Where the agents of the test keep what they download."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state"


def kept(state):
    return list((state / "crl").glob("*")) if (state / "crl").exists() else []


def wait_until_it_passes(through):
    def is_through():
        with contextlib.suppress(OSError, AssertionError), through.call() as caller:
            say(caller)
            return True

    net.wait_for(is_through, 4 * net.HANG, "a connection to pass")


@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
def test_a_crl_comes_from_a_url(relay, backend, ca, web, state, der):
    web.answer = crl.make(ca, der=der)
    through = relay(backend, crl=web.url)
    wait_until_it_passes(through)
    (path,) = kept(state)
    assert path.read_bytes() == web.answer
    assert path.stat().st_mode & 0o777 == 0o644
    assert (state / "crl").stat().st_mode & 0o777 == 0o755
    assert web.requests == 1
    assert through.agent.wait_log(msg="CRL downloaded")["url"] == web.url


def test_a_revoked_backend_is_refused_by_what_came(relay, backend, ca, leaf, web, state):
    web.answer = crl.make(ca, leaf)
    through = relay(backend, crl=web.url)
    through.agent.wait_log(msg="CRL downloaded")

    def is_refused():
        with through.call() as caller, contextlib.suppress(OSError):
            say(caller)
        return through.agent.find_log(msg="connection ended", reason="cert_revoked")

    net.wait_for(is_refused, what="the CRL to count")


ANSWERS = {
    "404": (lambda ca, other: 404, "the answer was status 404"),
    "garbage": (lambda ca, other: b"<html>", "what came: holds no CRL"),
    "stale": (lambda ca, other: crl.make(ca, made=-DAY, until=-HOUR), "is stale"),
    "forged": (lambda ca, other: crl.make(ca, signer=other), "not signed by our CA of that name"),
    "ahead": (lambda ca, other: crl.make(ca, made=800 * DAY, until=900 * DAY),
              "check this host's clock, which seems wrong"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_is_no_good_refuses_until_it_is_mended(relay, backend, ca, other_ca, web, state, kind):
    make, words = ANSWERS[kind]
    web.answer = make(ca, other_ca)
    through = relay(backend, crl=web.url)
    line = through.agent.wait_log(msg="CRL not downloaded")
    assert (line["level"], line["url"]) == ("warning", web.url)
    assert words in line["detail"]
    ended = refused(through, backend, "crl_unusable")
    assert f"{web.url} is not downloaded yet" in ended["detail"]
    assert kept(state) == []

    web.answer = crl.make(ca)
    through.agent.wait_log(msg="CRL is downloaded again")
    wait_until_it_passes(through)


def test_a_server_that_does_not_answer_holds_nothing_up(relay, backend, web, state):
    web.answer = None
    through = relay(backend, crl=web.url)
    web.wait_requests(1)
    refused(through, backend, "crl_unusable")
    assert through.agent.stop(timeout=5) == 0


def test_nobody_at_the_url_is_told_and_tried_again(relay, backend, web, state):
    url = f"http://127.0.0.1:{net.free_port()}/ca.crl"
    through = relay(backend, crl=url)
    line = through.agent.wait_log(msg="CRL not downloaded")
    assert "onnect" in line["detail"]
    assert len(through.agent.all_log(msg="CRL not downloaded")) == 1


def test_what_was_downloaded_outlives_the_server(relay, backend, ca, leaf, web, state):
    web.answer = crl.make(ca)
    first = relay(backend, crl=web.url)
    wait_until_it_passes(first)
    assert first.agent.stop() == 0
    web.answer = 503
    second = relay(backend, crl=web.url)
    passes(second)
    assert web.requests == 1
    assert not second.agent.find_log(msg="CRL not downloaded")


def test_what_is_kept_and_broken_is_downloaded_anew(relay, backend, ca, web, state):
    web.answer = crl.make(ca)
    first = relay(backend, crl=web.url)
    wait_until_it_passes(first)
    assert first.agent.stop() == 0
    (path,) = kept(state)
    path.write_bytes(b"half of a")
    second = relay(backend, crl=web.url)
    wait_until_it_passes(second)
    assert path.read_bytes() == web.answer
    assert web.requests == 2


def test_a_crl_is_asked_for_again_before_it_runs_out(relay, backend, ca, leaf, web, state):
    web.answer = crl.make(ca, until=12 * SECOND)
    through = relay(backend, crl=web.url)
    wait_until_it_passes(through)
    with through.call() as old:
        say(old)
        web.answer = crl.make(ca, leaf, made=-SECOND)
        web.wait_requests(2)

        def is_refused():
            with through.call() as caller, contextlib.suppress(OSError):
                say(caller)
            return through.agent.find_log(msg="connection ended", reason="cert_revoked")

        known = len(through.agent.all_log(msg="connection ended", reason="crl_unusable"))
        net.wait_for(is_refused, what="the new CRL to count")
        assert len(through.agent.all_log(msg="connection ended", reason="crl_unusable")) == known
        say(old, b"still there")


def test_an_older_crl_does_not_replace_a_newer_one(relay, backend, ca, leaf, web, state):
    newer = web.answer = crl.make(ca, leaf, until=20 * SECOND)
    through = relay(backend, crl=web.url)
    through.agent.wait_log(msg="CRL downloaded")
    web.answer = crl.make(ca, made=-DAY, until=2 * HOUR)
    web.wait_requests(3)
    (path,) = kept(state)
    assert path.read_bytes() == newer
    refused(through, backend, "cert_revoked")


# URLs of an agent that runs


@pytest.fixture
def live(start, gateway, short_path, state):
    """live(SERVICE…) starts an agent with a status socket."""

    def start_live(*services):
        socket = short_path / "status.sock"
        text = config(*services, certificate=gateway, agent={"status": f"unix:{socket}"})
        return Live(start(text), socket)

    return start_live


def add_crl(link, url):
    """Each service gets the URL, by a reload; what `mtls-agent reload` says."""
    text = link.agent.config.read_text()
    link.write(text.replace("sni = localhost\n", f"sni = localhost\ncrl = {url}\n"))
    return link.reload()


def problem(link):
    return link.status()["cas"][0]["problem"]


def test_a_url_is_added_and_nobody_is_lost(live, leaf, ca, web, state):
    """What it gives is there before it is asked for."""
    web.answer = crl.make(ca)
    port = net.free_port()
    with Teller(leaf, ca) as backend:
        link = live(service("backend", port, backend.port, ca))
        with Steady(port), Steady(port), Steady(port):
            told = add_crl(link, web.url)
            assert (told.returncode, told.stderr) == (0, "")
            assert web.requests >= 1 and len(kept(state)) == 1
            for _ in range(200):
                assert shown(port)
        assert problem(link) is None


def test_a_url_that_gives_nothing_is_told(live, backend, ca, web, state):
    web.answer = 404
    link = live(service("backend", net.free_port(), backend.port, ca, crl=web.url))
    net.wait_for(lambda: "404" in (problem(link) or ""), what="the answer to be told")
    web.answer = crl.make(ca)
    net.wait_for(lambda: problem(link) is None, what="the problem to be over")


def test_a_url_is_asked_for_once_for_all_services(live, backend, ca, web, state):
    count = 40
    services = [service(f"s-{i}", net.free_port(), backend.port, ca) for i in range(count)]
    link = live(*services)
    assert add_crl(link, web.url).returncode == 0
    first = web.requests  # that of the reload, and the agent's own from then on
    assert 1 <= first < count / 2
    assert link.reload().returncode == 0
    assert web.requests < first + count / 2


def test_a_dead_url_holds_up_the_first_reload_alone(live, backend, ca, web, state):
    """Five seconds at most, and what is known to be dead is not waited for."""
    web.answer = None
    link = live(service("backend", net.free_port(), backend.port, ca))
    spans = []
    for reload in (lambda: add_crl(link, web.url), link.reload):
        begun = time.monotonic()
        assert reload().returncode == 0
        spans.append(time.monotonic() - begun)
    assert web.requests >= 1
    assert spans[0] < 15 and spans[1] < 4, spans

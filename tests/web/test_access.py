"""Who may see and do what: users, sessions, tokens, other sites, other names."""

from __future__ import annotations

import asyncio
import re
import traceback
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import insert, text
from starlette.concurrency import run_in_threadpool

from dicom_node.errors import AccountError, LedgerError, SettingsError
from dicom_node.register.credentials import Credentials
from dicom_node.register.tables import worklist
from dicom_node.web.app import ROUTERS
from dicom_node.web.live import MOST_STREAMS, live_studies
from dicom_node.web.login_limit import network_of
from dicom_node.web.problem import ProblemError
from dicom_node.web.server import refuse_open_door
from tests.web.conftest import PASSWORD, Site, csrf_token, make_site


def trail(site: Site) -> list[tuple[str, str, str]]:
    """Person, act and about of every entry, the first first."""
    return [
        (entry.person, entry.act, entry.about) for _, entry in reversed(site.context.audit.latest(1000))
    ]


def test_while_nobody_is_registered_this_machine_may_do_everything(site: Site) -> None:
    """No log-in, on loopback."""
    assert site.browser().get("/users").status_code == 200


def test_while_nobody_is_registered_another_machine_is_answered_nothing(site: Site) -> None:
    """Even if a packet of it came to the loopback socket."""
    assert site.browser("10.1.2.3").get("/users").status_code == 303
    assert site.program().get("/users", headers={"host": "10.1.2.3"}).status_code == 421


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
def test_a_name_that_is_not_the_nodes_is_refused(site: Site, host: str) -> None:
    """DNS rebinding: a site of somebody else's that points at this machine."""
    assert site.browser().get("/login", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080"])
def test_the_names_of_this_machine_are_taken(site: Site, host: str) -> None:
    """Whatever its port and capitals."""
    assert site.browser().get("/users", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Forwarded-Port", "X-Real-IP", "Via"]
)
def test_without_users_nothing_comes_through_a_proxy(site: Site, header: str) -> None:
    """Behind a proxy every stranger looks like this machine."""
    assert site.browser().get("/users", headers={header: "127.0.0.1"}).status_code == 400


def test_without_users_it_does_not_start_on_another_address(tmp_path: Path) -> None:
    """The refusal names the key, the value and the command that helps; with an administrator it starts."""
    for site in make_site(tmp_path, web={"address": "0.0.0.0"}):  # noqa: S104 - the very case
        with pytest.raises(SettingsError, match=r"web\.address = '0\.0\.0\.0'.*dicom-node users add"):
            refuse_open_door(site.settings, site.register)
        site.accounts.add("chief", "administrator", PASSWORD, site.now)
        refuse_open_door(site.settings, site.register)


def test_the_first_user_is_set_up_in_the_browser_and_ends_the_open_door(site: Site) -> None:
    """From then on nobody is let in without a log-in, and there is no second set-up."""
    browser = site.browser()
    fields = {"name": "chief", "password": PASSWORD, "again": PASSWORD}
    assert browser.get("/setup").status_code == 200
    assert browser.post("/setup", data=fields).status_code == 303
    assert "chief, administrator" in browser.get("/account").text
    stranger = site.browser()
    assert stranger.get("/users").headers["location"] == "/login?next=/users"
    assert stranger.get("/setup").status_code == 404
    assert stranger.post("/setup", data={**fields, "name": "second"}).status_code == 404
    assert [one.name for one in site.accounts.all()] == ["chief"]


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [
        ("chief", "short", "at least 12"),
        ("chief", "aaaaaaaaaaaaaaaaaa", "too easy"),
        ("chief", "the chief of all", "too easy"),
        ("<b>chief</b>", PASSWORD, "no name for a user"),
        ("", PASSWORD, "no name for a user"),
    ],
)
def test_a_weak_password_or_odd_name_is_refused_in_words(
    site: Site, name: str, password: str, why: str
) -> None:
    """Nothing is registered."""
    with pytest.raises(AccountError, match=why):
        site.accounts.add(name, "administrator", password, site.now)
    assert not site.accounts.exist()


def test_the_first_user_administers_and_the_last_administrator_stays(site: Site) -> None:
    """Nobody can lock everybody out."""
    with pytest.raises(AccountError, match="must be an administrator"):
        site.accounts.add("reader", "viewer", PASSWORD, site.now)
    site.accounts.add("chief", "administrator", PASSWORD, site.now)
    with pytest.raises(AccountError, match="must be an administrator"):
        site.accounts.disable("chief", site.now)
    with pytest.raises(AccountError, match="must be an administrator"):
        site.accounts.set_role("CHIEF", "viewer")
    assert site.accounts.check("chief", PASSWORD, site.now) is not None


def test_a_wrong_password_is_told_apart_from_nothing(site: Site) -> None:
    """The same words for a wrong name and a wrong password; both are in the audit trail."""
    site.logged_in()
    said = {
        site.browser().post("/login", data={"name": name, "password": "not this one at all"}).text
        for name in ("chief", "nobody")
    }
    assert len(said) == 1
    assert [one for one in trail(site) if one[1] == "failed to log in"] == [
        ("chief", "failed to log in", "chief"),
        ("nobody", "failed to log in", "nobody"),
    ]


def test_guessing_is_slowed_down(site: Site) -> None:
    """The sixth try in five minutes is not even looked at, the right password neither; another name's is."""
    site.logged_in("viewer")
    browser = site.browser()
    tries = [
        browser.post("/login", data={"name": "chief", "password": "wrong wrong wrong"}).status_code
        for _ in range(5)
    ]
    late = browser.post("/login", data={"name": "chief", "password": PASSWORD})
    other = browser.post("/login", data={"name": "some-viewer", "password": PASSWORD})
    assert (tries, late.status_code, other.status_code) == ([401] * 5, 429, 303)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    """HttpOnly, SameSite; its value is nowhere in the register."""
    browser = site.logged_in()
    answer = browser.post("/login", data={"name": "chief", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    value = re.search(r"session=([^;]+)", cookie)
    assert value is not None
    for path in (site.settings.node.data).glob("register.sqlite*"):
        assert value[1].encode() not in path.read_bytes()


def test_under_tls_the_cookie_travels_under_tls_alone(tmp_path: Path) -> None:
    """Secure, and bound to this host by its name."""
    for site in make_site(tmp_path, web={"certificate": "web.pem", "private_key": "web.key"}):
        site.accounts.add("chief", "administrator", PASSWORD, site.now)
        answer = site.browser().post("/login", data={"name": "chief", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("__Host-session=")
        assert "Secure" in answer.headers["set-cookie"]


def test_a_session_ends_by_logging_out_idling_and_age(site: Site) -> None:
    """An hour without a request, or ten hours."""
    for end in ("logged out", "idle", "old"):
        browser = site.logged_in()
        token = csrf_token(browser.get("/account"))
        assert token
        if end == "logged out":
            kept = dict(browser.cookies)
            browser.post("/logout", data={"csrf_token": token})
            browser.cookies.update(kept)
        elif end == "idle":
            site.later(minutes=61)
        else:
            for _ in range(20):
                site.later(minutes=31)
                browser.get("/account")
        assert browser.get("/account").headers.get("location") == "/login?next=/account", end


def test_an_act_without_the_sessions_own_token_is_refused(site: Site) -> None:
    """A form of another site has the cookie at most."""
    browser = site.logged_in()
    fields = {"name": "second", "role": "viewer", "password": PASSWORD}
    without = browser.post("/users", data=fields)
    wrong = browser.post("/users", data={**fields, "csrf_token": "wrong"})
    right = browser.post("/users", data={**fields, "csrf_token": csrf_token(browser.get("/users"))})
    assert [one.status_code for one in (without, wrong, right)] == [403, 403, 303]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_what_another_site_sends_is_refused_even_without_users(
    site: Site, headers: dict[str, str]
) -> None:
    """A page elsewhere cannot make a browser on this machine act."""
    fields = {"name": "chief", "password": PASSWORD, "again": PASSWORD}
    assert site.browser().post("/setup", data=fields, headers=headers).status_code == 403
    assert not site.accounts.exist()


def test_roles_are_what_they_are_called(site: Site) -> None:
    """A viewer sees no users and no audit trail; nor does a radiologist."""
    for role, status in (("viewer", 403), ("radiologist", 403), ("administrator", 200)):
        browser = site.logged_in(role)
        assert [browser.get(path).status_code for path in ("/users", "/audit", "/audit.csv")] == [
            status
        ] * 3
        assert ('href="/users"' in browser.get("/account").text) is (status == 200)


def test_a_token_may_what_it_holds_and_no_more_than_its_owner(site: Site) -> None:
    """Its value is shown once; taken back, expired or unknown it is 401; its owner's new role counts at once."""
    browser = site.logged_in()
    form = {"csrf_token": csrf_token(browser.get("/account")), "label": "prometheus", "days": "30"}
    made = browser.post("/account/tokens", data={**form, "permissions": ["metrics", "administer"]})
    found = re.search(r'value="(fn_[^"]+)"', made.text)
    assert found is not None
    value = found[1]
    assert value not in browser.get("/account").text
    program = site.program(value)
    assert program.get("/users").status_code == 200
    assert program.get("/audit").status_code == 200
    assert program.get("/account").status_code == 403
    site.accounts.set_role("some-administrator", "viewer")
    assert program.get("/users").status_code == 403
    site.accounts.set_role("some-administrator", "administrator")
    (line,) = Credentials(site.register).tokens()
    assert line.used_at == site.now
    site.later(days=31)
    assert program.get("/users").json()["title"] == "Token does not count"
    assert site.program("fn_guess").get("/users").status_code == 401


def test_a_token_is_taken_back_at_once(site: Site) -> None:
    """By its owner; a stranger finds no such token."""
    owner = site.logged_in("viewer")
    value = Credentials(site.register).make_token("some-viewer", "mine", ["read"], site.now, 10)
    (line,) = Credentials(site.register).tokens("some-viewer")
    other = site.logged_in("radiologist")
    refused = other.post(
        f"/account/tokens/{line.id}/revoke", data={"csrf_token": csrf_token(other.get("/account"))}
    )
    assert refused.status_code == 404
    assert site.program(value).get("/account").status_code == 403
    owner.post(
        f"/account/tokens/{line.id}/revoke", data={"csrf_token": csrf_token(owner.get("/account"))}
    )
    assert site.program(value).get("/account").status_code == 401


def test_locking_out_ends_sessions_and_tokens(site: Site) -> None:
    """From the next request on."""
    browser = site.logged_in("viewer")
    value = Credentials(site.register).make_token("some-viewer", "mine", ["read"], site.now, None)
    site.accounts.disable("some-viewer", site.now)
    assert browser.get("/account").status_code == 303
    assert site.program(value).get("/account").status_code == 401
    assert site.accounts.check("some-viewer", PASSWORD, site.now) is None


def test_after_a_log_in_one_goes_on_within_this_node_only(site: Site) -> None:
    """`next` cannot lead elsewhere."""
    site.logged_in()
    for wanted, got in (("/users", "/users"), ("//evil.example", "/"), ("https://evil.example", "/")):
        fields = {"name": "chief", "password": PASSWORD, "next": wanted}
        assert site.browser().post("/login", data=fields).headers["location"] == got


def test_the_audit_trail_tells_who_did_what_and_harms_no_spreadsheet(site: Site) -> None:
    """Log-ins and changes; a value that a spreadsheet would calculate is kept as text."""
    browser = site.logged_in()
    browser.post(
        "/users",
        data={
            "csrf_token": csrf_token(browser.get("/users")), "name": "reader", "role": "viewer",
            "password": PASSWORD,
        },
    )  # fmt: skip
    site.browser().post("/login", data={"name": "=HYPERLINK(1)", "password": "x"})
    assert ("some-administrator", "registered user", "reader") in trail(site)
    assert "registered user" in browser.get("/audit?who=some-administrator").text
    assert "registered user" not in browser.get("/audit?who=chief").text
    table = browser.get("/audit.csv").text
    assert "'=HYPERLINK(1)" in table
    assert re.search(r"(^|,)=HYPER", table) is None


def test_every_page_tells_the_browser_to_load_nothing_from_elsewhere(site: Site) -> None:
    """A strict policy, no sniffing, no frames, no copies in caches; the notice stands on each."""
    for path in ("/users", "/setup", "/nowhere", "/audit"):
        answer = site.browser().get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "For research only" in answer.text
        assert not re.search(
            r"\son\w+=|<script(?! type=\"(module|application/json)\")|style=", answer.text
        )


NAME = "DOE^JANE"
# What is answered to somebody who is not known; all else must ask who it is.
OPEN = {
    ("GET", "/login"), ("POST", "/login"), ("POST", "/logout"), ("GET", "/setup"), ("POST", "/setup"),
    ("GET", "/health/live"), ("GET", "/health/ready"),
}  # fmt: skip


def test_a_stranger_is_answered_by_no_route_but_the_log_in_and_the_health(site: Site) -> None:
    """Every route of every page and of the API, whatever it would be asked for."""
    site.accounts.add("chief", "administrator", PASSWORD, site.now)
    stranger = site.program()
    routes = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert routes > OPEN
    answered = {
        (method, path): stranger.request(method, re.sub(r"\{\w+\}", "1", path)).status_code
        for method, path in routes - OPEN
    }
    assert {asked for asked, status in answered.items() if status != 401} == set()


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"host": "["}, 421), ({"host": "[::1"}, 421), ({"origin": "http://["}, 403)],
)
def test_a_header_without_form_is_refused_in_words(
    site: Site, headers: dict[str, str], status: int
) -> None:
    """As a name that is not ours, and as another site."""
    answer = site.browser().post("/login", data={"name": "x", "password": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_a_page_from_elsewhere_gets_nothing_and_a_link_from_elsewhere_works(site: Site) -> None:
    """Else a stranger's page could have films read, and put sights into the audit trail, while nobody is registered."""
    browser, elsewhere = site.browser(), {"sec-fetch-site": "cross-site"}
    assert browser.get("/", headers={**elsewhere, "sec-fetch-mode": "no-cors"}).status_code == 403
    assert browser.get("/", headers={**elsewhere, "sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf-16"])
def test_a_form_in_letters_of_no_browser_is_refused_before_it_is_read(site: Site, charset: str) -> None:
    """Python knows some whose decoding takes the square of a megabyte, without a log-in."""
    kind = f"multipart/form-data; boundary=b; charset={charset}"
    part = b'--b\r\ncontent-disposition: form-data; name="name"\r\n\r\n\\ud800\r\n--b--\r\n'
    answer = site.browser().post("/login", content=part, headers={"content-type": kind})
    assert answer.status_code == 415


def test_a_whole_network_guesses_no_more_than_one_machine(site: Site) -> None:
    """Who has one IPv6 address has 2^64 of them; capitals make no other name."""
    site.logged_in()
    said = [
        site.browser(f"2001:db8::{number}")
        .post("/login", data={"name": name, "password": "wrong wrong wrong"})
        .status_code
        for number, name in enumerate(["chief", "CHIEF", "Chief", "chief", "cHief", "chief"], start=1)
    ]
    neighbour = site.browser("2001:db8:0:1::1").post(
        "/login", data={"name": "chief", "password": PASSWORD}
    )
    assert (said, neighbour.status_code) == ([401] * 5 + [429], 303)
    assert network_of("::ffff:10.1.2.3") == network_of("10.1.2.3")


def test_an_error_of_the_register_repeats_no_name(site: Site) -> None:
    """Neither in its own words nor in those of what caused it: both are logged."""
    with (
        pytest.raises(LedgerError, match="NOT NULL") as caught,
        site.register.transaction() as connection,
    ):
        connection.execute(insert(worklist).values(study_instance_uid="1.2", patient_name=NAME))
    assert NAME not in "".join(traceback.format_exception(caught.value))
    assert "INSERT" not in str(caught.value)


def test_while_the_register_cannot_be_read_nobody_is_let_in(site: Site) -> None:
    """503 in words for a program, whoever asks; nothing of the database is told."""
    browser = site.logged_in()
    with site.register.transaction() as connection:
        connection.execute(text("DROP TABLE session"))
    answer = browser.get("/account")
    assert (answer.status_code, "session" in answer.text) == (503, False)


def test_only_administrators_are_told_what_is_wrong_with_the_node(site: Site) -> None:
    """Words that may name a file or a table are nobody else's business."""
    administrator, viewer = site.logged_in(), site.logged_in("viewer")
    with site.register.transaction() as connection:
        connection.execute(text("DROP TABLE verdict"))
    said = {one: one.get("/verdicts") for one in (administrator, viewer)}
    assert [answer.status_code for answer in said.values()] == [503, 503]
    assert "no such table" in said[administrator].text
    assert "no such table" not in said[viewer].text


def test_an_unforeseen_error_is_guarded_like_all_else(site: Site) -> None:
    """It is answered outside of all guards, and tells nothing."""

    def fail() -> None:
        raise RuntimeError(NAME)

    site.app.add_api_route("/broken", fail)
    answer = site.browser(raise_server_exceptions=False).get("/broken")
    assert (answer.status_code, NAME in answer.text) == (500, False)
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_number_beyond_the_database_is_no_error_of_the_node(site: Site) -> None:
    """Of the audit trail, and of a stream that says where it was."""
    browser = site.browser()
    assert browser.get(f"/audit?before={2**63}").status_code == 422
    live_studies(site.app).end()
    assert browser.get("/events", headers={"last-event-id": "9" * 5000}).status_code == 503


def test_rows_of_the_worklist_are_seen_by_nobody_unnoticed(site: Site) -> None:
    """An open page is in the audit trail since it listens; whoever asks without one is, each time."""
    browser, live = site.browser(), live_studies(site.app)
    browser.get("/worklist/rows?uid=1.2&uid=1.3")
    assert trail(site) == [("local", "saw worklist", "")]

    async def listen() -> None:
        stream = live.open("local")
        await run_in_threadpool(browser.get, "/worklist/rows?uid=1.2")
        live.close(stream)

    asyncio.run(listen())
    assert len(trail(site)) == 1
    browser.get("/worklist/rows?uid=1.2")
    assert len(trail(site)) == 2


def test_one_person_cannot_take_all_live_pages(site: Site) -> None:
    """Whoever has very many open is refused another; somebody else is not."""
    live = live_studies(site.app)

    async def listen() -> None:
        for _ in range(MOST_STREAMS // 2):
            live.open("one")
        with pytest.raises(ProblemError, match="Too many live pages"):
            live.refuse_more("one")
        live.refuse_more("another")

    asyncio.run(listen())


def test_only_what_takes_films_takes_a_large_body(site: Site) -> None:
    """A form that comes with a deletion is not taken in to look for a token."""
    browser = site.logged_in()
    answer = browser.request("DELETE", "/api/v1/analyses/1", files={"x": b"x" * 1_200_000})
    assert answer.status_code == 413

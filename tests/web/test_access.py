"""Who may see and do what: users, sessions, tokens, other sites, other names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dicom_node.errors import AccountError, SettingsError
from dicom_node.register.credentials import Credentials
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


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Forwarded-Host", "X-Real-IP"])
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

"""The worklist's page: filters, search, order and pages; what strangers write stays words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import event, text

from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.worklist import Worklist
from dicom_node.register.worklist_query import Sort, WorklistPages, WorklistQuery
from dicom_node.register.worklist_study import StudyHeader, WorklistStudy
from dicom_node.work.intake import LedgerIntake
from tests.phantoms import uid_of
from tests.results.hand_made import POSITIVE

from .conftest import Site, make_site
from .studies import Walk, archive_for_all
from .worklist_films import film_of, follow

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LINE = WorklistStudy(
    study_instance_uid="1.2.3",
    header=StudyHeader("Meier^Anna", "P1", "A1", "Hand p.a.", "20260102"),
    modalities=("CR",),
    calling_ae_title="ROOM1",
    images=1,
    unread=0,
    revision=1,
    first_received_at=NOON,
    last_received_at=NOON,
    outcome="no fracture",
    outcomes={"no fracture": 1},
    reasons="",
    body_parts=("hand",),
    probability=0.1,
    priority=10,
    delivery_state="delivered",
    deliveries={"delivered": 1},
)

FILTERS = {
    "outcome=fracture": ["B"],
    "outcome=being+read": [],
    "delivery=parked": ["C"],
    "priority=emergency": ["D"],
    "body_part=leg": ["E"],
    "sender=ROOM2": ["F"],
    "modality=dx": ["G"],
    "verdict=disagrees": [],
    "from=2026-01-03&until=2026-01-03": ["H"],
    "until=2026-01-01": ["I"],
    "outcome=fracture&delivery=parked": [],
    "outcome=&delivery=&from=&search=&priority=&verdict=": list("HGFEDCBAI"),
}
_ALL = ("O&#34;*", "100%_x", "Yamada · 山田", "Straße", "Meier, Anna")
SEARCHES = {
    "meier": ["Meier, Anna"],
    "EIER": ["Meier, Anna"],
    "Meier Anna": ["Meier, Anna"],
    "straße": ["Straße"],
    "STRASSE": ["Straße"],
    "山田": ["Yamada · 山田"],
    "%": ["100%_x"],
    "%_": ["100%_x"],
    "0%_": ["100%_x"],
    "___": [],
    '"*': ["O&#34;*"],
    'o"* OR search': [],
    "'; DROP TABLE worklist; --": [],
    "\0": list(_ALL),
    "1.2.3.4": ["O&#34;*"],
    "ab": [],
    "EI": ["Meier, Anna"],
    "田": ["Yamada · 山田"],
    "p1": list(_ALL),
    "q": [],
}


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """An empty node whose one archive wants everything."""
    for site in make_site(tmp_path, archive_for_all()):
        yield Walk(site)


def put(site: Site, *lines: WorklistStudy) -> None:
    """Lines as the follower writes them, each in a study of its own."""
    numbered = [
        (replace(one, study_instance_uid=f"1.2.3.{number}"), "")
        for number, one in enumerate(lines, start=len(Worklist(site.register).studies()))
    ]
    Worklist(site.register).write(numbered, [], 0)


def listed(site: Site, query: str = "") -> list[str]:
    """The names on the page, from the top."""
    answer = site.browser().get(f"/?{query}")
    assert answer.status_code == 200, answer.text
    return re.findall(r'<a href="/studies/[0-9.]+">(.*?)</a>', answer.text)


def named(name: str, **more: object) -> WorklistStudy:
    """A line of a patient."""
    return replace(LINE, header=replace(LINE.header, patient_name=name), **more)  # type: ignore[arg-type]


def test_filters_let_through_what_they_say(site: Site) -> None:
    """Alone and together; what is left empty in the form filters nothing."""
    put(
        site,
        named("A"),
        named("B", outcome="fracture", outcomes={"fracture": 1}),
        named("C", delivery_state="parked", deliveries={"parked": 1}),
        named("D", priority=1),
        named("E", body_parts=("hand", "leg")),
        named("F", calling_ae_title="ROOM2"),
        named("G", modalities=("CR", "DX")),
        named("H", last_received_at=NOON + timedelta(days=1)),
        named("I", last_received_at=NOON - timedelta(days=1)),
    )
    assert {query: listed(site, query) for query in FILTERS} == FILTERS


def test_a_search_finds_letters_as_they_stand(site: Site) -> None:
    """Part of a word, letter case aside; no letter of it means anything else."""
    names = ["Meier^Anna", "Straße", "Yamada=山田", "100%_x", 'O"*']
    put(
        site,
        *(named(name, last_received_at=NOON + timedelta(1) * at) for at, name in enumerate(names)),
    )
    found = {search: listed(site, f"search={quote(search)}") for search in SEARCHES}
    assert found == SEARCHES


def test_a_changed_name_is_found_by_the_new_one_alone(site: Site) -> None:
    """The search's index goes with the rows."""
    put(site, named("Maier"))
    Worklist(site.register).write([(replace(named("Meyer"), study_instance_uid="1.2.3.0"), "")], [], 0)
    assert (listed(site, "search=maier"), listed(site, "search=meyer")) == ([], ["Meyer"])
    Worklist(site.register).write([], ["1.2.3.0"], 0)
    assert listed(site, "search=meyer") == []


@pytest.mark.parametrize("reverse", [False, True])
def test_pages_follow_each_other_while_studies_arrive(site: Site, reverse: bool) -> None:
    """In every order each study is seen once, whatever comes and changes elsewhere meanwhile."""
    outcomes, parts = ("fracture", "no fracture"), ("hand", "leg", "hip")
    lines = [
        named(
            f"N{number % 4}",
            outcome=outcomes[number % 2],
            probability=None if number % 3 == 0 else number % 5 / 10,
            priority=(1, 5, 10)[number % 3],
            body_parts=(parts[number % 3],),
            last_received_at=NOON + timedelta(seconds=number // 2),
        )
        for number in range(12)
    ]
    pages = WorklistPages(site.register)
    for sort in Sort:
        Worklist(site.register).clear()
        put(site, *lines)
        query, seen, after = WorklistQuery(sort=sort, reverse=reverse), list[str](), ""
        for turn in range(6):
            page = pages.page(query, after, 4)
            seen += [one.study_instance_uid for one in page.studies]
            # At either end of each order.
            late, early = NOON + timedelta(days=1 + turn), NOON - timedelta(days=1 + turn)
            put(
                site,
                named("A", outcome="fracture", probability=0.9, priority=1, last_received_at=late),
                named("Z", outcome="no image left", probability=None, last_received_at=early),
            )
            after = page.next
            if not after:
                break
        first = [uid for uid in seen if int(uid.rpartition(".")[2]) < 12]
        assert sorted(first) == sorted(f"1.2.3.{number}" for number in range(12)), sort
        assert len(seen) == len({*seen}), sort
        whole = pages.page(query, "", 500).studies
        assert first == [one.study_instance_uid for one in whole if one.study_instance_uid in first]


def test_no_page_reads_the_whole_table(site: Site) -> None:
    """Each order without a filter walks an index; what filters sift lies in one index as well."""
    put(site, LINE)
    asked: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        if "ORDER BY" in statement:
            asked.append((statement, values))

    queries = [f"sort={sort}" for sort in Sort]
    queries += [
        "sender=X",
        "modality=CR&sort=patient",
        "outcome=fracture&delivery=parked&sort=probability",
    ]
    event.listen(site.register.engine, "before_cursor_execute", note)
    for query in queries:
        listed(site, query)
    event.remove(site.register.engine, "before_cursor_execute", note)
    assert len(asked) == len(queries)
    with site.register.read() as connection:
        for statement, values in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
            assert " USING COVERING INDEX worklist_by_" in plan.all()[0][3]


def test_what_cannot_be_asked_is_said(site: Site) -> None:
    """A wrong word in the address is a page that says which."""
    wrong = (
        "after=x",
        "after=WzFd",
        "after=bnVsbA",
        "outcome=x",
        "from=yesterday",
        "sort=x",
        "priority=11",
        "reverse=x",
    )
    for query in wrong:
        answer = site.browser().get(f"/?{query}")
        assert answer.status_code == 422, query
        assert "Not " in answer.text


def test_a_cursor_of_another_order_is_refused(site: Site) -> None:
    """A place in one order is none in another."""
    put(site, LINE, LINE)
    follows = WorklistPages(site.register).page(WorklistQuery(), "", 1).next
    assert site.browser().get(f"/?after={follows}").status_code == 200
    assert site.browser().get(f"/?sort=patient&after={follows}").status_code == 422


def test_what_strangers_write_stays_words(walk: Walk) -> None:
    """Name, ID, description, accession number and AE title of a hostile film: shown, and never markup."""
    evil = "<img/src=x onerror=alert(1)>\"'"
    ds = film_of(
        "a", PatientName=evil, PatientID=evil, StudyDescription=evil, AccessionNumber=evil[:16]
    )
    walk.receive(ds)
    LedgerIntake(walk.site.ledger, walk.engine, walk.deliveries).note_instance(
        calling_ae_title="<b>EVIL</b>", address="1.2.3.4", at=walk.site.now, status=0xA700, text=evil
    )
    follow(walk.site)
    for path in ("/", "/?search=%3Cimg%22%27", f"/worklist/rows?uid={uid_of('a')}", "/?sender=%3Cb%3E"):
        shown = walk.site.browser().get(path).text
        assert "<img/" not in shown
        assert "<b>EVIL" not in shown
    assert "&lt;img/src=x onerror=alert(1)&gt;&#34;&#39;" in walk.site.browser().get("/").text
    assert "&lt;b&gt;EVIL&lt;/b&gt;" in walk.site.browser().get("/").text


def test_what_was_refused_stands_between_the_studies(walk: Walk) -> None:
    """In its place in time, the same ones together; and by itself where that is asked for."""
    intake = LedgerIntake(walk.site.ledger, walk.engine, walk.deliveries)
    walk.receive(film_of("a", PatientName="Before"))
    for _ in range(3):
        walk.site.later(seconds=1)
        intake.note_instance(
            calling_ae_title="CT", address="10.0.0.9", at=walk.site.now,
            status=0xA700, text="the disk is full",
        )  # fmt: skip
    walk.site.later(seconds=1)
    walk.receive(film_of("b", PatientName="Behind"))
    follow(walk.site)

    def order(query: str) -> list[str]:
        text = walk.site.browser().get(f"/?{query}").text
        shown = re.findall(r">(?:</span>)?(Before|Behind)</a>|</span>(the disk is full)", text)
        return [name or refused for name, refused in shown]

    assert order("") == ["Behind", "the disk is full", "Before"]
    assert order("reverse=1") == ["Before", "the disk is full", "Behind"]
    assert order("outcome=refused") == ["the disk is full"]
    assert order("sender=CT") == ["the disk is full"]
    assert order("search=disk") == ["the disk is full"]
    assert order("outcome=being+read") == ["Behind", "Before"]
    assert order("sender=ELSEWHERE") == []
    answer = walk.site.program().get("/api/v1/refusals").json()
    assert [(one["count"], one["status"], one["reason"]) for one in answer["refusals"]] == [
        (3, 0xA700, "the disk is full")
    ]


def test_refusals_are_shown_once_over_the_pages(site: Site) -> None:
    """Between two pages nothing falls through, and nothing is doubled."""
    put(site, *(named(f"N{at}", last_received_at=NOON + timedelta(minutes=at)) for at in range(60)))
    with site.ledger.transaction() as connection:
        for at in range(60):
            moment = NOON + timedelta(minutes=at, seconds=30)
            connection.execute(
                text("INSERT INTO notice (at, calling_ae_title, address, status, text) VALUES (:at, 'CT', '', 1, :text)"),
                {"at": moment.timestamp(), "text": f"refusal {at}."},
            )  # fmt: skip
    first = site.browser().get("/").text
    following = re.search(r'rel="next" href="(\?[^"]+)"', first)
    assert following is not None
    second = site.browser().get("/" + following[1].replace("&amp;", "&")).text
    shown = [re.findall(r"refusal (\d+)\.", page) for page in (first, second)]
    assert sorted(map(int, shown[0] + shown[1])) == list(range(60))
    assert min(map(int, shown[0])) > max(map(int, shown[1]))


def test_a_verdict_is_in_the_line_at_once(walk: Walk) -> None:
    """Whoever judges need not know of the worklist; one who disagrees outweighs those who agree."""
    job = walk.whole([(film_of("a"), POSITIVE)])[0]
    follow(walk.site)
    for agrees, person in ((1, "x"), (0, "y")):
        with walk.site.register.transaction() as connection:
            connection.execute(
                text(
                    "INSERT INTO verdict VALUES (:id, 1, :id, :study, :job, '1', 'p', 1, :agrees, 'present', '[]', '', "
                    "'fracture', 0.9, 'hand', 'm', 'g', '')"
                ),
                {"id": person, "study": uid_of("a"), "job": job, "agrees": agrees},
            )
        words = "agrees" if agrees else "disagrees"
        assert len(listed(walk.site, f"verdict={words}")) == 1
    with walk.site.register.transaction() as connection:
        connection.execute(text("UPDATE verdict SET stands = 0 WHERE id = 'y'"))
    assert len(listed(walk.site, "verdict=agrees")) == 1
    walk.receive(film_of("a", "2"))
    follow(walk.site)
    assert len(listed(walk.site, "verdict=agrees")) == 1


def test_every_look_is_in_the_audit_trail_without_the_words_of_a_search(site: Site) -> None:
    """A search may be a patient's name: the trail says that there was one."""
    site.browser().get("/?search=Meier&outcome=fracture")
    site.program().get("/api/v1/studies?search=Meier")
    entries = [entry for _, entry in AuditTrail(site.register).latest(10)]
    assert [(entry.act, entry.detail) for entry in entries] == [
        ("saw worklist", "search"),
        ("saw worklist", "outcome fracture, search"),
    ]


def test_who_may_only_look_is_offered_no_acts(site: Site) -> None:
    """A viewer's page has nothing to choose; an administrator's has."""
    put(site, LINE)
    assert 'id="acts"' in site.logged_in("administrator").get("/").text
    assert "checkbox" not in re.sub(r"(?s)<form.*?</form>", "", site.logged_in("viewer").get("/").text)

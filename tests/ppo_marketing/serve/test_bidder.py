"""The bidder over OpenRTB 2.6, from request to notice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envs.bidding.live.bidder import Bidder
from envs.bidding.live.campaign_day import CampaignDay
from ppo_marketing.errors import UserError
from ppo_marketing.serve.decision_log import read_lines
from ppo_marketing.serve.server import opened
from ppo_marketing.serve.settings import ServeSettings
from tests.support.serving import Answer, Client, decision_bundle, served

BID = "/openrtb2/bid"


def request(**changes: Any) -> dict[str, Any]:
    imp = {"id": "i1", "banner": {"w": 300, "h": 250}, **changes.pop("imp", {})}
    return {"id": "r1", "imp": [imp], **changes}


def foretold(probability: float) -> dict[str, Any]:
    return {"metric": [{"type": "click_through_rate", "value": probability}]}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return decision_bundle(tmp_path_factory.mktemp("auctions") / "bundle", "bidding")


@pytest.fixture
def client(bundle: Path, tmp_path: Path) -> Iterator[Client]:
    with served(bundle, tmp_path / "s") as client:
        yield client


def price(answer: Answer) -> float:
    assert answer.status == 200, (answer.status, answer.headers, answer.content)
    return float(answer.json["seatbid"][0]["bid"][0]["price"])


def day_of(client: Client) -> CampaignDay:
    service = client.server.service
    assert isinstance(service, Bidder)
    return service.day


def spent(client: Client) -> float:
    assert client.server.host is not None
    return client.server.host.purses[0].books.state.spent_day / 1e9


def won(client: Client, answer: Answer, price_cpm: object, currency: str = "USD") -> Answer:
    address = answer.json["seatbid"][0]["bid"][0]["nurl"]
    filled = address.replace("${AUCTION_PRICE}", str(price_cpm))
    return client.ask("GET", filled.replace("${AUCTION_CURRENCY}", currency))


def test_a_bid_answers_the_request_and_reserves_its_price(client: Client) -> None:
    answer = client.post(BID, request())
    found = answer.json
    bid = found["seatbid"][0]["bid"][0]
    assert found["id"] == "r1"
    assert found["cur"] == "USD"
    assert bid["impid"] == "i1"
    assert bid["nurl"].startswith("http://127.0.0.1:8080/openrtb2/win?")
    assert spent(client) == pytest.approx(price(answer) / 1000)


def test_what_is_foretold_to_be_worth_more_is_bid_more_up_to_the_cap(client: Client) -> None:
    low, high, most = (price(client.post(BID, request(imp=foretold(p)))) for p in (1e-5, 4e-5, 1.0))
    assert high == pytest.approx(4 * low, rel=0.02)  # second price: proportional
    assert most == 3.0  # 300 in the log's unit of a hundredth


def test_floors_are_kept_in_any_currency_with_a_rate(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "s", live={"rates": {"EUR": 1.25}}) as client:
        own = price(client.post(BID, request()))
        just = {"bidfloor": own / 1.25 * 0.99, "bidfloorcur": "EUR"}
        assert price(client.post(BID, request(imp=just))) == own
        above = {"bidfloor": own / 1.25 * 1.01, "bidfloorcur": "EUR"}
        foreign = {"bidfloor": 1e-9, "bidfloorcur": "JPY"}
        for refused in (above, foreign):
            answer = client.post(BID, request(imp=refused))
            assert (answer.status, answer.headers["x-reason"]) == (204, "floor")


def test_a_floor_of_the_very_price_is_reached_whatever_the_price(client: Client) -> None:
    for number in range(1, 40):
        expected = foretold(number * 1e-6)
        own = price(client.post(BID, request(imp=expected)))
        assert price(client.post(BID, request(imp={**expected, "bidfloor": own}))) == own


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tmax": 1}, "tmax"),
        ({"cur": ["JPY"]}, "currency"),
        ({"at": 1}, "auction"),
        ({"regs": {"coppa": 1}}, "coppa"),
        ({"imp": {"pmp": {"private_auction": 1}}}, "floor"),
        ({"imp": {"bidfloor": 1e9}}, "floor"),
    ],
)
def test_where_nothing_can_be_bid_the_answer_is_204_with_the_reason(
    client: Client, changes: dict[str, Any], reason: str
) -> None:
    answer = client.post(BID, request(**changes))
    assert (answer.status, answer.content, answer.headers["x-reason"]) == (204, b"", reason)
    assert spent(client) == 0.0
    metrics = client.ask("GET", "/metrics").content.decode()
    assert f'ppo_events_total{{reason="{reason}",what="no_bid"}} 1.0' in metrics


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "BidRequest"),
        ({"imp": [{"id": "1", "banner": {}}]}, "id must be text"),
        ({"id": "1"}, "imp must be a list"),
        ({"id": "1", "imp": []}, "imp must be a list"),
        ({"id": "1", "imp": [{"id": "1"}]}, "one of banner"),
        ({"id": "1", "imp": [{"id": "1", "video": {}}]}, "mimes"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}}] * 2}, "ids must differ"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}, "bidfloor": -1}]}, "bidfloor"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}, "bidfloor": 10**400}]}, "bidfloor"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}, "bidfloorcur": "dollars"}]}, "ISO-4217"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}}], "site": {}, "app": {}}, "only one of"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}}], "test": 2}, "test must be 0 or 1"),
        ({"id": "1", "imp": [{"id": "1", "banner": {}}], "tmax": "now"}, "tmax"),
    ],
)
def test_what_is_no_bid_request_is_400(client: Client, body: Any, said: str) -> None:
    answer = client.post(BID, body)
    assert answer.status == 400
    assert said in " ".join(answer.json["problems"])


def test_unknown_attributes_are_ignored(client: Client) -> None:
    assert price(client.post(BID, request(imp={"hologram": 1}, ext={"a": [1]}, site={"x": 1}))) > 0


def test_a_test_request_never_spends(client: Client) -> None:
    answer = client.post(BID, request(test=1))
    assert price(answer) > 0
    assert won(client, answer, 0.01).status == 204
    assert spent(client) == 0.0
    client.server.desk.log.rotate(time.time())
    assert not list(client.server.desk.log._folder.glob("*.jsonl"))  # nor is it learned from


def test_a_win_is_booked_at_its_price_and_once(client: Client) -> None:
    answer = client.post(BID, request())
    paid = price(answer) / 2
    for _ in range(3):
        assert won(client, answer, paid).status == 204
    assert spent(client) == pytest.approx(paid / 1000)
    state = day_of(client).state
    assert state is not None
    assert state.slot_wins == 1.0
    assert state.spend == pytest.approx(paid / 1000)


@pytest.mark.parametrize("told", ["${AUCTION_PRICE}", "", "nan", "-1", "1e308", "9999"])
def test_a_price_that_cannot_be_costs_the_bid(client: Client, told: str) -> None:
    answer = client.post(BID, request())
    assert won(client, answer, told).status == 204
    assert spent(client) == pytest.approx(price(answer) / 1000)


def test_a_win_in_another_currency_is_exchanged(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "s", live={"rates": {"EUR": 1.25}}) as client:
        answer = client.post(BID, request())
        assert won(client, answer, 0.01, "EUR").status == 204
        assert spent(client) == pytest.approx(0.01 * 1.25 / 1000)


def test_a_lost_bid_frees_its_reservation(client: Client) -> None:
    answer = client.post(BID, request())
    assert client.ask("GET", answer.json["seatbid"][0]["bid"][0]["lurl"]).status == 204
    assert spent(client) == 0.0


def test_notices_that_were_not_made_here_are_refused(client: Client) -> None:
    answer = client.post(BID, request())
    address = answer.json["seatbid"][0]["bid"][0]["nurl"]
    for forged in (
        "/openrtb2/win",
        address.replace("b=", "b=9"),
        address.replace("r=0", "r=1"),
        address.replace("s=", "s=0"),
        address[: address.index("&s=")] + "&s=%C3%A9" + "0" * 30,
    ):
        assert client.ask("GET", forged).status == 400
        assert client.ask("POST", forged.replace("/win", "/loss")).status == 400
    assert spent(client) == pytest.approx(price(answer) / 1000)


def test_bids_end_where_the_budget_does(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "s", live={"budget_total": 0.01}) as client:
        total = 0.0
        for _ in range(50):
            answer = client.post(BID, request(imp=foretold(0.9)))
            if answer.status == 204:
                break
            total += price(answer)
        assert answer.headers["x-reason"] == "budget"
        assert 9.0 < total <= 10.0
        assert client.post(BID, request(imp=foretold(0.9))).status == 204


def test_a_takeover_is_asked_from_the_next_request_on(bundle: Path, tmp_path: Path) -> None:
    from ppo_marketing.serve.app import look

    mine = decision_bundle(tmp_path / "b", "bidding")
    with served(mine, tmp_path / "s") as client:
        client.post(BID, request())
        before = client.server.desk.champion.version
        decision_bundle(mine, "bidding", seed=9)
        client.loop.run_until_complete(look(client.server))
        client.post(BID, request())
        client.server.desk.log.rotate(time.time())
    (path,) = (tmp_path / "s" / "decisions").glob("*.jsonl")
    versions = [line["policy"] for line in read_lines(path)]
    assert versions[0] == before
    assert versions[1] not in ("", before)


def test_the_day_goes_on_after_a_restart(bundle: Path, tmp_path: Path) -> None:
    with served(bundle, tmp_path / "s") as client:
        answer = client.post(BID, request())
        won(client, answer, price(answer) / 2)
        client.server.tick(time.time() + 2)
        before = day_of(client).at(time.time())[0].as_plain()
        booked = spent(client)
    with served(bundle, tmp_path / "s") as client:
        after = day_of(client).at(time.time())[0].as_plain()
        assert after["spend"] == before["spend"] > 0
        assert spent(client) == booked


def test_bids_nobody_told_of_are_freed_in_time(client: Client) -> None:
    client.post(BID, request())
    client.server.tick(time.time() + 59)
    assert spent(client) > 0
    client.server.tick(time.time() + 61)
    assert spent(client) == 0.0


def test_books_that_cannot_be_kept_bid_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.server.host is not None

    def full(record: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(client.server.host.purses[0].books._journal, "append", full)
        answer = client.post(BID, request())
    assert (answer.status, answer.headers["x-reason"]) == (204, "books")


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ({"budgets": 1}, "unknown budgets"),
        ({"budget_day": -1}, "above 0"),
        ({"budget_day": 1e6}, "train it for this one"),
        ({"currency": "Euro"}, "ISO-4217"),
        ({"permission": {"gdpr_purposes": [99]}}, "1 to 24"),
        ({"public_url": "ftp://x"}, "http"),
    ],
)
def test_a_campaign_that_contradicts_itself_does_not_start(
    bundle: Path, tmp_path: Path, live: dict[str, Any], said: str
) -> None:
    settings = ServeSettings(folder=str(tmp_path / "s"), live=live)
    with pytest.raises(UserError, match=said), opened(bundle, settings):
        pass

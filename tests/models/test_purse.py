from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.models.events import Usage
from qwen_code.models.facts import Prices
from qwen_code.models.purse import CostLimitReached, CostOfTheDay, Purse, Spent

ANSWER = Usage(1_000_000, 100_000, 1_100_000, 500_000)
PRICES = Prices(input=2.0, output=10.0, cached=0.5)


def test_an_answer_is_priced_and_added_up() -> None:
    purse = Purse(lambda _: PRICES)
    assert purse.take("m", ANSWER).cost == pytest.approx(2.25)
    purse.take("m", ANSWER)
    assert purse.spent == Spent(2, 2_000_000, 200_000, 1_000_000, purse.spent.usd, 0)
    assert purse.spent.usd == pytest.approx(4.5)


def test_the_price_that_a_server_says_counts() -> None:
    purse = Purse(lambda _: PRICES)
    assert purse.take("m", Usage(1, 1, 2, cost=0.01)).cost == 0.01
    assert purse.spent.usd == 0.01


def test_a_limit_ends_before_the_next_request() -> None:
    purse = Purse(lambda _: PRICES, run_limit=4.0)
    purse.check()
    purse.take("m", ANSWER)
    purse.check()
    purse.take("m", ANSWER)
    with pytest.raises(CostLimitReached, match=r"\$4.5000 of \$4") as caught:
        purse.check()
    assert caught.value.exit_code == 55


def test_a_limit_needs_a_price() -> None:
    purse = Purse(run_limit=4.0)
    purse.take("m", ANSWER)
    with pytest.raises(CostLimitReached, match="price of this model is not known") as caught:
        purse.check()
    assert "qwen_code" in (caught.value.hint or "")
    unlimited = Purse()
    unlimited.take("m", ANSWER)
    unlimited.check()
    assert unlimited.spent.unpriced == 1


def test_the_limit_of_a_day_is_shared(tmp_path: Path) -> None:
    file = tmp_path / "costs.sqlite"
    first = Purse(lambda _: PRICES, day_limit=3.0, day=CostOfTheDay(file))
    first.take("m", ANSWER)
    second = Purse(lambda _: PRICES, day_limit=3.0, day=CostOfTheDay(file))
    second.check()
    second.take("m", ANSWER)
    for purse in (first, second, Purse(day_limit=3.0, day=CostOfTheDay(file))):
        with pytest.raises(CostLimitReached, match="today's limit"):
            purse.check()
    assert file.stat().st_mode & 0o777 == 0o600


def test_sums_since_a_moment() -> None:
    purse = Purse(lambda _: PRICES)
    purse.take("m", ANSWER)
    before = Spent()
    before.join(purse.spent)
    purse.take("m", ANSWER)
    assert purse.spent.since(before).requests == 1
    assert purse.spent.since(before).usd == pytest.approx(2.25)

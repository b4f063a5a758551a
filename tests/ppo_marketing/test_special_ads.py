"""What a special ad category takes out, and what it must leave alone."""

from __future__ import annotations

import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.special_ads import special_ad_category


@pytest.mark.parametrize(
    "name",
    [
        "age", "AGE", "customer_age", "ageGroup", "user.age-band", "age2", "birth_year", "dob",
        "gender", "Sex", "is_female", "zip", "zip3", "ZipCode", "postal_code", "PLZ", "postcode",
        "marital", "marital_status", "relationshipStatus", "parental_status", "num_children",
        "multicultural_affinity", "ethnicity", "national_origin", "religion", "disabled",
        "sexual orientation",
    ],
)  # fmt: skip
@pytest.mark.parametrize("category", ["housing", "employment", "credit"])
def test_what_platforms_restrict_goes_whatever_its_spelling(name: str, category: str) -> None:
    found = special_ad_category(["device", name], category)  # type: ignore[arg-type]
    assert found.kept == ("device",)
    assert found.removed == (name,)
    assert "log.protected" in found.reasons[name]


@pytest.mark.parametrize(
    "name",
    [
        "page", "average_price", "language", "message_count", "usage", "image_orientation",
        "manager", "menu", "sextant", "trace", "gzip_size", "region", "city", "income", "recency",
        "wagering", "womenswear_visits", "human_score", "childhood",
    ],
)  # fmt: skip
def test_a_word_inside_another_word_is_no_word(name: str) -> None:
    assert special_ad_category([name], "housing").kept == (name,)


def test_the_users_own_mapping_goes_before_names() -> None:
    features = ["f1", "account_age", "income"]
    declared = {"f1": "gender", "account_age": "none"}
    found = special_ad_category(features, "credit", declared)
    assert found.kept == ("account_age", "income")
    assert found.reasons == {"f1": "declared as gender"}


def test_without_a_category_everything_stays() -> None:
    found = special_ad_category(["age", "f1"], None, {"f1": "gender"})
    assert found.kept == ("age", "f1")
    assert found.removed == ()


def test_a_mapping_of_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="names columns that are not there: gendr; there are age"):
        special_ad_category(["age"], "credit", {"gendr": "gender"})

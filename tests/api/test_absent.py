"""What there is not is refused in a sentence, and what there is is found."""

import pytest

from tests.api.house import lived, people, running
from tests.api.test_reads import settled


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/jobs/job-1'--", "There is no thing of this name."),
        ("/v1/events/999999", "There is no event at this position."),
        ("/v1/proof/999999", "There is no event at this position."),
        ("/v1/streams/nothing", "There is no stream nothing."),
    ],
)
async def test_what_there_is_not_is_said_in_a_sentence(path: str, said: str) -> None:
    async with running(people()) as house:
        assert (await house.get("", path)).json()["detail"] == said


async def test_the_search_takes_a_line_of_the_journal() -> None:
    async with running(lived()) as house:
        await settled(house)
        row = (await house.get("", "/v1/journal?limit=1")).json()["items"][0]
        posting = f"{row['position']}-{row['line']}"
        found = (await house.get("", "/v1/search", params={"q": posting})).json()["found"]

        assert found == [{"kind": "posting", "id": posting, "path": f"/v1/explain/{posting}"}]

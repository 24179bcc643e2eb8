"""The application against its own document: schemathesis sends what the document allows and what it forbids."""

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

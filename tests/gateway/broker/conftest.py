"""The contracts are inherited, so pytest does not know by itself that their asserts are to be explained."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.gateway.broker.contract", "tests.gateway.broker.network_contract")

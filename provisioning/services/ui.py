"""The UI: Streamlit serves, and every page of this release passed the launcher's self-check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from provisioning.config.service_facts import UI, UI_CODE, ServiceFacts
from provisioning.decode import Fields, WrongShape
from provisioning.services.client import Client, NotYet
from provisioning.services.contract import ReloadCheck, RunningService, ServiceContract, live_digest
from provisioning.services.loaded_code import LoadedCode

_CODE = "/code"


@dataclass(frozen=True)
class Pages:
    """What `GET /code` reports."""

    code: LoadedCode
    tried: bool
    """Every page passed the self-check."""

    @classmethod
    def from_json(cls, pages: Fields) -> Self:
        """Read the response. Raises WrongShape."""
        return cls(LoadedCode.from_json(pages), pages.flag("tried", default=False))


@dataclass(frozen=True)
class UiContract:
    """Checks of the UI."""

    facts: ServiceFacts = UI
    smoke_timeout: float = 10.0

    def smoke_test(self, service: RunningService) -> None:
        """Require Streamlit's health, this release's pages, and their self-check. Raises NotYet."""
        health = service.client(self.facts.health)
        if not health.ok:
            raise NotYet(f"GET {self.facts.health} answers {health.status}")
        digest = live_digest(service.release, UI_CODE)
        if not digest:
            return
        pages = Pages.from_json(service.client(_CODE).fields(_CODE))
        pages.code.require(digest, _CODE)
        if not pages.tried:
            refusal = pages.code.refusal
            found = f"do not work: {refusal.why}" if refusal else "are not tried yet"
            raise NotYet(f"GET {_CODE} shows that its pages {found}")

    def reload_check(self, service: RunningService) -> ReloadCheck | None:
        """Return the check that the release's pages serve and passed the self-check."""
        digest = live_digest(service.release, UI_CODE)
        return UiReload(service.client, digest) if digest else None


@dataclass
class UiReload:
    """Compares the pages that serve with the release."""

    client: Client
    code: str
    """Digest of the pages to serve."""
    before: Pages = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._pages()

    def check(self) -> None:
        """Raise NotYet until the pages serve, ServiceFailure when they were refused."""
        pages = self._pages()
        pages.code.check_refusal(self.before.code, self.code, UI, "pages")
        if pages.code.serving != self.code or not pages.tried:
            raise NotYet("it does not serve the pages of the release")

    def _pages(self) -> Pages:
        response = self.client(_CODE)
        try:
            return Pages.from_json(response.fields(_CODE))
        except WrongShape:
            raise NotYet("it does not report which pages it serves") from None


CONTRACT: ServiceContract = UiContract()

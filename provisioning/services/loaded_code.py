"""Which code a launcher reports as serving, and which it refused: the same answer of the API's and of the UI's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from provisioning.config.service_facts import ServiceFacts
from provisioning.decode import Fields
from provisioning.services.client import NotYet
from provisioning.services.contract import refused


@dataclass(frozen=True)
class Refusal:
    """Code that did not come to serve."""

    code: str
    """Its digest."""
    why: str
    at: float
    """Unix time, which tells a second refusal of the same code from the first."""


@dataclass(frozen=True)
class LoadedCode:
    """The digest of the code that serves, and the newest code if it was refused."""

    serving: str
    refusal: Refusal | None = None

    @classmethod
    def from_json(cls, entry: Fields) -> Self:
        """Read a launcher's report. Raises WrongShape."""
        found = entry.optional_fields("refused")
        refusal = Refusal(found.text("code"), found.text("why"), found.real("at", 0.0)) if found else None
        return cls(entry.text("serving"), refusal)

    def require(self, digest: str, path: str) -> None:
        """Raise NotYet unless the code with this digest serves; an empty digest accepts any."""
        if digest and self.serving != digest:
            why = self.refusal.why if self.refusal else "another one"
            raise NotYet(f"GET {path} shows that it does not run the code of the release: {why}")

    def check_refusal(self, before: LoadedCode, digest: str, facts: ServiceFacts, what: str) -> None:
        """Raise ServiceFailure when the code with this digest was refused since `before` was read."""
        if self.refusal is not None and self.refusal != before.refusal and self.refusal.code == digest:
            raise refused(facts, what, f"the {what} before", self.refusal.why)

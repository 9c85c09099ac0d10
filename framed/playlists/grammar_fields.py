"""The fields of a plan while a sentence fills them, and the contradictions among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# What is asked for against what is refused: (kind of label, fields asked, field refused).
_OPPOSED = (
    ("people", ("people_all", "people_any"), "people_none"),
    ("places", ("places_any",), "places_none"),
    ("folders", ("folders_any",), "folders_none"),
    ("", ("kinds",), "kinds_none"),
    ("", ("tags_any",), "tags_none"),
    ("", ("semantic",), "semantic_none"),
)


@dataclass(slots=True)
class Fields:
    """By the plan's field names: `lists` those that hold several values, `single` the others."""

    lists: dict[str, list[str]] = field(default_factory=dict)
    single: dict[str, object] = field(default_factory=dict)

    def add(self, name: str, *values: str) -> None:
        known = self.lists.setdefault(name, [])
        known.extend(value for value in dict.fromkeys(values) if value not in known)

    def settle(self, labels: Mapping[str, str], problems: list[str]) -> None:
        """Takes contradictions out and adds what was done about them to `problems`."""
        self._keep_asked(labels, problems)
        self._settle_people(problems)
        if self.single.get("frame") and self.single.get("all_frames"):
            self.single["all_frames"] = False
            problems.append("One frame and every frame are named; the one was taken.")

    def _keep_asked(self, labels: Mapping[str, str], problems: list[str]) -> None:
        """What was asked for stays; the same thing refused is dropped."""
        for kind, wanted, refused in _OPPOSED:
            asked = [one for name in wanted for one in self.lists.get(name, [])]
            for one in [one for one in self.lists.get(refused, []) if one in asked]:
                if self._narrowed(one, wanted):
                    continue
                self.lists[refused].remove(one)
                if refused != "tags_none":  # said for the words already
                    problems.append(f"“{labels.get(f'{kind}:{one}', one)}” is asked for and excluded; it was kept.")

    def _narrowed(self, one: str, wanted: tuple[str, ...]) -> bool:
        """ "in Europe but not in Italy", "the Millers without Ben": one of several that is refused goes."""
        for name in wanted:
            several = self.lists.get(name, [])
            if name in {"people_any", "places_any", "folders_any"} and one in several and len(several) > 1:
                several.remove(one)
                return True
        return False

    def _settle_people(self, problems: list[str]) -> None:
        named = [*self.lists.get("people_all", []), *self.lists.get("people_any", [])]
        if named and self.single.get("some_people") is False:
            self.single["only_people"] = True
            problems.append("People are named and excluded; it was taken as nobody else.")
        if named:
            self.single.pop("some_people", None)
        if self.lists.get("people_all") and "people_any" in self.lists:
            self.lists["people_any"] = [one for one in self.lists["people_any"] if one not in self.lists["people_all"]]
        if not named and not self.lists.get("unknown_names"):
            self.single.pop("only_people", None)

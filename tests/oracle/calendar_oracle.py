"""Which days a calendar leaves open, found the slow way: each day by itself, each rule by what
docs/scheduling.md says about it. Knows nothing of the C code."""
import calendar
import datetime as dt

ONE = dt.timedelta(days=1)
WEEKDAYS = "mon tue wed thu fri sat sun".split()


def _date(text):
    return dt.date.fromisoformat(text) if len(text) == 10 else tuple(map(int, text.split("-")))


def _is_date_rule(rule):
    return rule[0].isdigit()


def _in_dates(rule, day):
    first, _, last = rule.partition("..")
    first, last = _date(first), _date(last or first)
    if isinstance(first, dt.date):
        return first <= day <= last
    at = (day.month, day.day)
    return first <= at <= last if first <= last else at >= first or at <= last


def _month(day):
    n = calendar.monthrange(day.year, day.month)[1]
    return [day.replace(day=i) for i in range(1, n + 1)]


def _is_nth(days, n, day):
    return -len(days) <= n <= len(days) and days[n - 1 if n > 0 else n] == day


class Calendar:
    def __init__(self, definition):
        self.exclude = definition.get("exclude", [])
        self.include = definition.get("include", [])

    def _is_business(self, day):
        return day.weekday() < 5 and not any(
            _in_dates(rule, day) for rule in self.exclude if _is_date_rule(rule))

    def _names(self, rule, day):
        if _is_date_rule(rule):
            return _in_dates(rule, day)
        rule = rule.lower()
        if rule.startswith("business-day "):
            days = [d for d in _month(day) if self._is_business(d)]
            return _is_nth(days, int(rule.split()[1]), day)
        if "#" in rule:
            name, n = rule.split("#")
            days = [d for d in _month(day) if d.weekday() == WEEKDAYS.index(name)]
            return _is_nth(days, int(n), day)
        first, _, last = rule.partition("-")
        first, last = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        return (day.weekday() - first) % 7 <= (last - first) % 7

    def is_open(self, day):
        if any(self._names(rule, day) for rule in self.exclude):
            return False
        return not self.include or any(self._names(rule, day) for rule in self.include)

    def days(self, first, n):
        return [self.is_open(first + i * ONE) for i in range(n)]

"""When a cron expression is due, found the slow way: every minute of the wall clock is looked at, and
Python's zoneinfo says whether it exists, and how often. Written from docs/scheduling.md, knows nothing
of the C code."""
import calendar
import datetime as dt
import functools
import zoneinfo

UTC = dt.timezone.utc
DAY = dt.timedelta(days=1)
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
MACROS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
          "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
          "@annually": "0 0 1 1 *"}


def _number(word, low, high, names=(), first_name=0):
    if word in names:
        return names.index(word) + first_name
    value = int(word)
    assert low <= value <= high, word
    return value


def _values(parts, low, high, top, names=(), first_name=0):
    found = set()
    for part in parts:
        span, _, step = part.partition("/")
        if span in ("*", "?"):
            first, last = low, top
        elif "-" in span:
            first, last = (_number(word, low, high, names, first_name) for word in span.split("-"))
            assert first <= last, part
        else:
            first = _number(span, low, high, names, first_name)
            last = max(first, top) if step else first
        found.update(range(first, last + 1, int(step or 1)))
    return found


def _length(day):
    return calendar.monthrange(day.year, day.month)[1]


def _is_workday(day):
    return day.weekday() < 5


def _workdays(day):
    """Days of that month that are Monday to Friday."""
    return [n for n in range(1, _length(day) + 1) if _is_workday(day.replace(day=n))]


def _day_rule(part):
    """What a part of the day of month with a letter in it means, as a question to a date."""
    if part == "l":
        return lambda day: day.day == _length(day)
    if part == "lw":
        return lambda day: day.day == max(_workdays(day))
    if part.startswith("l-"):
        back = int(part[2:])
        return lambda day: day.day == _length(day) - back
    wanted = int(part[:-1])
    assert part[-1] == "w" and 1 <= wanted <= 31
    return lambda day: wanted <= _length(day) and day.day == min(_workdays(day),
                                                                 key=lambda n: abs(n - wanted))


def _weekday_rule(part):
    if part == "l":
        return lambda day: day.isoweekday() == 6
    if part[-1] == "l":
        wanted = _number(part[:-1], 0, 7, DAYS) % 7
        return lambda day: day.isoweekday() % 7 == wanted and (day + 7 * DAY).month != day.month
    name, _, which = part.partition("#")
    wanted, which = _number(name, 0, 7, DAYS) % 7, int(which)
    assert 1 <= which <= 5
    return lambda day: day.isoweekday() % 7 == wanted and (day.day - 1) // 7 + 1 == which


def _is_day_rule(part):
    return part.endswith("w") or part.startswith("l")


def _is_weekday_rule(part):
    return part.endswith("l") or "#" in part


def _split(text, is_rule):
    parts = text.split(",")
    return [p for p in parts if not is_rule(p)], [p for p in parts if is_rule(p)]


class Cron:
    def __init__(self, text):
        fields = MACROS.get(text, text).lower().split()
        second, minute, hour, day, month, weekday = fields if len(fields) == 6 else ["0", *fields]
        self.seconds = sorted(_values(second.split(","), 0, 59, 59))
        self.minutes = _values(minute.split(","), 0, 59, 59)
        self.hours = _values(hour.split(","), 0, 23, 23)
        self.months = _values(month.split(","), 1, 12, 12, MONTHS, 1)
        plain, rules = _split(day, _is_day_rule)
        self.days = _values(plain, 1, 31, 31)
        self.day_rules = [_day_rule(part) for part in rules]
        plain, rules = _split(weekday, _is_weekday_rule)
        self.weekdays = {v % 7 for v in _values(plain, 0, 7, 6, DAYS)}
        self.weekday_rules = [_weekday_rule(part) for part in rules]
        self.either = day[0] not in "*?" and weekday[0] not in "*?"
        self.fixed = minute[0] != "*" and hour[0] != "*"

    def day_matches(self, day):
        if day.month not in self.months:
            return False
        in_days = day.day in self.days or any(rule(day) for rule in self.day_rules)
        in_weekdays = (day.isoweekday() % 7 in self.weekdays or
                       any(rule(day) for rule in self.weekday_rules))
        return in_days or in_weekdays if self.either else in_days and in_weekdays

    def is_possible(self):
        """Whether any day matches: dates and weekdays repeat after 400 years."""
        first = dt.date(2000, 1, 1)
        return any(self.day_matches(first + n * DAY) for n in range(146097))


def _occurrences(local, zone):
    """The instants at which the clocks of the zone show that time, in order."""
    found = set()
    for fold in (0, 1):
        instant = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == local:
            found.add(instant)
    return sorted(found)


def _end_of_gap(local, zone):
    """The first instant after the gap in which that time lies."""
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    offset = after.astimezone(zone).utcoffset()
    while after - before > dt.timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle in (before, after):
            break
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


def _epoch(instant):
    return int(instant.timestamp())


class Window:
    """The wall clock of a zone in (after, until] and two days around, and when each minute comes."""

    def __init__(self, zone_name, after, until):
        self.after, self.until = _epoch(after), _epoch(until)
        self.zone = zoneinfo.ZoneInfo(zone_name)
        first = (after - 2 * DAY).date()
        self.days = [first + n * DAY for n in range(((until + 2 * DAY).date() - first).days + 1)]
        self.minutes = {}

    def _minute(self, day, hour, minute):
        """(instants at which clocks show it, the end of the gap it lies in)"""
        known = self.minutes.get((day, hour, minute))
        if known is None:
            local = dt.datetime.combine(day, dt.time(hour, minute))
            found = [_epoch(instant) for instant in _occurrences(local, self.zone)]
            known = found, None if found else _epoch(_end_of_gap(local, self.zone))
            self.minutes[day, hour, minute] = known
        return known

    def matches(self, cron):
        """[(instants, end of the gap)] of the local times that match, in order."""
        times = [self._minute(day, hour, minute)
                 for day in self.days if cron.day_matches(day)
                 for hour in range(24) if hour in cron.hours
                 for minute in range(60) if minute in cron.minutes]
        if cron.seconds == [0]:
            return times
        return [([at + s for at in found], end) for found, end in times for s in cron.seconds]

    def instants(self, cron, matches, gap=None, fold=None):
        """{instant: notes}, "g" for a gap and "f" for a fold, in (after, until]."""
        gap = gap or ("after" if cron.fixed else "skip")
        fold = fold or ("first" if cron.fixed else "both")
        notes = {}
        for found, gap_end in matches:
            if not found:
                if gap == "after":
                    notes[gap_end] = "g"
                continue
            note = "f" if len(found) > 1 else ""
            if fold != "both":
                found = found[:1] if fold == "first" else found[-1:]
            for instant in found:
                if not notes.get(instant):
                    notes[instant] = note
        return {at: notes[at] for at in sorted(notes) if self.after < at <= self.until}


@functools.lru_cache(maxsize=8)
def _window(zone_name, after, until):
    return Window(zone_name, after, until)


def instants(text, zone_name, after, until, gap=None, fold=None):
    """[(instant, note)] in (after, until], both UTC."""
    cron = Cron(text)
    window = _window(zone_name, after, until)
    found = window.instants(cron, window.matches(cron), gap, fold)
    words = {"": "", "g": "dst gap", "f": "dst fold"}
    return [(dt.datetime.fromtimestamp(at, UTC), words[note]) for at, note in found.items()]
